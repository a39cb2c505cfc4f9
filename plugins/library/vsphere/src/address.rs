//! The user's word: `vsphere://[USER@]HOST[:PORT]/INVENTORY/PATH?moref=&uuid=&snapshot=&thumbprint=`; `esxi://` is the same.

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use crate::escape::from_percent;
use crate::trust::Thumbprint;

/// The schemes of these URIs.
pub const SCHEMES: [&str; 2] = ["vsphere", "esxi"];

/// A place in a vCenter or on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or address of the server; an IPv6 address in its brackets.
    pub host: String,
    /// The port, unless it is that of HTTPS.
    pub port: Option<u16>,
    /// Who logs in.
    pub user: Option<String>,
    /// Which VM.
    pub wanted: Wanted,
    /// Which snapshot of it.
    pub snapshot: Option<String>,
    /// The certificate that is believed.
    pub thumbprint: Option<Thumbprint>,
}

/// Which VM is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// None is named.
    Any,
    /// The parts of an inventory path, as people see the names. One part is a name alone.
    Path(Vec<String>),
    /// A managed object, e.g. `vm-12`.
    Moref(String),
    /// A BIOS or instance UUID.
    Uuid(String),
}

const GRAMMAR: &str = "write vsphere://USER@HOST/INVENTORY/PATH, with ?moref=vm-12 or ?uuid=... in place of the path where it is not unique; \
                       a % in a name is %25, a slash %2f, a question mark %3f";

impl Address {
    /// Whether a URI has this grammar.
    pub fn is_one(uri: &str) -> bool {
        uri.split_once("://").is_some_and(|(scheme, _)| SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)))
    }

    /// Reads a URI.
    pub fn parse(uri: &str) -> Result<Self> {
        let wrong = |why: String| {
            PluginError::new(ErrorKind::Usage, format!("the source is no address of a vCenter: {why}")).hint(GRAMMAR)
        };
        let (_, rest) = uri.split_once("://").ok_or_else(|| wrong("it has no ://".to_owned()))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let decode = |text: &str| {
            from_percent(text).ok_or_else(|| wrong(format!("'{}' has a % that begins no escape", escape(text))))
        };
        // The last `@`: a user's name may hold one, a host may not.
        let (user, server) =
            authority.rsplit_once('@').map_or((None, authority), |(user, server)| (Some(user), server));
        if user.is_some_and(|user| user.contains(':')) {
            return Err(wrong("it has a password in it, which every user of this machine could read".to_owned())
                .hint("leave the password out, and name a file that holds it with --password-file"));
        }
        let (host, port) = split_port(server).ok_or_else(|| wrong(format!("'{}' is no host", escape(server))))?;
        let mut address = Self {
            host: host.to_owned(),
            port,
            user: user.filter(|user| !user.is_empty()).map(decode).transpose()?,
            wanted: Wanted::Any,
            snapshot: None,
            thumbprint: None,
        };
        let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect::<Result<_>>()?;
        if !parts.is_empty() {
            address.wanted = Wanted::Path(parts);
        }
        for (key, value) in
            query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        {
            let value = decode(value)?;
            match key {
                _ if value.is_empty() => return Err(wrong(format!("'{}' has no value", escape(key)))),
                "moref" => {
                    address.wanted = Wanted::Moref(value.strip_prefix("VirtualMachine:").unwrap_or(&value).to_owned())
                }
                "uuid" => address.wanted = Wanted::Uuid(value.to_lowercase()),
                "snapshot" => address.snapshot = Some(value),
                "thumbprint" => {
                    let pin = Thumbprint::parse(&value);
                    address.thumbprint =
                        Some(pin.ok_or_else(|| wrong(format!("'{}' is no thumbprint", escape(&value))))?);
                }
                _ => return Err(wrong(format!("'{}' is not a parameter of it", escape(key)))),
            }
        }
        Ok(address)
    }

    /// Host and port as they stand in a URI.
    pub fn server(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }
}

/// A host and its port; an IPv6 address stands in brackets.
fn split_port(server: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok().filter(|port| *port > 0)?)),
        _ => (server, None),
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_');
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let fits = match inside {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(plain),
    };
    fits.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(parts: &[&str]) -> Wanted {
        Wanted::Path(parts.iter().map(|part| (*part).to_owned()).collect())
    }

    #[test]
    fn every_form_is_read() {
        for (uri, user, server, wanted) in [
            ("vsphere://vc", None, "vc", Wanted::Any),
            ("vsphere://root@vc:8443/", Some("root"), "vc:8443", Wanted::Any),
            ("esxi://root@[fe80::1]:443/web", Some("root"), "[fe80::1]:443", path(&["web"])),
            (
                "vsphere://a@b.local@vc/DC0/vm/prod/web 01",
                Some("a@b.local"),
                "vc",
                path(&["DC0", "vm", "prod", "web 01"]),
            ),
            ("vsphere://a%40b@vc/DC/vm/50%25%2foff%3f&ä", Some("a@b"), "vc", path(&["DC", "vm", "50%/off?&ä"])),
            ("vsphere://dom%5cadm@vc/x?moref=vm-12", Some("dom\\adm"), "vc", Wanted::Moref("vm-12".into())),
            ("vsphere://vc?moref=VirtualMachine:vm-12", None, "vc", Wanted::Moref("vm-12".into())),
            ("VSPHERE://vc?uuid=564D1A2B", None, "vc", Wanted::Uuid("564d1a2b".into())),
        ] {
            assert!(Address::is_one(uri), "{uri}");
            let address = Address::parse(uri).unwrap();
            assert_eq!(
                (address.user.as_deref(), address.server().as_str(), &address.wanted),
                (user, server, &wanted),
                "{uri}"
            );
        }
        let address =
            Address::parse(&format!("vsphere://vc/web?snapshot=before%20it&thumbprint={}", "ab:".repeat(19) + "AB"))
                .unwrap();
        assert_eq!(address.snapshot.as_deref(), Some("before it"));
        assert_eq!(address.thumbprint.unwrap().to_string(), "AB:".repeat(19) + "AB");
        for other in ["esxi+ssh://host/x", "ssh://host", "/vsphere", "vsphere:/x"] {
            assert!(!Address::is_one(other), "{other}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (uri, why) in [
            ("vsphere://root:secret@vc/web", "it has a password in it, which every user of this machine could read"),
            ("vsphere:///web", "'' is no host"),
            ("vsphere://a b/web", "'a b' is no host"),
            ("vsphere://vc:0/web", "'vc:0' is no host"),
            ("vsphere://vc:x/web", "'vc:x' is no host"),
            ("vsphere://[fe80/web", "'[fe80' is no host"),
            ("vsphere://vc/100%", "'100%' has a % that begins no escape"),
            ("vsphere://vc/x?moref=", "'moref' has no value"),
            ("vsphere://vc/x?no=1", "'no' is not a parameter of it"),
            ("vsphere://vc/x?thumbprint=12", "'12' is no thumbprint"),
        ] {
            let error = Address::parse(uri).unwrap_err();
            assert_eq!(error.message, format!("the source is no address of a vCenter: {why}"));
            assert!(error.kind == ErrorKind::Usage && error.hint.is_some());
            assert!(!format!("{error:?}").contains("secret"));
        }
    }
}
