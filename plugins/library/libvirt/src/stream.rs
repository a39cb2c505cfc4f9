//! Bytes to and from a daemon. Every call waits.

use std::ffi::{c_char, c_longlong};

use super::connection::Connection;
use super::error::Error;
use super::functions::Object;
use super::handle::Handle;

/// How many bytes are moved at a time: what a daemon takes in one message.
const PIECE: usize = 256 << 10;

/// A stream that a call fills or reads.
pub(crate) struct Stream {
    handle: Handle,
}

impl Stream {
    /// A stream of a connection.
    pub fn new(connection: &Connection) -> Result<Self, Error> {
        let functions = connection.handle().functions;
        // SAFETY: the connection lives.
        let object = unsafe { (functions.stream_new)(connection.handle().get(), 0) };
        Ok(Self { handle: Handle::new(functions, object, functions.stream_free)? })
    }

    pub fn object(&self) -> Object {
        self.handle.get()
    }

    /// All that comes, which must not be more than this.
    pub fn receive(&self, most: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut piece = vec![0; PIECE];
        loop {
            let place = piece.as_mut_ptr().cast::<c_char>();
            // SAFETY: the stream lives; the place takes as many bytes as are asked for.
            let got = unsafe { (self.handle.functions.stream_recv)(self.object(), place, PIECE) };
            match usize::try_from(got) {
                Ok(0) => {
                    self.finish()?;
                    return Ok(bytes);
                }
                Ok(got) if bytes.len() + got <= most => bytes.extend_from_slice(&piece[..got]),
                Ok(_) => {
                    self.abort();
                    return Err(Error { code: 0, message: format!("more than {most} bytes came") });
                }
                Err(_) => {
                    let error = Error::last(self.handle.functions);
                    self.abort();
                    return Err(error);
                }
            }
        }
    }

    /// Sends all of these bytes.
    pub fn send(&self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let piece = bytes.len().min(PIECE);
            // SAFETY: the stream lives; the bytes live for the call.
            let sent = unsafe { (self.handle.functions.stream_send)(self.object(), bytes.as_ptr().cast(), piece) };
            let sent = self.handle.check(sent)?;
            bytes = &bytes[usize::try_from(sent).unwrap_or(0).min(piece)..];
        }
        Ok(())
    }

    /// Leaves so many bytes out, which read as zeros.
    pub fn skip(&self, bytes: u64) -> Result<(), Error> {
        let length = c_longlong::try_from(bytes).unwrap_or(c_longlong::MAX);
        // SAFETY: the stream lives.
        self.handle.check(unsafe { (self.handle.functions.stream_send_hole)(self.object(), length, 0) }).map(|_| ())
    }

    /// Ends it well: the other side has everything.
    pub fn finish(&self) -> Result<(), Error> {
        // SAFETY: the stream lives.
        self.handle.check(unsafe { (self.handle.functions.stream_finish)(self.object()) }).map(|_| ())
    }

    /// Ends it in the middle.
    pub fn abort(&self) {
        // SAFETY: the stream lives.
        unsafe { (self.handle.functions.stream_abort)(self.object()) };
    }
}
