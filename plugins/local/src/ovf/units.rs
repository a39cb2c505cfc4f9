//! Amounts with their units: `byte * 2^20` (DSP0004, annex C "Programmatic units") and the words of older exporters.

/// The bytes of `quantity` units; `None` when the unit is not known or the amount is absurd.
///
/// A unit is a product: words, numbers and powers between asterisks.
pub fn bytes(quantity: u64, unit: &str) -> Option<u64> {
    let mut factor = 1_u64;
    for part in unit.split('*') {
        let part = part.trim().to_ascii_lowercase();
        let value = match part.as_str() {
            "byte" | "bytes" | "b" => 1,
            "bit" | "bits" => return None,
            "kilobytes" | "kilobyte" | "kb" | "kib" => 1 << 10,
            "megabytes" | "megabyte" | "mb" | "mib" => 1 << 20,
            "gigabytes" | "gigabyte" | "gb" | "gib" => 1 << 30,
            "terabytes" | "terabyte" | "tb" | "tib" => 1 << 40,
            power => match power.split_once('^') {
                Some((base, exponent)) => {
                    base.trim().parse::<u64>().ok()?.checked_pow(exponent.trim().parse().ok()?)?
                }
                None => power.parse().ok()?,
            },
        };
        factor = factor.checked_mul(value)?;
    }
    quantity.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_counts() {
        for (quantity, unit, expected) in [
            (2048, "byte * 2^20", Some(2 << 30)),
            (2, "byte*2^30", Some(2 << 30)),
            (3, "byte * 10^9", Some(3_000_000_000)),
            (16, "byte", Some(16)),
            (512, "MegaBytes", Some(512 << 20)),
            (8, "GB", Some(8 << 30)),
            (5, "byte * 1024 * 1024", Some(5 << 20)),
            (1, "byte * 2^64", None),
            (u64::MAX, "byte * 2^1", None),
            (1, "hertz * 10^6", None),
            (1, "byte * 2^", None),
            (1, "", None),
        ] {
            assert_eq!(bytes(quantity, unit), expected, "{quantity} {unit}");
        }
    }
}
