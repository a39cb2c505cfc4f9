//! Where an NBD disk is: a socket and the name of an export, as a URI (NetworkBlockDevice/nbd, `doc/uri.md`).

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::wire::MAX_STRING;
use crate::config::secret::mask_uri;
use crate::uri::{escape, unescape};

/// The port that is registered for NBD.
const PORT: u16 = 10809;

/// How a URI looks, for whoever wrote another.
const FORMS: &str = "write nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH";

/// The socket of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A host and its port.
    Tcp {
        /// A name or an address, an IPv6 one without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

/// An export of a server. Shown as its URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Where the server is.
    pub endpoint: Endpoint,
    /// Which of its disks; often the empty name.
    pub export: String,
}

impl Address {
    /// The only export of a server on a socket of this machine.
    pub fn unix(socket: &Path) -> Self {
        Self { endpoint: Endpoint::Unix(socket.to_owned()), export: String::new() }
    }

    /// Whether a source's URI is one of these, right or wrong.
    pub fn is_one(uri: &str) -> bool {
        let Some((scheme, rest)) = uri.split_once(':') else { return false };
        let is_known = ["nbd", "nbds", "nbd+unix", "nbds+unix"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        // A file may have such a name.
        is_known && (rest.starts_with("//") || Path::new(uri).symlink_metadata().is_err())
    }

    /// Reads a URI.
    pub fn parse(uri: &str) -> Result<Self> {
        let shown = mask_uri(uri);
        let wrong = |why: String| PluginError::new(ErrorKind::Usage, format!("{shown}: {why}")).hint(FORMS);
        let (scheme, rest) =
            uri.split_once("://").ok_or_else(|| wrong("an NBD address has `://` after its scheme".to_owned()))?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme.starts_with("nbds") {
            return Err(PluginError::new(ErrorKind::Usage, format!("{shown}: NBD over TLS is not spoken here"))
                .hint("reach the server through a tunnel (ssh -L) and name the tunnel's end with nbd://"));
        }
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let export = String::from_utf8(unescape(path).ok_or_else(|| wrong("a percent escape is wrong".to_owned()))?)
            .map_err(|_| wrong("the name of the export is not UTF-8".to_owned()))?;
        if export.len() > MAX_STRING {
            return Err(wrong(format!("the name of the export is longer than {MAX_STRING} bytes")));
        }
        let mut socket = None;
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("socket", path)) => {
                    let path = unescape(path).ok_or_else(|| wrong("a percent escape is wrong".to_owned()))?;
                    socket = Some(PathBuf::from(OsString::from_vec(path)));
                }
                _ => return Err(wrong(format!("the parameter `{parameter}` is not known"))),
            }
        }
        let endpoint = match (scheme.as_str(), socket) {
            ("nbd+unix", Some(_)) if !authority.is_empty() => {
                return Err(wrong(format!("a socket of this machine has no host, this names `{authority}`")));
            }
            ("nbd+unix", Some(socket)) if socket.is_absolute() => Endpoint::Unix(socket),
            ("nbd+unix", Some(_)) => return Err(wrong("the path of the socket is not absolute".to_owned())),
            ("nbd+unix", None) => return Err(wrong("it names no socket".to_owned())),
            ("nbd", None) => parse_authority(authority).map_err(|why| wrong(why.to_owned()))?,
            ("nbd", Some(_)) => return Err(wrong("a socket belongs to nbd+unix".to_owned())),
            _ => return Err(wrong(format!("`{scheme}` is no scheme of NBD"))),
        };
        Ok(Self { endpoint, export })
    }
}

