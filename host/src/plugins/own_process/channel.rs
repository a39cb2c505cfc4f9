//! Documents over a socket: each with its length before it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use serde::de::DeserializeOwned;
use vmdk2kvm_plugin_api::{PluginError, Result};

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

    /// Sends the document that an answer makes. `what` it is becomes the error that is sent in place of one that is too long, so that nobody
    /// waits for it for ever.
    pub(super) fn send_answer<A, T: Serialize>(
        &self,
        what: &str,
        answer: Result<A>,
        document: impl Fn(Result<A>) -> T,
    ) -> io::Result<()> {
        match self.send(&document(answer)) {
            Err(error) if is_too_long(&error) => self.send(&document(Err(too_long_to_send(what)))),
            sent => sent,
        }
    }

    /// Whether a document has begun to come within the time, or the other end is gone.
    pub(super) fn has_something_within(&self, time: Duration) -> io::Result<bool> {
        let time = Timespec::try_from(time).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&self.stream, PollFlags::IN)], Some(&time)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
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
    io::Error::new(io::ErrorKind::FileTooLarge, "a message is longer than 64 MiB")
}

/// Whether a document was not sent, or not taken, for its length alone.
pub(super) fn is_too_long(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
}

/// The error for a document that cannot be sent for its length; in one process the contract has the same bound.
pub(super) fn too_long_to_send(what: &str) -> PluginError {
    PluginError::defect(format!("{what} is longer than 64 MiB, which is the most that one document may have"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_answer_that_is_too_long_becomes_an_error() {
        let (near, far) = UnixStream::pair().unwrap();
        let (near, far) = (Channel::new(near), Channel::new(far));
        let long = Value::String("x".repeat(LIMIT as usize));
        assert!(is_too_long(&near.send(&long).unwrap_err()));
        near.send_answer("the answer of Catalog::inventory", Ok(long), |answer| (1, answer)).unwrap();
        let (number, answer) = far.receive::<(u64, Result<Value>)>().unwrap().unwrap();
        let error = answer.unwrap_err();
        let message =
            "the answer of Catalog::inventory is longer than 64 MiB, which is the most that one document may have";
        assert_eq!((number, error.kind, &*error.message), (1, vmdk2kvm_plugin_api::ErrorKind::Defect, message));
    }

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
