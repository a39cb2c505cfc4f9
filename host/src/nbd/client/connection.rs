//! One connection with several requests under way.
//!
//! Whoever waits for an answer reads: the thread that finds nobody reading takes its turn, reads the next header, and either goes on with what is its own or
//! leaves the header to the thread whose it is. So data goes from the socket to where it is wanted, no thread stands between, and an idle
//! connection has none at all. The first thing that goes wrong ends the connection for everybody, as nothing that follows could be understood.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::handshake::{Session, negotiate};
use super::lost::Lost;
use super::options::Options;
use super::socket::{Cancelled, Deadline, Socket, TICK};
use crate::nbd::Address;
use crate::nbd::wire::*;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(100);

/// A connection in transmission.
pub(super) struct Connection {
    socket: Socket,
    pub session: Session,
    silence: Duration,
    answer: Duration,
    /// Requests leave whole, one after the other.
    output: Mutex<()>,
    state: Mutex<State>,
    turn: Condvar,
    users: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// A thread has its turn at reading.
    reading: bool,
    /// A header that another thread than its own has read.
    header: Option<Header>,
    /// The requests that are under way, by their cookies.
    due: BTreeSet<u64>,
    next_cookie: u64,
    lost: Option<Lost>,
}

/// The header of a reply, or of a chunk of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    cookie: u64,
    pub kind: Kind,
    /// Nothing follows for this request.
    pub done: bool,
}

/// What follows a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of a simple reply: an error number, and the data of a read when it is 0.
    Simple(u32),
    /// Of a structured reply: a chunk of this type with so many bytes.
    Chunk(u16, u32),
}

impl Connection {
    /// Connects and agrees on what is spoken, within the time.
    pub(super) fn open(address: &Address, options: &Options, within: Duration) -> Result<Self, Lost> {
        let cancelled: Cancelled = options.cancelled.clone();
        let socket = Socket::connect(&address.endpoint, within, cancelled)?;
        let mut deadline = Deadline::new(within, within);
        let session = negotiate(&socket, &address.export, &mut deadline)?;
        Ok(Self {
            socket,
            session,
            silence: options.limits.silence,
            answer: options.limits.answer,
            output: Mutex::default(),
            state: Mutex::default(),
            turn: Condvar::new(),
            users: AtomicUsize::new(0),
        })
    }

    /// How many requests are under way.
    pub(super) fn users(&self) -> &AtomicUsize {
        &self.users
    }

    /// Whether it is of no use any more.
    pub(super) fn is_lost(&self) -> bool {
        self.lock().lost.is_some()
    }

