//! `DISK=SIZE`: a disk of the virtual machine that is to be larger in the result.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// No disk gets larger than this, in bytes.
const LIMIT: u64 = 64 << 40;

/// A disk and its new size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Resize {
    /// Number of the disk, from 1, or its name.
    pub disk: String,
    /// How large it gets.
    pub size: NewSize,
}

/// How large a disk gets, in bytes, whole sectors of 512.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewSize {
    /// Larger by so much.
    By(u64),
    /// So large.
    To(u64),
}

/// `DISK=+20G` or `DISK=40G`.
impl FromStr for Resize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // From the right: a name may hold the sign.
        let (disk, size) = text
            .rsplit_once('=')
            .filter(|(disk, _)| !disk.is_empty())
            .ok_or_else(|| format!("`{text}` is not DISK=SIZE, e.g. 1=+20G"))?;
        let size = match size.strip_prefix('+') {
            Some(more) => NewSize::By(bytes(more)?),
            None => NewSize::To(bytes(size)?),
        };
        Ok(Self { disk: disk.to_owned(), size })
    }
}

impl TryFrom<String> for Resize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Resize> for String {
    fn from(Resize { disk, size }: Resize) -> Self {
        match size {
            NewSize::By(bytes) => format!("{disk}=+{bytes}"),
            NewSize::To(bytes) => format!("{disk}={bytes}"),
        }
    }
}

impl Resize {
    /// Whether this is about the disk of this number, from 1, and name.
    pub fn is_of(&self, number: usize, name: &str) -> bool {
        self.disk.parse() == Ok(number) || self.disk == name
    }
}

impl NewSize {
    /// The new size of a disk of this size.
    pub fn of(self, now: u64) -> u64 {
        match self {
            Self::By(more) => now.saturating_add(more),
            Self::To(size) => size,
        }
    }
}

/// A size with K, M, G or T, which are powers of 1024; at most 64 TiB, and whole sectors.
fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        Some((at, 'T' | 't')) => (&text[..at], 40),
        _ => (text, 0),
    };
    let number: Option<u64> = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    let Some(number) = number else { return Err(format!("`{text}` is not a size, e.g. 40G, 512M")) };
    match number.checked_mul(1 << shift) {
        Some(size) if size > LIMIT => Err(format!("{text} is more than {} TiB", LIMIT >> 40)),
        None => Err(format!("{text} is more than {} TiB", LIMIT >> 40)),
        Some(0) => Err(format!("`{text}` is no size")),
        Some(size) if size % 512 != 0 => Err(format!("{text} is no whole number of sectors of 512 bytes")),
        Some(size) => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_or_refused_with_the_reason() {
        let of = |disk: &str, size| Ok(Resize { disk: disk.to_owned(), size });
        assert_eq!("1=+20G".parse(), of("1", NewSize::By(20 << 30)));
        assert_eq!("a=b.vmdk=40g".parse(), of("a=b.vmdk", NewSize::To(40 << 30)));
        assert_eq!("1=1048576".parse(), of("1", NewSize::To(1 << 20)));
        for (text, said) in [
            ("20G", "`20G` is not DISK=SIZE, e.g. 1=+20G"),
            ("=20G", "`=20G` is not DISK=SIZE, e.g. 1=+20G"),
            ("1=", "`` is not a size, e.g. 40G, 512M"),
            ("1=-5G", "`-5G` is not a size, e.g. 40G, 512M"),
            ("1=1.5G", "`1.5G` is not a size, e.g. 40G, 512M"),
            ("1=5ä", "`5ä` is not a size, e.g. 40G, 512M"),
            ("1=+0", "`0` is no size"),
            ("1=65T", "65T is more than 64 TiB"),
            ("1=99999999999T", "99999999999T is more than 64 TiB"),
            ("1=+1000", "1000 is no whole number of sectors of 512 bytes"),
        ] {
            assert_eq!(text.parse::<Resize>(), Err(said.to_owned()), "{text}");
        }
    }
}
