//! Which host is believed to be the one that was named: by a pin in the source, or by lists of known hosts. Never by its own word.

use std::path::{Path, PathBuf};

use ssh2::{MethodType, Session};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::address::Address;
use super::fingerprint::Fingerprint;
use super::known_hosts::{KnownHost, LONGEST, Verdict};

/// The list for all users of this machine.
const OF_MACHINE: &str = "/etc/ssh/ssh_known_hosts";

/// What is known of a host.
pub struct Trust {
    pin: Option<Fingerprint>,
    known: KnownHost,
    /// The source with a place for a pin.
    uri: String,
}

impl Trust {
    /// Reads what is known of a host: `list`, or the user's and the machine's own lists. A revoked key is revoked for a pin, too.
    pub fn read(address: &Address, list: Option<&Path>, uri: &str) -> Result<Self> {
        let mut known = KnownHost::default();
        let own = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".ssh/known_hosts"));
        let lists: Vec<PathBuf> = match list {
            Some(list) => vec![list.to_owned()],
            None => own.into_iter().chain([PathBuf::from(OF_MACHINE)]).collect(),
        };
        for path in lists {
            let length = path.metadata().map(|found| found.len());
            match length.and_then(|length| if length > LONGEST { Ok(None) } else { std::fs::read(&path).map(Some) }) {
                Ok(Some(bytes)) => known.add(&String::from_utf8_lossy(&bytes), &address.known_as()),
                Ok(None) => {
                    let message = format!("{}: a list of known hosts of more than {LONGEST} bytes", path.display());
                    return Err(PluginError::config(message).hint("name another one by plugin.ssh.known_hosts"));
                }
                // What nobody named need not be there.
                Err(_) if list.is_none() => {}
                Err(error) => return Err(PluginError::from_io(path.display(), &error).of_kind(ErrorKind::Config)),
            }
        }
        Ok(Self { pin: address.pin, known, uri: uri.to_owned() })
    }

    /// The kinds of keys that a host is asked for, those that are known first; `None`: as libssh2 likes.
    pub fn preference(&self, session: &Session) -> Option<String> {
        let able = session.supported_algs(MethodType::HostKey).ok()?;
        let is_known = |kind: &&str| {
            let kinds = self.known.kinds();
            // The keys of RSA are of one kind, whatever is signed with.
            kinds.contains(kind) || (kind.starts_with("rsa-sha2-") && kinds.contains(&"ssh-rsa"))
        };
        let (first, then): (Vec<&str>, Vec<&str>) = able.into_iter().partition(is_known);
        (!first.is_empty()).then(|| first.into_iter().chain(then).collect::<Vec<_>>().join(","))
    }

    /// Refuses a key that is not the host's.
    pub fn check(&self, address: &Address, key: &[u8]) -> Result<()> {
        let (server, shown) = (address.server(), Fingerprint::of(key));
        let refused = |why: String| PluginError::new(ErrorKind::Auth, why);
        match (self.known.judge(key), self.pin) {
            (Verdict::Revoked, _) => Err(refused(format!("the host key of {server}, {shown}, is revoked (hostkey-revoked)"))
                .hint("another machine may answer there: give the host a new key before reading from it")),
            (_, Some(pin)) if pin == shown => Ok(()),
            (_, Some(pin)) => Err(refused(format!(
                "{server} shows another host key than the pinned {pin}: {shown} (hostkey-changed)"
            ))
            .hint("if the host was reinstalled, pin the new key; otherwise another machine answers there")),
            (Verdict::Known, None) => Ok(()),
            (Verdict::Changed, None) => Err(refused(format!(
                "{server} shows another host key than the known one: {shown} (hostkey-changed)"
            ))
            .hint(format!("if the host was reinstalled, pin it: name it as {}; otherwise another machine answers there", self.pinned(shown)))),
            (Verdict::Unknown, None) => Err(refused(format!("the host key of {server} is not known: {shown} (hostkey-unknown)"))
                .hint(format!(
                    "compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` (or ecdsa, rsa) says on the host's console, \
                     then run `vmdk2kvm inventory {}`",
                    super::shell::quote(&self.pinned(shown))
                ))),
        }
    }

    /// The source with this pin in it.
    fn pinned(&self, pin: Fingerprint) -> String {
        let (place, query) = self.uri.split_once('?').unwrap_or((&self.uri, ""));
        let others = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("hostkey="));
        let all: Vec<String> = others.map(str::to_owned).chain([format!("hostkey={pin}")]).collect();
        format!("{place}?{}", all.join("&"))
    }
}
