//! Errors of the library: a number and a text that say little, with the sentence and the hint that whoever
//! meets them needs.

use std::ffi::CStr;

use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use crate::abi::{Code, Functions};
use crate::said;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Getting the library ready.
    Start,
    /// Connecting to a server.
    Connect,
    /// Opening a disk there.
    Open,
    /// Asking for a disk's facts.
    Ask,
    /// Reading from a disk of which nothing was read yet.
    ReadFirst,
    /// Reading on.
    Read,
}

impl Doing {
    fn words(self) -> &'static str {
        match self {
            Self::Start => "get ready",
            Self::Connect => "connect",
            Self::Open => "open it",
            Self::Ask => "tell its size",
            Self::ReadFirst | Self::Read => "read it",
        }
    }
}

/// The error of `what`, with the warnings that came with it.
pub fn error(functions: &Functions, what: &str, doing: Doing, code: Code) -> PluginError {
    of(what, doing, code, &text(functions, code), &said::warning())
}

fn of(what: &str, doing: Doing, code: Code, text: &str, warning: &str) -> PluginError {
    let number = code & 0xffff;
    let mut message = format!("{what}: VDDK cannot {}: {text} (error {number})", doing.words());
    if !warning.is_empty() {
        message += &format!("; before that it warned: {warning}");
    }
    let all = format!("{text} {warning}").to_lowercase();
    let (kind, hint) = match (number, doing) {
        (3, _) => (ErrorKind::Defect, "this is a fault of this program: please tell its authors"),
        (4, _) => {
            (ErrorKind::Unusable, "the disk was moved or its snapshot removed meanwhile: run the same command again")
        }
        _ if all.contains("nfc") && all.contains("error 5") => (
            ErrorKind::Temporary,
            "the host has no memory left for more transfers: end other backups and copies of its disks, then run the same command again",
        ),
        (_, Doing::Start) => {
            (ErrorKind::Missing, "make sure that VDDK was unpacked whole: `lib64` has its own libraries and plugins")
        }
        (_, Doing::Connect | Doing::Open) => (
            ErrorKind::Io,
            "it says no more where the certificate's digest is another one than the server's or its host's: compare them; its host must also be \
             reachable at port 902, and the role needs Provisioning > Allow disk access and Allow read-only disk access on the VM",
        ),
        (_, Doing::ReadFirst) => (
            ErrorKind::Io,
            "a disk that can be opened and not read is most often one of a host of another version than this VDDK reads (version-gap): compare \
             both, or take another way: leave --transport out",
        ),
        _ => (ErrorKind::Io, "run the same command again: it goes on where it was"),
    };
    PluginError::new(kind, message).hint(hint)
}

/// The library's own text for an error.
fn text(functions: &Functions, code: Code) -> String {
    // SAFETY: any number may be asked about; without a language it is English.
    let text = unsafe { (functions.error_text)(code, std::ptr::null()) };
    if text.is_null() {
        return "an error without a text".to_owned();
    }
    // SAFETY: a C string of the library's, which is its own until it is given back.
    let shown = said::shown(&unsafe { CStr::from_ptr(text) }.to_string_lossy());
    // SAFETY: it came from the library, and is given back once.
    unsafe { (functions.free_error_text)(text) };
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_errors_get_a_sentence_and_a_hint() {
        for (doing, code, warning, kind, message, hint) in [
            (Doing::Open, 1, "", ErrorKind::Io, "a: VDDK cannot open it: x (error 1)", "certificate's digest"),
            (Doing::Open, 4, "", ErrorKind::Unusable, "a: VDDK cannot open it: x (error 4)", "moved"),
            (Doing::ReadFirst, 1, "", ErrorKind::Io, "a: VDDK cannot read it: x (error 1)", "(version-gap)"),
            (
                Doing::Read,
                0x1_0001,
                "",
                ErrorKind::Io,
                "a: VDDK cannot read it: x (error 1)",
                "run the same command again",
            ),
            (
                Doing::Read,
                1,
                "NfcFssrvr: NFC error 5",
                ErrorKind::Temporary,
                "a: VDDK cannot read it: x (error 1); before that it warned: NfcFssrvr: NFC error 5",
                "no memory left",
            ),
            (Doing::Ask, 3, "", ErrorKind::Defect, "a: VDDK cannot tell its size: x (error 3)", "authors"),
            (Doing::Start, 1, "", ErrorKind::Missing, "a: VDDK cannot get ready: x (error 1)", "lib64"),
        ] {
            let error = of("a", doing, code, "x", warning);
            assert_eq!((error.kind, error.message.as_str()), (kind, message));
            assert!(error.hint.unwrap().contains(hint), "{doing:?} {code}");
        }
    }
}
