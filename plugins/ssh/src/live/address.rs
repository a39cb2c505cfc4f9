//! `ssh://[USER@]HOST[:PORT]`: taken apart and checked, so that nothing in it becomes an option of a program or a line of a shell.

use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

const SCHEME: &str = "ssh://";
/// No name in the DNS is longer (RFC 1035), and no user's name on any system.
const LONGEST: usize = 255;

/// Where a running guest is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The user; `None`: whom the configuration of `ssh` says.
    pub user: Option<String>,
    /// A name, an alias of the configuration of `ssh`, or a number.
    pub host: String,
    /// The port; `None`: what the configuration says.
    pub port: Option<u16>,
}

impl Address {
    /// Whether a source is one.
    pub fn is_one(uri: &str) -> bool {
        uri.starts_with(SCHEME)
    }

    /// Takes one apart.
    pub fn parse(uri: &str) -> Result<Self> {
        let rest = uri.strip_prefix(SCHEME).unwrap_or(uri);
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(usage("names more than a host").hint("write ssh://[USER@]HOST[:PORT], and nothing behind it"));
        }
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(usage("holds a password")
                .hint("log in with a key; the password for sudo comes from --password-file or [secrets]"));
        }
        let (host, port) = split_port(place)?;
        if let Some(user) = user.filter(|user| !is_word(user, b"._-@+")) {
            return Err(usage(&format!("\"{}\" is not the name of a user", user.escape_debug())));
        }
        if !is_word(host, b"._-:%") {
            return Err(usage(&format!("\"{}\" is not the name of a host", host.escape_debug())));
        }
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, " (port {port})"))
    }
}

fn split_port(place: &str) -> Result<(&str, Option<u16>)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(|| usage("has a [ without its ]"))?;
            (host, rest.strip_prefix(':').or((!rest.is_empty()).then_some(rest)))
        }
        // A colon in a number of IPv6 would be taken for that of a port.
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let number = |port: &str| {
        let port = port.parse::<u16>().ok().filter(|port| *port > 0);
        port.ok_or_else(|| usage("has no number of a port behind its host").hint("write IPv6 as ssh://[ADDRESS]:PORT"))
    };
    Ok((host, port.map(number).transpose()?))
}

/// Letters, digits and these, and none in front that an option begins with.
fn is_word(word: &str, more: &[u8]) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
    !word.is_empty() && word.len() <= LONGEST && !word.starts_with('-') && word.bytes().all(is_fine)
}

fn usage(what: &str) -> PluginError {
    PluginError::new(ErrorKind::Usage, format!("the address of the guest {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let address = |user: Option<&str>, host: &str, port| Address {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        };
        for (uri, expected) in [
            ("ssh://web", address(None, "web", None)),
            ("ssh://root@web.example:2222/", address(Some("root"), "web.example", Some(2222))),
            ("ssh://ann@corp.example@10.0.0.7", address(Some("ann@corp.example"), "10.0.0.7", None)),
            ("ssh://[fe80::1%eth0]:22", address(None, "fe80::1%eth0", Some(22))),
            ("ssh://root@[::1]", address(Some("root"), "::1", None)),
        ] {
            assert_eq!(Address::parse(uri), Ok(expected), "{uri}");
        }
    }

    #[test]
    fn what_could_be_an_option_or_a_command_is_refused() {
        for (uri, part) in [
            ("ssh://-oProxyCommand=x", "is not the name of a host"),
            ("ssh://-l@web", "is not the name of a user"),
            ("ssh://a b@web", "is not the name of a user"),
            ("ssh://$(x)@web", "is not the name of a user"),
            ("ssh://we\nb", "is not the name of a host"),
            ("ssh://web;x", "is not the name of a host"),
            ("ssh://", "is not the name of a host"),
            ("ssh://root:hidden@web", "holds a password"),
            ("ssh://web/etc", "names more than a host"),
            ("ssh://web?x=y", "names more than a host"),
            ("ssh://web:0", "has no number of a port"),
            ("ssh://fe80::1", "has no number of a port"),
            ("ssh://[::1", "has a [ without its ]"),
        ] {
            let error = Address::parse(uri).unwrap_err();
            assert!(error.kind == ErrorKind::Usage && error.message.contains(part), "{uri}: {error}");
            assert!(!error.message.contains("hidden"));
        }
    }
}
