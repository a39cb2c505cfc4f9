//! What a failed run of `qemu-img` means: from its last words to an error with a kind and a hint.

use std::borrow::Cow;
use std::path::Path;

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

/// How a run ended that did not end well.
#[derive(Debug)]
pub enum Failed {
    /// The program could not be started or talked to.
    Run(std::io::Error),
    /// It ended with a code and said something.
    Exit {
        /// Exit code.
        code: i32,
        /// The end of its standard error.
        stderr: String,
    },
    /// It was killed.
    Signal(i32),
    /// The host wants to stop.
    Interrupted,
}

/// What qemu-img says, in the order of looking, with the kind and what the user can do. The words after a colon are the C
/// library's, in the locale `C`.
const TABLE: [(&str, ErrorKind, &str); 11] = [
    ("No space left on device", ErrorKind::Output, "free some space, or choose another output directory"),
    ("Disk quota exceeded", ErrorKind::Output, "raise the quota, or choose another output directory"),
    ("File too large", ErrorKind::Output, "the filesystem cannot hold a file of this size: choose another one"),
    ("Read-only file system", ErrorKind::Output, "choose an output directory that can be written to"),
    ("Permission denied", ErrorKind::Output, "give this user the right to write there, or choose another directory"),
    ("lock", ErrorKind::Temporary, "another process uses the image: stop it and run the same command again"),
    ("Input/output error", ErrorKind::Io, "check the storage (dmesg) and run the same command again"),
    ("Connection refused", ErrorKind::Io, "run the same command again"),
    ("corrupt", ErrorKind::Unusable, "check the image with qemu-img check"),
    ("Image is not in", ErrorKind::Unusable, "check the image with qemu-img check"),
    ("Could not open", ErrorKind::Unusable, "check the image with qemu-img check"),
];

impl Failed {
    /// The error of `command` on the file `about`.
    pub fn explain(&self, command: &str, about: &str, program: &Path) -> PluginError {
        let about = escape(about);
        match self {
            Self::Interrupted => PluginError::interrupted(),
            Self::Run(error) if error.kind() == std::io::ErrorKind::NotFound => {
                PluginError::missing(format!("the program {} was not found", program.display()))
                    .hint("install the package qemu-utils (qemu-img on Fedora and SUSE)")
            }
            Self::Run(error) => PluginError::missing(format!("{} cannot be run: {error}", program.display()))
                .hint("install the package qemu-utils (qemu-img on Fedora and SUSE)"),
            Self::Signal(signal) => {
                PluginError::io(format!("{about}: qemu-img {command} was killed by signal {signal}"))
                    .hint("look for an out-of-memory kill (dmesg) and run the same command again")
            }
            Self::Exit { code, stderr } => {
                let last = last_line(stderr);
                let message = if last.is_empty() {
                    format!("{about}: qemu-img {command} ended with code {code} and said nothing")
                } else {
                    format!("{about}: qemu-img {command} failed: {last}")
                };
                match TABLE.iter().find(|(words, ..)| last.contains(words)) {
                    Some((_, kind, hint)) => PluginError::new(*kind, message).hint(*hint),
                    None => PluginError::io(message),
                }
            }
        }
    }
}

/// The program's last complaint without its name; a hint may follow it on a line of its own.
fn last_line(stderr: &str) -> Cow<'_, str> {
    let lines = || stderr.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let complaint = lines().find_map(|line| line.strip_prefix("qemu-img: "));
    escape(complaint.or_else(|| lines().next()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(stderr: &str) -> PluginError {
        Failed::Exit { code: 1, stderr: stderr.into() }.explain("convert", "/o/web.qcow2", Path::new("qemu-img"))
    }

    #[test]
    fn each_complaint_has_its_kind() {
        let table = [
            ("qemu-img: error while writing at byte 0: No space left on device\n", ErrorKind::Output),
            ("qemu-img: /o/x: Could not create '/o/x': Permission denied", ErrorKind::Output),
            (
                "qemu-img: Could not open 'x': Failed to get \"write\" lock\nIs another process using it?",
                ErrorKind::Temporary,
            ),
            ("qemu-img: error while reading at byte 5: Input/output error", ErrorKind::Io),
            ("qemu-img: Could not open 'json:{}': Image is not in qcow2 format", ErrorKind::Unusable),
            ("qemu-img: something new", ErrorKind::Io),
        ];
        for (stderr, kind) in table {
            assert_eq!(explained(stderr).kind, kind, "{stderr}");
        }
    }

    #[test]
    fn the_message_names_file_and_cause() {
        let error = explained("warning\nqemu-img: error while writing at byte 0: No space left on device\n\n");
        assert_eq!(
            error.message,
            "/o/web.qcow2: qemu-img convert failed: error while writing at byte 0: No space left on device"
        );
        assert_eq!(error.hint.as_deref(), Some("free some space, or choose another output directory"));
        let silent = explained("");
        assert_eq!(silent.message, "/o/web.qcow2: qemu-img convert ended with code 1 and said nothing");
    }

    #[test]
    fn what_could_steer_a_terminal_is_escaped() {
        assert!(explained("qemu-img: \u{1b}[31m\u{202e}").message.ends_with("failed: \\x1b[31m\\u{202e}"));
    }
}
