//! A machine's identifiers as VMX writes them, in canonical form.

/// A UUID from VMware's sixteen pairs (`56 4d 1a 2b 3c 4d 5e 6f-70 81 92 a3 b4 c5 d6 e7`), the bytes in their order, or from a
/// text that is canonical already.
pub fn uuid(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').collect();
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let d = digits.to_lowercase();
    Some(format!("{}-{}-{}-{}-{}", &d[..8], &d[8..12], &d[12..16], &d[16..20], &d[20..]))
}

/// The generation id from its two halves, signed numbers of 64 bits in decimal.
///
/// The guest sees 16 bytes: the first half little-endian, then the second. A GUID's text shows its first three fields as
/// little-endian numbers and the remaining bytes in their order, which gives the text that makes QEMU show the guest the same
/// bytes. Both halves zero mean that there is none.
pub fn genid(first: &str, second: &str) -> Option<String> {
    let half = |text: &str| text.parse::<i64>().map(|n| n as u64).or_else(|_| text.parse::<u64>()).ok();
    let (first, second) = (half(first)?, half(second)?);
    if (first, second) == (0, 0) {
        return None;
    }
    let tail = second.to_le_bytes();
    Some(format!(
        "{:08x}-{:04x}-{:04x}-{:02x}{:02x}-{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}",
        first as u32,
        (first >> 32) as u16,
        (first >> 48) as u16,
        tail[0],
        tail[1],
        tail[2],
        tail[3],
        tail[4],
        tail[5],
        tail[6],
        tail[7]
    ))
}

/// A MAC address in lower case with colons. VirtualBox writes its twelve digits without anything between them.
pub fn mac(text: &str) -> Option<String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let pairs: Vec<&str> = (0..12).step_by(2).map(|at| &text[at..at + 2]).collect();
        return Some(pairs.join(":").to_lowercase());
    }
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let valid = parts.len() == 6 && parts.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
    valid.then(|| parts.join(":").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_become_canonical() {
        let expected = Some("564d1a2b-3c4d-5e6f-7081-92a3b4c5d6e7".to_owned());
        assert_eq!(uuid("56 4d 1a 2b 3c 4d 5e 6f-70 81 92 a3 b4 c5 d6 e7"), expected);
        assert_eq!(uuid("564D1A2B-3C4D-5E6F-7081-92A3B4C5D6E7"), expected);
        for bad in ["", "56 4d", "zz 4d 1a 2b 3c 4d 5e 6f-70 81 92 a3 b4 c5 d6 e7", "ä".repeat(16).as_str()] {
            assert_eq!(uuid(bad), None);
        }
    }

    /// A machine whose guest was seen to read 8987940a09512cc5:e81510634ff550b9 as two little-endian numbers
    /// (qemu-devel, 29 September 2021, "VM generation ID").
    #[test]
    fn genids_show_the_guest_the_same_bytes() {
        assert_eq!(
            genid("-8536691797830587195", "-1723453263670062919").as_deref(),
            Some("09512cc5-940a-8987-b950-f54f631015e8")
        );
        assert_eq!(genid("0", "0"), None);
        assert_eq!(genid("1", "x"), None);
        assert!(genid("18446744073709551615", "1").is_some());
    }

    #[test]
    fn macs_become_canonical() {
        assert_eq!(mac("00:0C:29:AB:cd:01").as_deref(), Some("00:0c:29:ab:cd:01"));
        assert_eq!(mac("00-0C-29-AB-CD-01").as_deref(), Some("00:0c:29:ab:cd:01"));
        assert_eq!(mac("080027AAbb01").as_deref(), Some("08:00:27:aa:bb:01"));
        for bad in [
            "",
            "080027aabb0",
            "080027aabb0g",
            "00:0c:29:ab:cd",
            "00:0c:29:ab:cd:0g",
            "0:c:29:ab:cd:01",
            "00:0c:29:ab:cd:01:02",
        ] {
            assert_eq!(mac(bad), None, "{bad}");
        }
    }
}
