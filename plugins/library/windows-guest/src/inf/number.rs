//! Numbers as an INF writes them.

/// Decimal, or hexadecimal behind `0x`; a negative one is taken as its 32 bits.
pub(super) fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u32::from_str_radix(hex, 16).ok();
    }
    match text.strip_prefix('-') {
        Some(negative) => Some(negative.parse::<u32>().ok()?.wrapping_neg()),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn decimal_hexadecimal_negative() {
        for (text, value) in [
            ("257", Some(257)),
            (" 0x00010001 ", Some(0x10001)),
            ("0X10", Some(16)),
            ("-1", Some(u32::MAX)),
            ("", None),
            ("0x", None),
            ("4294967296", None),
            ("1;", None),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
    }
}