    /// Sends a request. Its chunks are then taken from the returned value, until one is the last.
    pub(super) fn ask(&self, command: u16, offset: u64, length: u32) -> Result<Asked<'_>, Lost> {
        let cookie = {
            let mut state = self.lock();
            if let Some(lost) = &state.lost {
                return Err(lost.clone());
            }
            state.next_cookie += 1;
            let cookie = state.next_cookie;
            state.due.insert(cookie);
            cookie
        };
        let mut deadline = Deadline::new(self.answer, self.silence);
        let sent = {
            let _one = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            self.socket.write_all(&request(command, cookie, offset, length), &mut deadline)
        };
        match sent {
            Ok(()) => Ok(Asked { connection: self, cookie, deadline }),
            Err(lost) => Err(self.lose(lost)),
        }
    }

    /// Ends it, for this reason unless there was one before; says which it is.
    pub(super) fn lose(&self, lost: Lost) -> Lost {
        let first = self.lock().lost.get_or_insert(lost).clone();
        self.socket.shutdown();
        self.turn.notify_all();
        first
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_header(&self, deadline: &mut Deadline) -> Result<Header, Lost> {
        let magic = u32::from_be_bytes(self.socket.read_array(deadline)?);
        match magic {
            SIMPLE_REPLY_MAGIC => {
                let rest: [u8; 12] = self.socket.read_array(deadline)?;
                let mut fields = Fields(&rest);
                let (Some(error), Some(cookie)) = (fields.u32(), fields.u64()) else { return Err(no_reply()) };
                // Beside errors, all that is asked here has a structured answer where those were agreed on.
                if self.session.structured && error == 0 {
                    return Err(Lost::broken("a simple reply where a structured one is due"));
                }
                Ok(Header { cookie, kind: Kind::Simple(error), done: true })
            }
            STRUCTURED_REPLY_MAGIC if self.session.structured => {
                let rest: [u8; 16] = self.socket.read_array(deadline)?;
                let mut fields = Fields(&rest);
                let (Some(flags), Some(kind), Some(cookie), Some(length)) =
                    (fields.u16(), fields.u16(), fields.u64(), fields.u32())
                else {
                    return Err(no_reply());
                };
                Ok(Header { cookie, kind: Kind::Chunk(kind, length), done: flags & REPLY_FLAG_DONE != 0 })
            }
            _ => Err(no_reply()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.is_lost() {
            // A server that hears no goodbye only logs it.
            let _ = self.socket.write_all(&request(CMD_DISC, 0, 0, 0), &mut Deadline::new(GOODBYE, GOODBYE));
        }
    }
}

/// A request that is under way. One that is dropped before its last chunk ends the connection.
pub(super) struct Asked<'a> {
    connection: &'a Connection,
    cookie: u64,
    deadline: Deadline,
}

impl<'a> Asked<'a> {
    /// Waits for the next chunk of the answer.
    pub(super) fn next(&mut self) -> Result<Chunk<'a, '_>, Lost> {
        let connection = self.connection;
        // An answer may go on for ever without a byte that is missing.
        connection
            .socket
            .check_cancelled()
            .and_then(|()| self.deadline.check_end())
            .map_err(|lost| connection.lose(lost))?;
        let mut state = connection.lock();
        loop {
            if let Some(lost) = &state.lost {
                return Err(lost.clone());
            }
            match state.header {
                Some(header) if header.cookie == self.cookie => {
                    state.header = None;
                    // Its reader left the turn to us.
                    state.reading = true;
                    drop(state);
                    return Ok(Chunk { asked: self, header, left: header.length(), taken: false });
                }
                None if !state.reading => {
                    state.reading = true;
                    drop(state);
                    // Others may have read until now.
                    self.deadline.progress();
                    let header = match connection.read_header(&mut self.deadline) {
                        Ok(header) => header,
                        Err(lost) => return Err(connection.lose(lost)),
                    };
                    state = connection.lock();
                    if !state.due.contains(&header.cookie) {
                        drop(state);
                        return Err(connection.lose(Lost::broken("it answers a request that is not under way")));
                    }
                    if header.cookie == self.cookie {
                        drop(state);
                        return Ok(Chunk { asked: self, header, left: header.length(), taken: false });
                    }
                    state.header = Some(header);
                    connection.turn.notify_all();
                }
                _ => {
                    let waited = connection.turn.wait_timeout(state, TICK);
                    let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    state = guard;
                    if timeout.timed_out() {
                        let late = connection.socket.check_cancelled().and_then(|()| self.deadline.check_end());
                        if let Err(lost) = late {
                            drop(state);
                            return Err(connection.lose(lost));
                        }
                    }
                }
            }
        }
    }
}

impl Header {
    fn length(&self) -> u32 {
        match self.kind {
            Kind::Simple(_) => 0,
            Kind::Chunk(_, length) => length,
        }
    }
}

/// A chunk whose header was read, and the turn at reading what follows it.
pub(super) struct Chunk<'a, 'b> {
    asked: &'b mut Asked<'a>,
    pub header: Header,
    left: u32,
    taken: bool,
}

impl Chunk<'_, '_> {
    /// Bytes of the chunk that were not read yet.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// Reads a part of the chunk.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<(), Lost> {
        let rest = u32::try_from(buffer.len()).ok().and_then(|length| self.left.checked_sub(length));
        self.left = rest.ok_or_else(|| Lost::broken("a chunk is too short for what it is"))?;
        self.asked.connection.socket.read_exact(buffer, &mut self.asked.deadline)
    }

    /// Reads `N` bytes of the chunk.
    pub(super) fn read_array<const N: usize>(&mut self) -> Result<[u8; N], Lost> {
        let mut bytes = [0; N];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the data of a simple reply, which says nothing of its length.
    pub(super) fn read_simple(&mut self, buffer: &mut [u8]) -> Result<(), Lost> {
        self.asked.connection.socket.read_exact(buffer, &mut self.asked.deadline)
    }

    /// Ends the turn, and the connection when the chunk was not what it should be: nothing that follows could be understood.
    pub(super) fn finish(mut self, taken: Result<(), Lost>) -> Result<(), Lost> {
        self.taken = true;
        let connection = self.asked.connection;
        let whole = if self.left > 0 { Err(Lost::broken("a chunk is longer than what it is")) } else { Ok(()) };
        if let Err(lost) = taken.and(whole) {
            return Err(connection.lose(lost));
        }
        let mut state = connection.lock();
        state.reading = false;
        if self.header.done {
            state.due.remove(&self.asked.cookie);
        }
        drop(state);
        connection.turn.notify_all();
        Ok(())
    }
}

impl Drop for Chunk<'_, '_> {
    fn drop(&mut self) {
        if !self.taken {
            self.asked.connection.lose(Lost::broken("an answer makes no sense"));
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let given_up = self.connection.lock().due.contains(&self.cookie);
        if given_up {
            self.connection.lose(Lost::broken("an answer makes no sense"));
        }
    }
}

fn request(command: u16, cookie: u64, offset: u64, length: u32) -> Vec<u8> {
    let mut request = REQUEST_MAGIC.to_be_bytes().to_vec();
    request.extend([0; 2]);
    request.extend(command.to_be_bytes());
    request.extend(cookie.to_be_bytes());
    request.extend(offset.to_be_bytes());
    request.extend(length.to_be_bytes());
    request
}

fn no_reply() -> Lost {
    Lost::broken("a reply does not begin with its magic number")
}
