//! What the program `ssh` says when there is no connection, and what that means for the user.

use std::process::ExitStatus;

use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use super::address::Address;

/// What `ssh` puts before what it tells of its own work at this level (`LogLevel=DEBUG1`).
const DEBUG: &str = "debug1: ";
/// Before the key that the server shows, and its fingerprint.
const SERVER_KEY: &str = "debug1: Server host key: ";

/// What was said on standard error, as far as it matters.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// Kind and fingerprint of the key that the server showed.
    pub key: Option<String>,
    /// The other lines that are no work notes, the last of them.
    pub lines: Vec<String>,
}

impl Said {
    /// Of these lines the last are kept.
    const KEPT: usize = 40;

    /// Takes a line.
    pub fn push(&mut self, line: &str) {
        if let Some(key) = line.strip_prefix(SERVER_KEY) {
            self.key = Some(key.trim().to_owned());
        } else if !line.starts_with(DEBUG) && !line.trim().is_empty() {
            self.lines.push(line.trim().to_owned());
            let excess = self.lines.len().saturating_sub(Self::KEPT);
            self.lines.drain(..excess);
        }
    }

    /// Whether one of the lines has this in it.
    pub fn has(&self, part: &str) -> bool {
        self.lines.iter().any(|line| line.contains(part))
    }

    /// The last line.
    pub fn last(&self) -> &str {
        self.lines.last().map_or("it says nothing", String::as_str)
    }
}

/// Why there is no connection.
pub(super) fn refusal(address: &Address, said: &Said, status: Option<ExitStatus>) -> PluginError {
    let auth = |message: String| PluginError::new(ErrorKind::Auth, message);
    if said.has("Host key verification failed") && said.key.is_none() {
        // The server behind it was not reached: it would have shown its key.
        return auth(format!("{address}: the host key of a jump host is not known or not the right one"))
            .hint("connect once to the jump host with the program ssh, which shows its key and asks to keep it");
    }
    let key = said.key.as_deref().unwrap_or("unseen");
    if said.has("Host key verification failed") || said.has("host key is known for") {
        let compare = "compare it with what `ssh-keygen -lf` says of the guest's /etc/ssh/ssh_host_*_key.pub";
        if said.has("REVOKED") || said.has("revoked") {
            return auth(format!("{address}: the host key is revoked ({key})"))
                .hint("the key is marked as compromised: do not use it; give the guest a new one");
        }
        if said.has("IDENTIFICATION HAS CHANGED") {
            return auth(format!("{address}: the host key is not the one that is known ({key})")).hint(format!(
                "another machine may be in its place; {compare}, and only then replace the line in known_hosts"
            ));
        }
        return auth(format!("{address}: the host key is not known ({key})"))
            .hint(format!("{compare}, and connect once with the program ssh, which then asks to keep it"));
    }
    if said.has("Permission denied") || said.has("Too many authentication failures") {
        return auth(format!("{address}: the login failed: {}", said.last()))
            .hint("ssh must be able to log in without asking: a key, an agent, or GSSAPI; try `ssh -o BatchMode=yes`");
    }
    if said.has("Bad configuration option")
        || said.has("bad configuration options")
        || said.has("Can't open user config")
    {
        return PluginError::config(format!("the configuration of ssh is wrong: {}", said.last()));
    }
    let how = status.map_or_else(String::new, |status| format!(" ({status})"));
    PluginError::io(format!("{address}: there is no connection: {}{how}", said.last()))
        .hint("try `ssh` by hand with the same address; the guest must run, and its sshd answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_code_and_its_fingerprint() {
        let address = Address { user: Some("root".to_owned()), host: "web".to_owned(), port: Some(2222) };
        let error = |text: &str| {
            let mut said = Said::default();
            if !text.contains("UNKNOWN") {
                said.push("debug1: Server host key: ssh-ed25519 SHA256:abc");
            }
            said.push("debug1: Permission denied");
            text.lines().for_each(|line| said.push(line));
            refusal(&address, &said, None)
        };
        for (text, kind, message) in [
            (
                "No ED25519 host key is known for web and you have requested strict checking.\nHost key verification failed.",
                ErrorKind::Auth,
                "the host key is not known (ssh-ed25519 SHA256:abc)",
            ),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                ErrorKind::Auth,
                "the host key is not the one that is known (ssh-ed25519 SHA256:abc)",
            ),
            (
                "@ WARNING: REVOKED HOST KEY DETECTED! @\nHost key verification failed.",
                ErrorKind::Auth,
                "the host key is revoked (ssh-ed25519 SHA256:abc)",
            ),
            (
                "Host key verification failed.\nConnection closed by UNKNOWN port 65535",
                ErrorKind::Auth,
                "the host key of a jump host is not known or not the right one",
            ),
            (
                "root@web: Permission denied (publickey).",
                ErrorKind::Auth,
                "the login failed: root@web: Permission denied (publickey).",
            ),
            ("x: line 3: Bad configuration option: foo", ErrorKind::Config, "the configuration of ssh is wrong"),
            (
                "ssh: connect to host web port 2222: Connection refused",
                ErrorKind::Io,
                "there is no connection: ssh: connect",
            ),
        ] {
            let error = error(text);
            assert!(error.kind == kind && error.message.contains(message), "{error:?}");
        }
    }

    #[test]
    fn of_many_lines_the_last_are_kept() {
        let mut said = Said::default();
        (0..100).for_each(|number| said.push(&number.to_string()));
        assert_eq!((said.lines.len(), said.last()), (Said::KEPT, "99"));
    }
}