fn parse_authority(authority: &str) -> Result<Endpoint, &'static str> {
    if authority.contains('@') {
        return Err("a user belongs to NBD over TLS, which is not spoken here");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("the address has no closing bracket")?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':').ok_or("nothing but a port follows the bracket")?),
            };
            (host, port)
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '%');
    if host.is_empty() || !host.chars().all(plain) {
        return Err("it names no host");
    }
    let port = match port {
        None | Some("") => PORT,
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or("the port is no number of a port")?,
    };
    Ok(Endpoint::Tcp { host: host.to_owned(), port })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let export = escape(self.export.as_bytes());
        match &self.endpoint {
            Endpoint::Unix(path) => {
                write!(f, "nbd+unix:///{export}?socket={}", escape(path.as_os_str().as_bytes()))
            }
            Endpoint::Tcp { host, port } => {
                if host.contains(':') {
                    write!(f, "nbd://[{host}]")?
                } else {
                    write!(f, "nbd://{host}")?
                }
                if *port != PORT {
                    write!(f, ":{port}")?;
                }
                write!(f, "/{export}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, export: &str) -> Address {
        Address { endpoint: Endpoint::Tcp { host: host.into(), port }, export: export.into() }
    }

    #[test]
    fn addresses_are_read_and_shown() {
        for (uri, address, shown) in [
            ("nbd://store", tcp("store", 10809, ""), "nbd://store/"),
            ("NBD://store:10809/web", tcp("store", 10809, "web"), "nbd://store/web"),
            ("nbd://[::1]:7/a%20b/%C3%A4", tcp("::1", 7, "a b/ä"), "nbd://[::1]:7/a%20b/%C3%A4"),
            ("nbd://10.0.0.1:7//abs", tcp("10.0.0.1", 7, "/abs"), "nbd://10.0.0.1:7//abs"),
            ("nbd+unix:///?socket=/run/a", Address::unix(Path::new("/run/a")), "nbd+unix:///?socket=/run/a"),
            (
                "nbd+unix:///disk?socket=/run/100%25%20a",
                Address { export: "disk".into(), ..Address::unix(Path::new("/run/100% a")) },
                "nbd+unix:///disk?socket=/run/100%25%20a",
            ),
        ] {
            assert!(Address::is_one(uri));
            assert_eq!(Address::parse(uri).unwrap(), address, "{uri}");
            assert_eq!(address.to_string(), shown);
            assert_eq!(Address::parse(shown).unwrap(), address);
        }
    }

    #[test]
    fn wrong_addresses_say_why() {
        for (uri, why) in [
            ("nbd:store", "an NBD address has `://` after its scheme"),
            ("nbds://store/web", "NBD over TLS is not spoken here"),
            ("nbds+unix:///?socket=/a", "NBD over TLS is not spoken here"),
            ("nbd:///web", "it names no host"),
            ("nbd://a b/web", "it names no host"),
            ("nbd://eve@store/web", "a user belongs to NBD over TLS, which is not spoken here"),
            ("nbd://store:0/web", "the port is no number of a port"),
            ("nbd://store:x/web", "the port is no number of a port"),
            ("nbd://[::1/web", "the address has no closing bracket"),
            ("nbd://[::1]7/web", "nothing but a port follows the bracket"),
            ("nbd://store/web?socket=/a", "a socket belongs to nbd+unix"),
            ("nbd://store/web?tls-type=psk", "the parameter `tls-type=psk` is not known"),
            ("nbd://store/%g0", "a percent escape is wrong"),
            ("nbd://store/%+1", "a percent escape is wrong"),
            ("nbd://store/%ff", "the name of the export is not UTF-8"),
            ("nbd+unix:///web", "it names no socket"),
            ("nbd+unix:///web?socket=a", "the path of the socket is not absolute"),
            ("nbd+unix://store/web?socket=/a", "a socket of this machine has no host, this names `store`"),
            ("nbd+vsock://1/web", "`nbd+vsock` is no scheme of NBD"),
        ] {
            let error = Address::parse(uri).unwrap_err();
            assert_eq!((error.kind, error.message), (ErrorKind::Usage, format!("{uri}: {why}")));
            assert!(error.hint.is_some());
        }
        assert!(!Address::is_one("nbd+vsock://1/web") && !Address::is_one("/disks/nbd"));
    }
}
