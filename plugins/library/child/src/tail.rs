//! The end of what a program says: the reason of a failure is among its last words.

/// The last bytes of a stream.
#[derive(Debug, Clone)]
pub struct Tail {
    limit: usize,
    bytes: Vec<u8>,
}

impl Tail {
    /// Keeps so many bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, bytes: Vec::new() }
    }

    /// Takes what was said next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(&bytes[bytes.len().saturating_sub(self.limit)..]);
        let excess = self.bytes.len().saturating_sub(self.limit);
        self.bytes.drain(..excess);
    }

    /// What is kept, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let mut tail = Tail::new(4);
        for (said, kept) in [("", ""), ("ab", "ab"), ("cde", "bcde"), ("0123456789", "6789"), ("x", "789x")] {
            tail.push(said.as_bytes());
            assert_eq!(tail.text(), kept);
        }
    }
}
