//! Keeps secrets out of what is shown: passwords inside URIs, and values whose key says that they are secret.
//!
//! Secrets belong into files; this is the net for those that were put into a job all the same.

use serde_json::Value;

/// What is shown in place of a secret.
pub const MASK: &str = "********";

/// The URI without the password of its user part (`scheme://user:password@host`). Anything else comes back as it is.
pub fn mask_uri(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    // The last `@`: a password may hold one, a host may not.
    let Some(at) = authority.rfind('@') else { return uri.to_owned() };
    match authority[..at].split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:{MASK}{}", &rest[at..]),
        None => uri.to_owned(),
    }
}

/// The URI without the password of its user part, as it can be written down and used again by whoever knows the password.
pub fn without_password(uri: &str) -> String {
    mask_uri(uri).replacen(&format!(":{MASK}@"), "@", 1)
}

/// Whether a key's name says that its value is a secret.
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    // `password_file` and the like name a place, not the secret.
    !key.ends_with("_file")
        && !key.ends_with("_path")
        && ["password", "passwd", "passphrase", "secret", "token", "credential", "api_key", "private_key"]
            .iter()
            .any(|word| key.contains(word))
}

/// Masks every secret in a document, in place.
pub fn mask(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if is_secret_key(key) && !member.is_null() && !member.is_object() {
                    *member = Value::String(MASK.to_owned());
                } else {
                    mask(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) => *text = mask_uri(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn passwords_in_uris_are_masked_and_nothing_else() {
        for (given, shown) in [
            ("vsphere://root:pa:s@s@vc/dc/vm?x=a@b", "vsphere://root:********@vc/dc/vm?x=a@b"),
            ("vsphere://root@vc/dc", "vsphere://root@vc/dc"),
            ("https://vc/a:b@c", "https://vc/a:b@c"),
            ("./a:b@c.vmdk", "./a:b@c.vmdk"),
        ] {
            assert_eq!(mask_uri(given), shown);
        }
    }

    #[test]
    fn a_uri_can_be_used_again_without_its_password() {
        assert_eq!(without_password("far://root:pa:s@s@vc/dc/vm"), "far://root@vc/dc/vm");
        assert_eq!(without_password("./a:b@c.vmdk"), "./a:b@c.vmdk");
    }

    #[test]
    fn secret_members_are_masked_wherever_they_are() {
        let mut value = json!({"plugin": {"vsphere": {"password": "x", "password_file": "/k", "api-key": ["a"],
            "deep": [{"Token": 7}], "url": "https://u:p@h/"}}});
        mask(&mut value);
        assert_eq!(
            value,
            json!({"plugin": {"vsphere": {"password": MASK, "password_file": "/k", "api-key": MASK,
            "deep": [{"Token": MASK}], "url": "https://u:********@h/"}}})
        );
    }
}
