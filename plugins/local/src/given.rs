//! The source as the user named it: a path or a `file://` URI, made into a canonical path of a file or a folder.
//!
//! The user's word is trusted: it may be a symlink and lead through symlinks, once. What is found inside the source is not
//! trusted and never comes here.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use crate::names::shown_path;

/// What the user's word leads to, as a canonical path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A regular file.
    File(PathBuf),
    /// A folder.
    Folder(PathBuf),
}

impl Given {
    /// The folder that bounds everything the source may refer to.
    pub fn root(&self) -> &Path {
        match self {
            Self::File(path) => path.parent().unwrap_or(path),
            Self::Folder(path) => path,
        }
    }
}

/// How well a source suits this plugin: 100 an existing path or a `file://` URI, 50 what looks like a path and does not exist
/// (so that the error is one about a path), 0 another scheme.
pub fn suits(uri: &str) -> u32 {
    match scheme(uri) {
        Some(scheme) if scheme.eq_ignore_ascii_case("file") => 100,
        _ if Path::new(uri).exists() => 100,
        Some(_) => 0,
        // `dir:/path` and its like: another plugin's, or a folder that would have been found above.
        None if uri.split_once(":/").is_some_and(|(word, _)| is_scheme(word)) => 0,
        None => 50,
    }
}

/// Follows the user's word to what it names.
pub fn look(uri: &str) -> Result<Given> {
    let path = path_of(uri)?;
    let shown = shown_path(&path);
    let unusable = |what: &str| PluginError::unusable(format!("{shown}: {what}"));
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => unusable("there is no such file or folder")
            .hint("check the path; a relative one starts at the current folder"),
        std::io::ErrorKind::PermissionDenied => {
            PluginError::new(ErrorKind::Auth, format!("{shown}: no permission to look at it"))
                .hint("run as a user who may read it, or change its permissions")
        }
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            unusable("its symbolic links lead in a circle")
        }
        _ => PluginError::from_io(&shown, &error),
    };
    let path = path.canonicalize().map_err(failed)?;
    let kind = path.metadata().map_err(failed)?.file_type();
    let what = if kind.is_file() {
        return Ok(Given::File(path));
    } else if kind.is_dir() {
        return Ok(Given::Folder(path));
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_block_device() {
        "a block device"
    } else if kind.is_char_device() {
        "a character device"
    } else {
        "a socket"
    };
    Err(unusable(&format!("it is {what}, not a file or a folder"))
        .hint("copy its content into a regular file and give that"))
}

fn path_of(uri: &str) -> Result<PathBuf> {
    if uri.is_empty() {
        return Err(PluginError::new(ErrorKind::Usage, "the source's name is empty").hint("give a file or a folder"));
    }
    if uri.contains('\0') {
        return Err(PluginError::new(ErrorKind::Usage, "the source's name holds a NUL character"));
    }
    match scheme(uri) {
        Some(scheme) if scheme.eq_ignore_ascii_case("file") => file_uri(uri),
        _ => Ok(PathBuf::from(uri)),
    }
}

/// The scheme of a URI of the form `scheme://...` (RFC 3986, section 3.1).
fn scheme(uri: &str) -> Option<&str> {
    uri.split_once("://").map(|(scheme, _)| scheme).filter(|scheme| is_scheme(scheme))
}

fn is_scheme(word: &str) -> bool {
    let mut bytes = word.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The path of a `file://` URI (RFC 8089): an empty host or `localhost`, and a path with percent escapes.
fn file_uri(uri: &str) -> Result<PathBuf> {
    let bad = |what: &str| {
        PluginError::new(ErrorKind::Usage, format!("{}: {what}", escape(uri)))
            .hint("write file:///absolute/path, or the path itself")
    };
    let rest = &uri["file://".len()..];
    let Some(slash) = rest.find('/') else { return Err(bad("the URI has no absolute path")) };
    let host = &rest[..slash];
    if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
        return Err(bad("the URI names another machine"));
    }
    let mut bytes = Vec::with_capacity(rest.len());
    let mut text = rest[slash..].bytes();
    while let Some(byte) = text.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || text.next().and_then(|byte| char::from(byte).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) if (high, low) != (0, 0) => bytes.push((high * 16 + low) as u8),
            _ => return Err(bad("the URI has a bad percent escape")),
        }
    }
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode};

    use super::*;

    #[test]
    fn paths_file_uris_and_other_schemes_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a b.vmdk");
        std::fs::write(&file, "x").unwrap();
        let uri = format!("file://{}/a%20b.vmdk", dir.path().display());
        assert_eq!(suits(file.to_str().unwrap()), 100);
        assert_eq!(suits(&uri), 100);
        assert_eq!(suits("/nowhere/x.vmdk"), 50);
        assert_eq!(suits("vsphere://host/vm"), 0);
        assert_eq!(suits("esxi+ssh://host/vm"), 0);
        assert_eq!(suits("dir:/nowhere"), 0);
        assert_eq!(suits("nbd:x"), 50);
        let expected = Given::File(file.canonicalize().unwrap());
        assert_eq!(look(&uri).unwrap(), expected);
        assert_eq!(look(&uri.replace("file://", "FILE://localhost")).unwrap(), expected);
        assert_eq!(expected.root(), dir.path().canonicalize().unwrap());
    }

    #[test]
    fn the_users_own_symlinks_are_followed_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("real")).unwrap();
        std::fs::write(dir.path().join("real/disk.raw"), "x").unwrap();
        std::os::unix::fs::symlink("real/disk.raw", dir.path().join("link")).unwrap();
        let given = look(dir.path().join("link").to_str().unwrap()).unwrap();
        assert_eq!(given, Given::File(dir.path().canonicalize().unwrap().join("real/disk.raw")));
    }

    #[test]
    fn each_wrong_word_has_its_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
        for (uri, kind, message) in [
            ("", ErrorKind::Usage, "the source's name is empty".to_owned()),
            ("/nowhere/x.vmdk", ErrorKind::Unusable, "/nowhere/x.vmdk: there is no such file or folder".into()),
            ("/dev/null", ErrorKind::Unusable, "/dev/null: it is a character device, not a file or a folder".into()),
            (
                fifo.to_str().unwrap(),
                ErrorKind::Unusable,
                format!("{}: it is a FIFO, not a file or a folder", fifo.display()),
            ),
            (
                dir.path().join("loop").to_str().unwrap(),
                ErrorKind::Unusable,
                format!("{}/loop: its symbolic links lead in a circle", dir.path().display()),
            ),
            ("file://server/a", ErrorKind::Usage, "file://server/a: the URI names another machine".into()),
            ("file://", ErrorKind::Usage, "file://: the URI has no absolute path".into()),
            ("file:///a%0", ErrorKind::Usage, "file:///a%0: the URI has a bad percent escape".into()),
            ("file:///a%00", ErrorKind::Usage, "file:///a%00: the URI has a bad percent escape".into()),
        ] {
            let error = look(uri).unwrap_err();
            assert_eq!((error.kind, error.message), (kind, message), "{uri}");
        }
    }
}
