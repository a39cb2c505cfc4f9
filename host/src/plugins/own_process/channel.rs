//! Documents over a socket: each with its length before it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest document, in bytes.
const LIMIT: u32 = 64 << 20;

/// One end.
pub(super) struct Channel {
    stream: UnixStream,
    /// Documents leave whole.
    output: Mutex<()>,
}

impl Channel {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, output: Mutex::default() }
    }

    /// Sends a document.
    pub(super) fn send(&self, document: &impl Serialize) -> io::Result<()> {
        let mut bytes = vec![0; 4];
        serde_json::to_writer(&mut bytes, document)?;
        let length = u32::try_from(bytes.len() - 4).ok().filter(|length| *length <= LIMIT).ok_or_else(too_long)?;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        let _one = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        (&self.stream).write_all(&bytes)
    }

    /// Waits for the next document; `None` when the other end is gone.
    pub(super) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        let mut length = [0; 4];
        match (&self.stream).read(&mut length[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return self.receive(),
            // A process that was killed with something unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
        }
        (&self.stream).read_exact(&mut length[1..])?;
        let length = u32::from_be_bytes(length);
        if length > LIMIT {
            return Err(too_long());
        }
        // Grows with what comes, whatever was claimed.
        let mut bytes = Vec::new();
        (&self.stream).take(u64::from(length)).read_to_end(&mut bytes)?;
        if bytes.len() < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    /// Ends it for both.
    pub(super) fn close(&self) {
        // The other end may be gone already.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message is longer than 64 MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_arrive_whole_and_a_lie_about_their_length_is_an_error() {
        let (a, b) = UnixStream::pair().unwrap();
        let (near, mut far) = (Channel::new(a), b.try_clone().unwrap());
        let other = Channel::new(b);
        near.send(&vec!["a", "b"]).unwrap();
        near.send(&7).unwrap();
        assert_eq!(other.receive::<Vec<String>>().unwrap().unwrap(), ["a", "b"]);
        assert_eq!(other.receive::<u32>().unwrap(), Some(7));
        far.write_all(&[0xff; 4]).unwrap();
        assert_eq!(near.receive::<u32>().unwrap_err().to_string(), "a message is longer than 64 MiB");
        far.write_all(&[0, 0, 0, 9, b'7']).unwrap();
        other.close();
        assert_eq!(near.receive::<u32>().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(near.receive::<u32>().unwrap(), None);
    }
}
