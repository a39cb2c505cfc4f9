//! MAC addresses that a card of the new machine may have.

/// The address in lower case, when it is one of a single card: groups' addresses and what is no address are refused everywhere.
pub(super) fn of_one_card(mac: &str) -> Option<String> {
    is_unicast_mac(mac).then(|| mac.to_ascii_lowercase())
}

/// Six pairs of hexadecimal digits, and no address of a group.
fn is_unicast_mac(mac: &str) -> bool {
    let mut octets =
        mac.split(':').map(|octet| (octet.len() == 2).then(|| u8::from_str_radix(octet, 16).ok()).flatten());
    mac.split(':').count() == 6
        && mac.bytes().all(|byte| byte == b':' || byte.is_ascii_hexdigit())
        && octets.next().flatten().is_some_and(|first| first & 1 == 0)
        && octets.all(|octet| octet.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_single_cards_are_kept() {
        for (mac, good) in [
            ("00:50:56:aa:bb:cc", true),
            ("00:50:56:AA:BB:CC", true),
            ("01:00:5e:00:00:01", false),
            ("00:50:56:aa:bb", false),
            ("00:50:56:aa:bb:cc:dd", false),
            ("00:50:56:aa:bb:+c", false),
            ("005056aabbcc", false),
            ("", false),
        ] {
            assert_eq!(is_unicast_mac(mac), good, "{mac}");
        }
    }
}
