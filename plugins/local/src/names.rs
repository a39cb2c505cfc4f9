//! Names: what a path looks like as text, and what a name found inside a file may say.
//!
//! Owns the rule that a name from a source is a plain relative name. Touches no file: that the name really stays beneath its
//! folder is proven when it is opened, in `beneath`.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// Longest name taken from inside a file, in bytes (`PATH_MAX` of Linux).
const MAX_NAME: usize = 4096;

/// A path for a message: bytes that are no UTF-8 as `\xNN`, and the rest as [`escape`].
pub fn shown_path(path: &Path) -> String {
    let mut out = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        out.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// The object reference of a path: its text. Reports and plans are text, so a name that is none cannot be an object.
pub fn object_of(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        PluginError::unusable(format!("{}: the name is not UTF-8", shown_path(path)))
            .hint("rename the file or its folder")
    })
}

/// The last part of a path as text for people.
pub fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| shown_path(path), |name| shown_path(Path::new(name)))
}

/// The last part of a path without its extension.
pub fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| shown_path(path), |name| shown_path(Path::new(name)))
}

/// The path that `name`, found inside a file, means below that file's folder: plain parts only.
///
/// A backslash separates folders, as VMware on Windows writes it. A colon means nothing: `nbd:x` and `json:{}` are file names.
/// The error is a reason without the name, for the caller to put behind it.
pub fn relative(name: &str) -> Result<PathBuf, &'static str> {
    if name.is_empty() {
        return Err("an empty name");
    }
    if name.len() > MAX_NAME {
        return Err("a name longer than 4096 bytes");
    }
    if name.contains('\0') {
        return Err("a name with a NUL character");
    }
    let plain = name.replace('\\', "/");
    if plain.starts_with('/') {
        return Err("an absolute path");
    }
    if let [drive, b':', b'/', ..] = plain.as_bytes() {
        if drive.is_ascii_alphabetic() {
            return Err("an absolute path of a Windows machine");
        }
    }
    if plain.ends_with('/') {
        return Err("a folder");
    }
    let mut path = PathBuf::new();
    for part in Path::new(&plain).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("a path that leads outside of its folder"),
            Component::RootDir | Component::Prefix(_) => return Err("an absolute path"),
        }
    }
    if path.as_os_str().is_empty() { Err("a folder") } else { Ok(path) }
}

/// The refusal of a name that does not stay beneath its folder, with what to do.
pub fn refused(whose: &str, name: &str, reason: &str) -> PluginError {
    PluginError::unusable(format!("{whose}: the name '{}' is refused: it is {reason}", escape(name)))
        .hint("copy that file beside the one that names it, and let it be named by its plain file name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay_and_others_say_why() {
        for (name, expected) in [
            ("a.vmdk", Ok("a.vmdk")),
            ("./sub//a.vmdk", Ok("sub/a.vmdk")),
            ("sub\\a.vmdk", Ok("sub/a.vmdk")),
            ("nbd:unix:/x", Ok("nbd:unix:/x")),
            ("json:{\"driver\":\"nbd\"}", Ok("json:{\"driver\":\"nbd\"}")),
            ("c:a.vmdk", Ok("c:a.vmdk")),
            ("..a", Ok("..a")),
            ("", Err("an empty name")),
            ("/etc/passwd", Err("an absolute path")),
            ("\\\\server\\share\\a.vmdk", Err("an absolute path")),
            ("C:\\a.vmdk", Err("an absolute path of a Windows machine")),
            ("d:/a.vmdk", Err("an absolute path of a Windows machine")),
            ("../a", Err("a path that leads outside of its folder")),
            ("a/../../b", Err("a path that leads outside of its folder")),
            ("a\\..\\b", Err("a path that leads outside of its folder")),
            ("a\0b", Err("a name with a NUL character")),
            ("sub/", Err("a folder")),
            (".", Err("a folder")),
        ] {
            assert_eq!(relative(name), expected.map(PathBuf::from), "{name:?}");
        }
        assert_eq!(relative(&"a".repeat(5000)), Err("a name longer than 4096 bytes"));
    }

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/tmp/a\xff\x07"));
        assert_eq!(shown_path(path), "/tmp/a\\xff\\x07");
        let error = object_of(path).unwrap_err();
        assert_eq!(error.message, "/tmp/a\\xff\\x07: the name is not UTF-8");
    }
}
