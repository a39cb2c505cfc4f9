//! Paths of a guest: as text, and resolved inside of the guest. Whatever its symlinks say, no path leads out of it, and none leads on for
//! ever.

use std::collections::VecDeque;

use crate::{FileKind, Guest, PluginError, Result};

/// Most symlinks on the way to one file, as in Linux.
pub const LINK_LIMIT: u32 = 40;

/// The folder of an absolute path; `/` has itself.
#[must_use]
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

/// The last part.
#[must_use]
pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// `name` in `folder`.
#[must_use]
pub fn join(folder: &str, name: &str) -> String {
    if folder == "/" { format!("/{name}") } else { format!("{folder}/{name}") }
}

/// The parts between slashes; empty ones and `.` left out, `..` kept.
pub fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

/// What resolving asks for. The paths that it asks about have no symlink in their folders, no `.` and no `..`.
pub trait Names {
    /// What is at a path; `None` when there is nothing. The root is not asked about.
    fn kind(&self, path: &str) -> Result<Option<FileKind>>;

    /// Where the symlink at a path points to, as stored.
    fn link(&self, path: &str) -> Result<String>;
}

/// Where a path leads: another one, without symlinks in its folders, `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Something is there.
    Found {
        /// Where.
        path: String,
        /// What.
        kind: FileKind,
    },
    /// Nothing is there, but its folder is.
    Vacant {
        /// Where it would be.
        path: String,
    },
    /// Its folder is not there, or is no folder.
    Nowhere {
        /// Where it would be if its folders were made.
        path: String,
    },
}

impl Place {
    /// The path, whatever is there.
    #[must_use]
    pub fn into_path(self) -> String {
        match self {
            Self::Found { path, .. } | Self::Vacant { path } | Self::Nowhere { path } => path,
        }
    }
}

/// Resolves an absolute path; a symlink in its last part only when `follow`.
pub fn resolve(names: &(impl Names + ?Sized), path: &str, follow: bool) -> Result<Place> {
    if !path.starts_with('/') || path.contains('\0') {
        return Err(PluginError::unusable(format!("{}: not an absolute path of a guest", path.escape_debug())));
    }
    let mut pending: VecDeque<String> = parts(path).map(str::to_owned).collect();
    let mut at = Place::Found { path: "/".to_owned(), kind: FileKind::Dir };
    let mut links = 0;
    // Parts of the path below the last folder that is there.
    let mut missing = 0u32;
    let mut is_nowhere = false;
    while let Some(part) = pending.pop_front() {
        let (above, is_folder) = match at {
            Place::Found { path, kind } => (path, kind == FileKind::Dir),
            Place::Vacant { path } | Place::Nowhere { path } => (path, false),
        };
        if !is_folder {
            is_nowhere = true;
            missing = missing.max(1);
        }
        if part == ".." {
            missing = missing.saturating_sub(1);
            let path = parent(&above).to_owned();
            at = if missing == 0 { Place::Found { path, kind: FileKind::Dir } } else { Place::Nowhere { path } };
            continue;
        }
        let next = join(&above, &part);
        if missing > 0 {
            missing += 1;
            at = Place::Nowhere { path: next };
            continue;
        }
        at = match names.kind(&next)? {
            None => Place::Vacant { path: next },
            Some(FileKind::Symlink) if follow || !pending.is_empty() => {
                links += 1;
                if links > LINK_LIMIT {
                    return Err(PluginError::unusable(format!("{path}: more than {LINK_LIMIT} symlinks on the way")));
                }
                let to = names.link(&next)?;
                parts(&to).rev().for_each(|part| pending.push_front(part.to_owned()));
                let path = if to.starts_with('/') { "/".to_owned() } else { above };
                Place::Found { path, kind: FileKind::Dir }
            }
            Some(kind) => Place::Found { path: next, kind },
        };
    }
    Ok(if is_nowhere { Place::Nowhere { path: at.into_path() } } else { at })
}

/// Resolves a path by asking a guest.
pub fn resolve_in(guest: &dyn Guest, path: &str, follow: bool) -> Result<Place> {
    resolve(&Asked(guest), path, follow)
}

struct Asked<'a>(&'a dyn Guest);

