//! What a user writes: `esxi+ssh://[USER@]HOST[:PORT]/vmfs/volumes/DATASTORE/FOLDER/VM.vmx`, with `?hostkey=` and `?snapshot=` behind it.

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::fingerprint::Fingerprint;
use super::place::Place;

/// The scheme of sources.
const SCHEME: &str = "esxi+ssh";
/// The port of SSH.
const PORT: u16 = 22;
/// Who has a shell on a host, as long as nobody has given one to others.
const USER: &str = "root";

/// A source as a user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The host; an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// The VM's configuration; `None`: all of the host.
    pub vmx: Option<Place>,
    /// The only host key that is believed.
    pub pin: Option<Fingerprint>,
    /// The name of the snapshot that is read.
    pub snapshot: Option<String>,
}

impl Address {
    /// Whether a URI has this scheme.
    pub fn is_one(uri: &str) -> bool {
        uri.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
    }

    /// Reads a URI.
    pub fn parse(uri: &str) -> Result<Self> {
        let wrong = |why: String| {
            PluginError::new(ErrorKind::Usage, format!("the source is no address of an ESXi host's shell: {why}"))
                .hint("write it like esxi+ssh://root@HOST/vmfs/volumes/DATASTORE/FOLDER/VM.vmx")
        };
        let rest = uri.split_once("://").map_or("", |(_, rest)| rest);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (server, path) = rest.split_once('/').map_or((rest, ""), |(server, path)| (server, path));
        let (user, server) = server.rsplit_once('@').map_or((None, server), |(user, server)| (Some(user), server));
        if user.is_some_and(|user| user.contains(':')) {
            return Err(wrong("it has a password in it, which every user of this machine could read".to_owned())
                .hint("leave the password out, and name a file that holds it with --password-file"));
        }
        let text = |part: &str| decode(part).ok_or_else(|| wrong(format!("'{}' is not readable", escape(part))));
        let user = user.filter(|user| !user.is_empty()).map(text).transpose()?.unwrap_or_else(|| USER.to_owned());
        if user.chars().any(char::is_control) {
            return Err(wrong(format!("'{}' is no user", escape(&user))));
        }
        let (host, port) = host(server).ok_or_else(|| wrong(format!("'{}' is no host", escape(server))))?;
        let path = text(path)?;
        let vmx = match path.trim_end_matches('/') {
            "" => None,
            path => {
                let place = Place::parse(&format!("/{path}"));
                let is_vmx = |place: &Place| place.name().to_ascii_lowercase().ends_with(".vmx");
                Some(place.ok().filter(is_vmx).ok_or_else(|| wrong(format!("'/{}' is no VMX there", escape(path))))?)
            }
        };
        let mut address = Self { host, port, user, vmx, pin: None, snapshot: None };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = text(value)?;
            match key {
                _ if value.is_empty() => return Err(wrong(format!("'{}' has no value", escape(key)))),
                "hostkey" => {
                    let pin = Fingerprint::parse(&value);
                    address.pin = Some(pin.ok_or_else(|| wrong(format!("'{}' is no fingerprint", escape(&value))))?);
                }
                "snapshot" => address.snapshot = Some(value),
                _ => return Err(wrong(format!("'{}' is not a parameter of it", escape(key)))),
            }
        }
        Ok(address)
    }

    /// The host, and its port where that is another than SSH's own.
    pub fn server(&self) -> String {
        if self.port == PORT { self.host.clone() } else { format!("{}:{}", self.bracketed(), self.port) }
    }

    /// The name by which a list of known hosts has it.
    pub fn known_as(&self) -> String {
        let host = self.host.to_ascii_lowercase();
        if self.port == PORT { host } else { format!("[{host}]:{}", self.port) }
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// A host and its port; an IPv6 address stands in brackets.
fn host(server: &str) -> Option<(String, u16)> {
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok().filter(|port| *port > 0)?),
        _ => (server, PORT),
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_');
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inside) => inside.parse::<std::net::Ipv6Addr>().is_ok().then(|| (inside.to_owned(), port)),
        None => {
            (!host.is_empty() && !host.starts_with('-') && host.chars().all(plain)).then(|| (host.to_owned(), port))
        }
    }
}

/// A text whose `%XX` are undone; `None`: one of them is none, or what comes out is no text.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first == b'%' {
            let digits = behind.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";

    #[test]
    fn every_form_is_read() {
        for (uri, user, server, known_as, vmx) in [
            ("esxi+ssh://h", "root", "h", "h", None),
            ("ESXI+SSH://adm@H.local:2222/", "adm", "H.local:2222", "[h.local]:2222", None),
            ("esxi+ssh://dom%5ca@[fe80::1]:22/", "dom\\a", "fe80::1", "fe80::1", None),
            ("esxi+ssh://[fe80::1]:23", "root", "[fe80::1]:23", "[fe80::1]:23", None),
            (
                "esxi+ssh://h/vmfs/volumes/ds 1/50%25 off%3f 'x'/ä.vmx",
                "root",
                "h",
                "h",
                Some("/vmfs/volumes/ds 1/50% off? 'x'/ä.vmx"),
            ),
        ] {
            assert!(Address::is_one(uri));
            let found = Address::parse(uri).unwrap();
            let vmx = vmx.map(|path| Place::parse(path).unwrap());
            assert_eq!((found.user.as_str(), &found.server()[..], &found.known_as()[..]), (user, server, known_as));
            assert_eq!(found.vmx, vmx, "{uri}");
        }
        let found = Address::parse(&format!("esxi+ssh://h/?snapshot=before%20it&hostkey={PIN}")).unwrap();
        assert_eq!(found.snapshot.as_deref(), Some("before it"));
        assert_eq!(found.pin.unwrap().to_string(), PIN);
        for other in ["ssh://h", "esxi://h", "vsphere://h", "/esxi+ssh"] {
            assert!(!Address::is_one(other), "{other}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (uri, why) in [
            ("esxi+ssh://root:secret@h", "it has a password in it, which every user of this machine could read"),
            ("esxi+ssh:///vmfs", "'' is no host"),
            ("esxi+ssh://-oProxyCommand=x/", "'-oProxyCommand=x' is no host"),
            ("esxi+ssh://h:0/", "'h:0' is no host"),
            ("esxi+ssh://a%0ab@h/", "'a\\nb' is no user"),
            ("esxi+ssh://h/etc/passwd", "'/etc/passwd' is no VMX there"),
            ("esxi+ssh://h/vmfs/volumes/ds/web/web.vmdk", "'/vmfs/volumes/ds/web/web.vmdk' is no VMX there"),
            ("esxi+ssh://h/vmfs/volumes/../web.vmx", "'/vmfs/volumes/../web.vmx' is no VMX there"),
            ("esxi+ssh://h/100%", "'100%' is not readable"),
            ("esxi+ssh://h/?hostkey=MD5:00", "'MD5:00' is no fingerprint"),
            ("esxi+ssh://h/?snapshot=", "'snapshot' has no value"),
            ("esxi+ssh://h/?x=1", "'x' is not a parameter of it"),
        ] {
            let error = Address::parse(uri).unwrap_err();
            assert_eq!(error.message, format!("the source is no address of an ESXi host's shell: {why}"));
            assert!(error.kind == ErrorKind::Usage && error.hint.is_some());
            assert!(!format!("{error:?}").contains("secret"));
        }
    }
}
