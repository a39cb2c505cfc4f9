//! Where a stream of a lease is: at the server, at one of its hosts, or at `*`, which is whoever was asked.

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};
use vmdk2kvm_vsphere::trust::{Thumbprint, Trust};
use vmdk2kvm_vsphere::{Door, Session};

/// A place to get a stream from.
pub struct Place {
    /// The door to it.
    pub door: Door,
    /// Path and query.
    pub path: String,
    /// Whether it is the server that the session is of: no other gets its cookie.
    pub is_server: bool,
}

/// The place of a URL. `thumbprint` is that of the host's certificate, by the server's word.
pub fn place(session: &Session, url: &str, thumbprint: Option<&str>) -> Result<Place> {
    let (host, path) = split(url).ok_or_else(|| {
        PluginError::unusable(format!(
            "{} names a stream at '{}', which is no address of HTTPS",
            session.server(),
            escape(url)
        ))
    })?;
    if host == "*" || host.eq_ignore_ascii_case(session.server()) {
        return Ok(Place { door: session.door().clone(), path, is_server: true });
    }
    let trust = match thumbprint.and_then(Thumbprint::parse) {
        Some(pin) => Trust { pin: Some(pin), authorities: None },
        None => session.door().trust().clone(),
    };
    Ok(Place { door: Door::new(&host, trust)?, path, is_server: false })
}

/// Host with port, and path with query.
fn split(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("https://")?;
    let (host, path) = rest.split_once('/')?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_' | ':' | '[' | ']');
    let fits = host == "*" || (!host.is_empty() && host.chars().all(plain));
    let clean = path.chars().all(|letter| letter.is_ascii_graphic());
    (fits && clean).then(|| (host.to_owned(), format!("/{path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_and_odd_ones_refused() {
        for (url, expected) in [
            ("https://*/nfc/5/disk-0.vmdk", Some(("*", "/nfc/5/disk-0.vmdk"))),
            ("https://esx1.local:443/nfc/5/a?b=c", Some(("esx1.local:443", "/nfc/5/a?b=c"))),
            ("https://[fe80::1]/nfc/5", Some(("[fe80::1]", "/nfc/5"))),
            ("http://esx1/nfc/5", None),
            ("https://user:pass@esx1/nfc", None),
            ("https:///nfc", None),
            ("https://esx1", None),
            ("https://esx1/a b", None),
            ("file:///etc/passwd", None),
        ] {
            let found = split(url);
            assert_eq!(found.as_ref().map(|(host, path)| (host.as_str(), path.as_str())), expected, "{url}");
        }
    }
}
