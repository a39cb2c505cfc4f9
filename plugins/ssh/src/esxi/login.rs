//! Who logs in, and by what: a key that the user named, a password, the keys of an agent; in this order, and each once, for a host counts
//! what is wrong and locks the account.

use std::path::PathBuf;

use ssh2::{KeyboardInteractivePrompt, Prompt, Session};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::tracing::debug;
use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};

use super::address::Address;

/// So many keys of an agent are tried: a host hangs up after six tries in all.
const AGENT_KEYS: usize = 3;
/// So many questions are answered; a host that has more is not one that wants a password.
const QUESTIONS: usize = 4;

/// What there is to log in with.
pub struct Login {
    key: Option<PathBuf>,
    passphrase: Option<String>,
    password: Option<String>,
}

impl Login {
    /// What the user gave.
    pub fn of(host: &Host, key: Option<&str>) -> Result<Self> {
        let secret =
            |name| host.secret(name).map(|text| text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()));
        Ok(Self { key: key.map(PathBuf::from), passphrase: secret("passphrase")?, password: secret("password")? })
    }

    /// Logs in.
    pub fn log_in(&self, session: &Session, address: &Address, server: &str) -> Result<()> {
        let user = address.user.as_str();
        // Asking is a try itself: nothing at all.
        let offered = match session.auth_methods(user) {
            Ok(list) => list.to_owned(),
            Err(_) if session.authenticated() => return Ok(()),
            Err(error) => {
                let message = format!("{server} breaks off the login: {}", escape(error.message()));
                return Err(PluginError::io(message).hint("run the same command again"));
            }
        };
        let offers = |method: &str| offered.split(',').any(|word| word == method);
        let mut tried = Vec::new();
        if let Some(key) = &self.key {
            // libssh2 reads it, and says of a wrong file no more than of a wrong passphrase.
            std::fs::metadata(key)
                .map_err(|error| PluginError::from_io(key.display(), &error).of_kind(ErrorKind::Config))?;
            if offers("publickey") {
                tried.push("the key file");
                let attempt = session.userauth_pubkey_file(user, None, key, self.passphrase.as_deref());
                note("the key file", &attempt);
            }
        }
        if let (false, Some(password)) = (session.authenticated(), &self.password) {
            if offers("keyboard-interactive") {
                tried.push("the password (keyboard-interactive)");
                let mut answers = Answers { password, asked: 0 };
                note("keyboard-interactive", &session.userauth_keyboard_interactive(user, &mut answers));
            } else if offers("password") {
                tried.push("the password");
                note("password", &session.userauth_password(user, password));
            }
        }
        if !session.authenticated() && offers("publickey") && with_agent(session, user) {
            tried.push("the keys of the agent");
        }
        if session.authenticated() {
            return Ok(());
        }
        let tried =
            if tried.is_empty() { "nothing was given".to_owned() } else { format!("tried: {}", tried.join(", ")) };
        let message = format!("{server} does not let {} in: {tried}; it takes {}", escape(user), escape(&offered));
        Err(PluginError::new(ErrorKind::Auth, message).hint(
            "name a file of mode 0600 with the password by --password-file, a private key by plugin.ssh.key, or start an agent (SSH_AUTH_SOCK)",
        ))
    }
}

fn note(what: &str, attempt: &std::result::Result<(), ssh2::Error>) {
    if let Err(error) = attempt {
        debug!("{what}: {}", escape(error.message()));
    }
}

/// Tries the keys of an agent. Whether there was one with a key.
fn with_agent(session: &Session, user: &str) -> bool {
    if std::env::var_os("SSH_AUTH_SOCK").is_none() {
        return false;
    }
    let keys = session.agent().and_then(|mut agent| {
        agent.connect()?;
        agent.list_identities()?;
        let keys = agent.identities()?;
        for key in keys.iter().take(AGENT_KEYS) {
            note("a key of the agent", &agent.userauth(user, key));
            if session.authenticated() {
                break;
            }
        }
        let _ = agent.disconnect();
        Ok(keys.len())
    });
    keys.is_ok_and(|keys| keys > 0)
}

/// Answers the questions of a host: the first that is not echoed is that for the password, and a second one means that it was wrong.
struct Answers<'a> {
    password: &'a str,
    asked: usize,
}

impl KeyboardInteractivePrompt for Answers<'_> {
    fn prompt<'a>(&mut self, _: &str, _: &str, prompts: &[Prompt<'a>]) -> Vec<String> {
        let answer = |prompt: &Prompt<'a>| {
            if prompt.echo || self.asked >= QUESTIONS {
                return String::new();
            }
            self.asked += 1;
            if self.asked == 1 { self.password.to_owned() } else { String::new() }
        };
        prompts.iter().map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_said_once_and_never_where_it_would_be_shown() {
        let mut answers = Answers { password: "secret", asked: 0 };
        let prompt = |text: &'static str, echo| Prompt { text: text.into(), echo };
        assert_eq!(answers.prompt("", "", &[prompt("Name: ", true), prompt("Password: ", false)]), ["", "secret"]);
        assert_eq!(answers.prompt("", "", &[prompt("Password: ", false)]), [""]);
    }
}
