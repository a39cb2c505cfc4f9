//! The command that resumes an interrupted run: this one, as a shell takes it.

use std::ffi::OsString;

use crate::config::secret::mask_uri;
use crate::shell::quoted;

/// What a user can do after an interruption. `arguments` are the program's own, its name first.
pub fn resume_hint(arguments: impl Iterator<Item = OsString>) -> String {
    let words: Vec<String> = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
    // A URI may hold a password, which is not said again.
    if words.is_empty() || words.iter().any(|word| mask_uri(word) != *word) {
        return "run the same command again: it continues where this run stopped".to_owned();
    }
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("to continue where this run stopped: {}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(words: &[&str]) -> String {
        resume_hint(words.iter().map(OsString::from))
    }

    #[test]
    fn the_command_is_said_as_a_shell_takes_it() {
        assert_eq!(
            hint(&["vmdk2kvm", "migrate", "web server.vmx", "-o", "/srv/out", "--name", "it's", ""]),
            r"to continue where this run stopped: vmdk2kvm migrate 'web server.vmx' -o /srv/out --name 'it'\''s' ''"
        );
    }

    #[test]
    fn a_password_is_not_said_again() {
        let hint = hint(&["vmdk2kvm", "migrate", "vsphere://root:secret@host/vm"]);
        assert_eq!(hint, "run the same command again: it continues where this run stopped");
    }
}
