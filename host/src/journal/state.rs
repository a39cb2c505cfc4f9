//! What the program remembers of its runs outside of their folders, for this user.

use std::path::PathBuf;

use super::promote::create_private_folder;

/// The kind of what finished runs are known by that leave nothing but images.
pub const FINISHED: &str = "finished";

/// A folder for one kind of thing to remember, made when it is not there; `None` when there can be none.
pub fn state_folder(name: &str) -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    let base = variable("XDG_STATE_HOME")
        .or_else(|| Some(variable("HOME").filter(|home| home.is_dir())?.join(".local/state")))?;
    let folder = base.join("vmdk2kvm").join(name);
    create_private_folder(&folder).ok().map(|()| folder)
}
