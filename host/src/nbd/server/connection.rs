//! One client: its handshake, then its requests, each answered by the next free thread of a few.
//!
//! The threads take turns at reading the socket, so that no request is handed from one thread to another; replies leave in the
//! order in which they are ready.

use std::io::{self, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use super::budget::Budget;
use super::handshake::{Disk, Session, negotiate};
use super::status::Walked;
use super::{reply, status};
use crate::nbd::wire::*;

/// Buffers above this are given back after each request, in bytes.
const KEEP: usize = 4 << 20;

/// What all connections of an export share.
pub(super) struct Shared {
    pub source: std::sync::Arc<dyn BlockSource>,
    /// Threads of a connection.
    pub threads: usize,
    pub budget: Budget,
    pub walked: Walked,
    /// The first error of the source.
    pub failure: Mutex<Option<PluginError>>,
}

impl Shared {
    /// Remembers the source's first error. A panic is one too.
    fn ask<T>(&self, question: impl FnOnce(&dyn BlockSource) -> Result<T>) -> Result<T> {
        let answer = catch_unwind(AssertUnwindSafe(|| question(&*self.source)))
            .unwrap_or_else(|_| Err(PluginError::defect("the source panicked")));
        answer.inspect_err(|error| {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        })
    }
}

/// Serves a client until it leaves. The result is about the client and the socket, never about the source.
pub(super) fn serve(stream: &UnixStream, shared: &Shared) -> io::Result<()> {
    let hints = shared.source.hints();
    let preferred = hints.alignment.clamp(4096, 1 << 20).next_power_of_two();
    let disk = Disk { size: shared.source.size(), preferred };
    let Some(session) = negotiate(&mut &*stream, disk)? else { return Ok(()) };
    let connection = Connection {
        shared,
        session,
        size: disk.size,
        stream,
        input: Mutex::new(Input { reader: BufReader::with_capacity(4096, stream), ended: false }),
        output: Mutex::new(stream),
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..shared.threads)
            .map_while(|_| {
                let thread = std::thread::Builder::new().name("export-request".to_owned());
                thread.spawn_scoped(scope, || connection.answer()).ok()
            })
            .collect();
        let mut result = connection.answer();
        for other in others {
            result = result.and(other.join().unwrap_or_else(|_| Err(io::Error::other("a request's thread panicked"))));
        }
        result
    })
}

struct Connection<'a> {
    shared: &'a Shared,
    session: Session,
    size: u64,
    stream: &'a UnixStream,
    input: Mutex<Input<'a>>,
    output: Mutex<&'a UnixStream>,
}

struct Input<'a> {
    reader: BufReader<&'a UnixStream>,
    /// No request may be taken from it any more.
    ended: bool,
}

impl Connection<'_> {
    /// Answers requests until the client leaves or breaks the protocol, then ends the other threads too.
    fn answer(&self) -> io::Result<()> {
        let mut buffer = Vec::new();
        let result = loop {
            match self.next() {
                Ok(Some(request)) => {
                    if let Err(error) = self.handle(request, &mut buffer) {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // The other threads wait for a request, or are answering one: a client that left in order still gets those answers.
        let how = if result.is_ok() { Shutdown::Read } else { Shutdown::Both };
        let _ = self.stream.shutdown(how);
        result
    }

    /// The next request; `None` when the client disconnects.
    fn next(&self) -> io::Result<Option<Request>> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        if input.ended {
            return Ok(None);
        }
        // Unless a whole request was read, nothing that follows may be taken for one by the next thread in turn.
        input.ended = true;
        let Some(request) = Request::read(&mut input.reader)? else { return Ok(None) };
        match request.command {
            CMD_DISC => return Ok(None),
            CMD_WRITE if request.length > MAX_REQUEST => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a write request is longer than 32 MiB"));
            }
            // The data must be taken off the socket before the next request can be read.
            CMD_WRITE => {
                let length = u64::from(request.length);
                if io::copy(&mut input.reader.by_ref().take(length), &mut io::sink())? < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            _ => {}
        }
        input.ended = false;
        Ok(Some(request))
    }

    fn handle(&self, request: Request, buffer: &mut Vec<u8>) -> io::Result<()> {
        let Request { cookie, offset, length, .. } = request;
        let inside = offset.checked_add(u64::from(length)).is_some_and(|end| end <= self.size);
        let error = |number, text: &str| self.send(&reply::error(self.session, cookie, number, text));
        match request.command {
            CMD_WRITE | CMD_TRIM | CMD_WRITE_ZEROES => error(EPERM, "the export is read-only"),
            CMD_FLUSH => self.send(&reply::done(self.session, cookie)),
            CMD_READ if length > MAX_REQUEST => error(EINVAL, "a read request is longer than 32 MiB"),
            CMD_READ | CMD_BLOCK_STATUS if !inside => error(EINVAL, "the request leads past the end of the disk"),
            CMD_READ if length == 0 => error(EINVAL, "the request has no length"),
            CMD_READ => self.read(cookie, offset, length, buffer),
            CMD_BLOCK_STATUS if !self.session.base_allocation || length == 0 => {
                error(EINVAL, "base:allocation was not selected, or the request has no length")
            }
            CMD_BLOCK_STATUS => {
                let one = request.flags & CMD_FLAG_REQ_ONE != 0;
                match self
                    .shared
                    .ask(|source| status::base_allocation(source, &self.shared.walked, offset, length, one))
                {
                    Ok(extents) => self.send(&reply::block_status(cookie, &extents)),
                    Err(failed) => error(EIO, &failed.message),
                }
            }
            _ => error(EINVAL, "the command is not known here"),
        }
    }

    fn read(&self, cookie: u64, offset: u64, length: u32, buffer: &mut Vec<u8>) -> io::Result<()> {
        let size = reply::HEADROOM + length as usize;
        let _loan = self.shared.budget.borrow(size);
        // A source that says it read more than it wrote must not send another request's bytes.
        buffer.clear();
        buffer.resize(size, 0);
        let read = self
            .shared
            .ask(|source| vmdk2kvm_plugin_api::read_exact_at(source, offset, &mut buffer[reply::HEADROOM..]));
        let sent = match read {
            Ok(()) => self.send(reply::data(self.session, cookie, offset, buffer)),
            Err(failed) => self.send(&reply::error(self.session, cookie, EIO, &failed.message)),
        };
        if buffer.capacity() > KEEP {
            *buffer = Vec::new();
        }
        sent
    }

    fn send(&self, reply: &[u8]) -> io::Result<()> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).write_all(reply)
    }
}
