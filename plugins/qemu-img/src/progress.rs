//! Reads the progress that `qemu-img -p` prints: `    (12.34/100%)`, each ended by a carriage return.

/// Longer runs without an end are not progress: dropped.
const LONGEST: usize = 64;

/// Progress in hundredths of a percent, 0 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    /// This share of `total`.
    pub fn of(self, total: u64) -> u64 {
        (u128::from(total) * u128::from(self.0) / 10_000) as u64
    }
}

/// Takes the output in pieces of any size.
#[derive(Debug, Default)]
pub struct Parser {
    pending: Vec<u8>,
}

impl Parser {
    /// Takes a piece, and returns the newest share that ended in it.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Share> {
        let mut newest = None;
        for byte in bytes {
            match byte {
                b'\r' | b'\n' => {
                    newest = parse(&self.pending).or(newest);
                    self.pending.clear();
                }
                _ if self.pending.len() < LONGEST => self.pending.push(*byte),
                _ => {}
            }
        }
        newest
    }
}

fn parse(line: &[u8]) -> Option<Share> {
    let text = std::str::from_utf8(line).ok()?.trim();
    let (whole, hundredths) = text.strip_prefix('(')?.strip_suffix("/100%)")?.split_once('.')?;
    if hundredths.len() != 2 {
        return None;
    }
    let share = whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(hundredths.parse().ok()?)?;
    (share <= 10_000).then_some(Share(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_and_the_newest_counts() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(b"    (0.00/100%)\r    (5.8"), Some(Share(0)));
        assert_eq!(parser.push(b"8/100%)\r"), Some(Share(588)));
        assert_eq!(parser.push(b"    (7.00/100%)\r    (100.00/100%)\r\nImage committed.\n"), Some(Share(10_000)));
        assert_eq!(Share(588).of(64 << 20), 3_946_001);
        assert_eq!(Share(10_000).of(u64::MAX), u64::MAX);
    }

    #[test]
    fn noise_is_no_progress() {
        for noise in
            ["(x/100%)\r", "(101.00/100%)\r", "(1.5/100%)\r", "(-1.00/100%)\r", "\r\r", "(4294967295.00/100%)\r"]
        {
            assert_eq!(Parser::default().push(noise.as_bytes()), None, "{noise}");
        }
        let mut parser = Parser::default();
        assert_eq!(parser.push(&[b'x'; 10_000]), None);
        assert_eq!(parser.push(b"\r(1.00/100%)\r"), Some(Share(100)));
    }
}