impl Names for Asked<'_> {
    fn kind(&self, path: &str) -> Result<Option<FileKind>> {
        Ok(self.0.stat(path)?.map(|stat| stat.kind))
    }

    fn link(&self, path: &str) -> Result<String> {
        self.0.read_link(path)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;

    /// Symlinks, or the kinds of what is no symlink, by path; it keeps what it was asked.
    #[derive(Default)]
    struct Tree {
        nodes: BTreeMap<&'static str, (FileKind, &'static str)>,
        asked: RefCell<Vec<String>>,
    }

    impl Names for Tree {
        fn kind(&self, path: &str) -> Result<Option<FileKind>> {
            self.asked.borrow_mut().push(path.to_owned());
            Ok(self.nodes.get(path).map(|(kind, _)| *kind))
        }

        fn link(&self, path: &str) -> Result<String> {
            Ok(self.nodes[path].1.to_owned())
        }
    }

    fn tree() -> Tree {
        use FileKind::{Dir, File, Symlink};
        let nodes = [
            ("/etc", (Dir, "")),
            ("/etc/fstab", (File, "")),
            ("/usr", (Dir, "")),
            ("/usr/lib", (Dir, "")),
            ("/usr/lib/x", (File, "")),
            ("/lib", (Symlink, "usr/lib")),
            ("/etc/out", (Symlink, "../../../etc/fstab")),
            ("/etc/up", (Symlink, "../lib/..")),
            ("/etc/root", (Symlink, "/")),
            ("/etc/ring", (Symlink, "ring")),
            ("/etc/dangling", (Symlink, "/no/such")),
            ("/etc/void", (Symlink, "")),
        ];
        Tree { nodes: nodes.into(), ..Tree::default() }
    }

    #[test]
    fn splits_and_joins() {
        assert_eq!((parent("/etc/fstab"), name("/etc/fstab")), ("/etc", "fstab"));
        assert_eq!((parent("/etc"), parent("/")), ("/", "/"));
        assert_eq!((join("/", "etc"), join("/etc", "fstab")), ("/etc".to_owned(), "/etc/fstab".to_owned()));
        assert_eq!(parts("//a/./b/../c/").collect::<Vec<_>>(), ["a", "b", "..", "c"]);
    }

    #[test]
    fn a_path_leads_to_one_place_inside() {
        for (path, follow, expected) in [
            ("/", true, "/ Dir"),
            ("/../..", true, "/ Dir"),
            ("//etc/./fstab", true, "/etc/fstab File"),
            ("/lib/x", false, "/usr/lib/x File"),
            ("/lib", false, "/lib Symlink"),
            ("/lib/", false, "/lib Symlink"),
            ("/lib/", true, "/usr/lib Dir"),
            ("/etc/out", true, "/etc/fstab File"),
            // As the kernel does: up from where the link leads, not from where it is.
            ("/etc/up", true, "/usr Dir"),
            ("/lib/../lib/x", true, "/usr/lib/x File"),
            ("/etc/root/etc/fstab", true, "/etc/fstab File"),
            ("/etc/void", true, "/etc Dir"),
        ] {
            let Place::Found { path: found, kind } = resolve(&tree(), path, follow).unwrap() else { panic!("{path}") };
            assert_eq!(format!("{found} {kind:?}"), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_has_a_place_where_it_would_be() {
        let vacant = |path: &str| Place::Vacant { path: path.to_owned() };
        let nowhere = |path: &str| Place::Nowhere { path: path.to_owned() };
        for (path, expected) in [
            ("/lib/y", vacant("/usr/lib/y")),
            ("/no", vacant("/no")),
            ("/no/such", nowhere("/no/such")),
            ("/etc/dangling", nowhere("/no/such")),
            ("/etc/dangling/x", nowhere("/no/such/x")),
            ("/etc/fstab/x", nowhere("/etc/fstab/x")),
            // What the kernel would not find has a place, and symlinks on the way to it count.
            ("/no/../lib/x", nowhere("/usr/lib/x")),
            ("/no/such/../../lib/x", nowhere("/usr/lib/x")),
            ("/etc/fstab/../up/lib/x", nowhere("/usr/lib/x")),
        ] {
            assert_eq!(resolve(&tree(), path, true).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn nothing_is_asked_below_what_is_missing() {
        let tree = tree();
        resolve(&tree, "/lib/no/such/thing", true).unwrap();
        assert_eq!(*tree.asked.borrow(), ["/lib", "/usr", "/usr/lib", "/usr/lib/no"]);
    }

    #[test]
    fn rings_and_relative_paths_are_refused() {
        for (path, message) in [
            ("/etc/ring", "/etc/ring: more than 40 symlinks on the way"),
            ("/etc/ring/x", "/etc/ring/x: more than 40 symlinks on the way"),
            ("etc/fstab", "etc/fstab: not an absolute path of a guest"),
            ("", ": not an absolute path of a guest"),
            ("/etc\0", "/etc\\0: not an absolute path of a guest"),
        ] {
            assert_eq!(resolve(&tree(), path, true).unwrap_err().message, message);
        }
        assert_eq!(resolve(&tree(), "/etc/ring", false).unwrap().into_path(), "/etc/ring");
    }
}
