//! The members of an archive under their checked names.
//!
//! Owns the rules for names: plain, relative, inside of the archive, UTF-8, and none twice. What breaks a rule refuses the archive,
//! because nobody can say what its maker meant it to be.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::names::{refused, relative};

/// The most members of an archive.
pub const MAX_MEMBERS: usize = 100_000;

/// Members by name.
#[derive(Debug)]
pub struct Members<T> {
    archive: String,
    members: BTreeMap<String, T>,
}

impl<T> Members<T> {
    /// No members yet; `archive` is what messages call it.
    pub fn new(archive: &str) -> Self {
        Self { archive: archive.to_owned(), members: BTreeMap::new() }
    }

    /// Adds a member.
    pub fn add(&mut self, name: &[u8], member: T) -> Result<()> {
        if self.members.len() == MAX_MEMBERS {
            return Err(self.bad(format!("the archive has more than {MAX_MEMBERS} members")));
        }
        let name = self.name(name)?;
        let text = escape(&name).into_owned();
        if self.members.insert(name, member).is_some() {
            return Err(self.bad(format!("the archive has two members called '{text}'")));
        }
        Ok(())
    }

    /// All members; refuses a name that is a file and a folder at once.
    pub fn finish(self) -> Result<BTreeMap<String, T>> {
        for name in self.members.keys() {
            for (slash, _) in name.match_indices('/') {
                if self.members.contains_key(&name[..slash]) {
                    return Err(self.bad(format!("'{}' is a file and a folder at once", escape(&name[..slash]))));
                }
            }
        }
        Ok(self.members)
    }

    fn name(&self, name: &[u8]) -> Result<String> {
        let Ok(text) = std::str::from_utf8(name) else {
            return Err(self.bad(format!("the member '{}' has a name that is not UTF-8", name.escape_ascii())));
        };
        let path = relative(text).map_err(|reason| refused(&self.archive, text, reason).hint(REPACK))?;
        // The parts came from text.
        Ok(path.to_string_lossy().into_owned())
    }

    /// An archive that cannot be used, with what to do.
    pub fn bad(&self, what: String) -> PluginError {
        PluginError::unusable(format!("{}: {what}", self.archive)).hint(REPACK)
    }
}

const REPACK: &str = "unpack it yourself into an empty folder, look at what it holds, and give that folder";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&[u8]]) -> Result<Vec<String>> {
        let mut members = Members::new("x.ova");
        for name in all {
            members.add(name, ())?;
        }
        Ok(members.finish()?.into_keys().collect())
    }

    #[test]
    fn names_are_plain_or_the_archive_is_refused() {
        assert_eq!(names(&[b"./a.ovf", b"sub/b.vmdk", b"c:d"]).unwrap(), ["a.ovf", "c:d", "sub/b.vmdk"]);
        for (all, expected) in [
            (&[&b"../a"[..]][..], "x.ova: the name '../a' is refused: it is a path that leads outside of its folder"),
            (&[b"/etc/passwd"], "x.ova: the name '/etc/passwd' is refused: it is an absolute path"),
            (&[b"a", b"./a"], "x.ova: the archive has two members called 'a'"),
            (&[b"a/b", b"a"], "x.ova: 'a' is a file and a folder at once"),
            (&[b"a\xff"], "x.ova: the member 'a\\xff' has a name that is not UTF-8"),
            (&[b""], "x.ova: the name '' is refused: it is an empty name"),
        ] {
            let error = names(all).unwrap_err();
            assert_eq!((error.message.as_str(), error.hint.as_deref()), (expected, Some(REPACK)));
        }
    }
}
