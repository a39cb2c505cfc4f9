//! Identifiers of a machine that every target takes. They come from a source or from a person, so whoever writes them into a command
//! line or a document asks here first.

use super::MachineDisk;

/// A MAC address in lower case, when it is six pairs of hexadecimal digits with colons, and not one of a group of cards: hypervisors
/// refuse those.
pub fn unicast_mac(text: &str) -> Option<String> {
    let octets: Vec<&str> = text.split(':').collect();
    let is_octet = |octet: &&str| octet.len() == 2 && octet.bytes().all(|digit| digit.is_ascii_hexdigit());
    let is_mac = octets.len() == 6 && octets.iter().all(is_octet);
    // The lowest bit of the first octet marks a group.
    let of_one_card = u8::from_str_radix(octets[0], 16).is_ok_and(|first| first & 1 == 0);
    (is_mac && of_one_card).then(|| text.to_ascii_lowercase())
}

/// A UUID in lower case, when it is in its canonical form.
pub fn canonical_uuid(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.split('-').collect();
    let is_uuid = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|digit| digit.is_ascii_hexdigit()));
    is_uuid.then(|| text.to_ascii_lowercase())
}

impl MachineDisk {
    /// Its serial number, when it is made of the letters that every target takes.
    pub fn plain_serial(&self) -> Option<&str> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_.+-".contains(letter);
        self.serial.as_deref().filter(|serial| !serial.is_empty() && serial.chars().all(is_plain))
    }
}

#[cfg(test)]
mod tests {
    use super::super::DiskBus;
    use super::*;

    #[test]
    fn only_addresses_of_single_cards_are_taken() {
        for (text, expected) in [
            ("00:50:56:AA:bb:cc", Some("00:50:56:aa:bb:cc")),
            ("01:00:5e:00:00:01", None),
            ("00:50:56:aa:bb", None),
            ("00:50:56:aa:bb:cc:dd", None),
            ("00:50:56:aa:bb:+c", None),
            ("+0:50:56:aa:bb:cc", None),
            ("00:50:56:aa:bb:cc,romfile=/x", None),
            ("005056aabbcc", None),
            ("", None),
        ] {
            assert_eq!(unicast_mac(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn only_canonical_uuids_are_taken() {
        for (text, expected) in [
            ("564D1A2B-3c4d-5e6f-7081-92a3b4c5d6e7", Some("564d1a2b-3c4d-5e6f-7081-92a3b4c5d6e7")),
            ("564d1a2b3c4d5e6f708192a3b4c5d6e7", None),
            ("564d1a2b-3c4d-5e6f-7081-92a3b4c5d6e", None),
            ("564d1a2b-3c4d-5e6f-7081-92a3b4c5d6e7-", None),
            ("564d1a2b-3c4d-5e6f-7081-92a3b4c5d6,x", None),
            ("", None),
        ] {
            assert_eq!(canonical_uuid(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn only_plain_serial_numbers_are_taken() {
        for (serial, plain) in
            [("disk1", true), ("S-1_2.3+4", true), ("", false), ("a,b", false), ("a b", false), ("ä", false)]
        {
            let disk = MachineDisk::new("raw", 1, DiskBus::Sata).with(|disk| disk.serial = Some(serial.to_owned()));
            assert_eq!(disk.plain_serial(), plain.then_some(serial), "{serial:?}");
        }
    }
}
