//! A remote disk: a block source over one or several connections to a server.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Hints, PluginError, Result};

use super::connection::Connection;
use super::handshake::Session;
use super::lost::{Failure, Lost, server_error};
use super::options::Options;
use super::socket::TICK;
use super::{read, status};
use crate::nbd::Address;

/// How long a connection beside the first may take to come up. A server that takes only one at a time lets it wait.
const FURTHER: Duration = Duration::from_secs(2);

/// The wait before a request is sent again; after each time it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest part of the map that is asked for at once, in bytes: made wider to be aligned, it must still fit into 32 bits.
const MAP_STEP: u64 = 2 << 30;

/// The most runs that are taken for one answer; what comes after them is said to be data, which is true of anything.
const MAX_RUNS: usize = 1 << 20;

/// An export of a server, as a block source. Dropping it says goodbye.
pub struct RemoteDisk {
    address: Address,
    name: String,
    options: Options,
    session: Session,
    pool: Mutex<Pool>,
    connected: Condvar,
}

struct Pool {
    connections: Vec<Arc<Connection>>,
    /// How many there may be.
    most: usize,
    /// A thread makes one.
    connecting: bool,
}

impl RemoteDisk {
    /// Connects to the server and opens its export.
    pub fn open(address: Address, options: Options) -> Result<Self> {
        let name = address.to_string();
        let first = Connection::open(&address, &options, options.limits.handshake).map_err(|lost| match lost {
            Lost::Closed(why) => PluginError::io(format!("{name}: the server cannot be reached: {why}"))
                .hint("see that it runs and that this machine reaches it"),
            lost => lost.error(&name),
        })?;
        let session = first.session;
        let most = if session.multi { options.connections.max(1) } else { 1 };
        let pool = Mutex::new(Pool { connections: vec![Arc::new(first)], most, connecting: false });
        Ok(Self { address, name, options, session, pool, connected: Condvar::new() })
    }

    /// The connection with the least to do, which may be a new one.
    fn connection(&self) -> Result<Arc<Connection>, Lost> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let users = |connection: &Arc<Connection>| connection.users().load(Ordering::Relaxed);
        let busy = loop {
            pool.connections.retain(|connection| !connection.is_lost());
            match pool.connections.iter().min_by_key(|connection| users(connection)).cloned() {
                Some(idle) if users(&idle) == 0 || pool.connecting || pool.connections.len() >= pool.most => {
                    return Ok(idle);
                }
                None if pool.connecting => {
                    let waited = self.connected.wait_timeout(pool, TICK);
                    pool = waited.unwrap_or_else(PoisonError::into_inner).0;
                    if (self.options.cancelled)() {
                        return Err(Lost::Cancelled);
                    }
                }
                busy => break busy,
            }
        };
        // Not under the lock: the others go on meanwhile, on the connections that there are.
        pool.connecting = true;
        drop(pool);
        let handshake = self.options.limits.handshake;
        let made = self.connect(if busy.is_some() { FURTHER.min(handshake) } else { handshake });
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.connecting = false;
        self.connected.notify_all();
        match (made, busy) {
            (Ok(made), _) => {
                pool.connections.push(Arc::clone(&made));
                Ok(made)
            }
            // It goes without.
            (Err(lost), Some(busy)) if lost != Lost::Cancelled => {
                pool.most = pool.connections.len().max(1);
                Ok(busy)
            }
            (Err(lost), _) => Err(lost),
        }
    }

    fn connect(&self, within: Duration) -> Result<Arc<Connection>, Lost> {
        let connection = Connection::open(&self.address, &self.options, within)?;
        if connection.session != self.session {
            return Err(Lost::broken("on a new connection the disk is another one than before"));
        }
        Ok(Arc::new(connection))
    }

    /// Asks on a connection; again on another when it breaks off.
    fn ask<T>(&self, mut question: impl FnMut(&Connection) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut pause = PAUSE;
        let mut left = self.options.retries;
        loop {
            let answer = self.connection().map_err(Failure::Lost).and_then(|connection| {
                connection.users().fetch_add(1, Ordering::Relaxed);
                let answer = question(&connection);
                connection.users().fetch_sub(1, Ordering::Relaxed);
                answer
            });
            match answer {
                Err(Failure::Lost(lost)) if left > 0 && lost.may_be_retried() => {
                    left -= 1;
                    self.wait(pause)?;
                    pause *= 2;
                }
                answer => return answer,
            }
        }
    }

    fn wait(&self, pause: Duration) -> Result<(), Lost> {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if (self.options.cancelled)() {
                return Err(Lost::Cancelled);
            }
            std::thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    fn error(&self, failure: Failure, task: impl FnOnce() -> String) -> PluginError {
        match failure {
            Failure::Lost(lost) => lost.error(&self.name),
            Failure::Server { number, text } => server_error(&self.name, &task(), number, &text),
        }
    }

    /// The smallest range that the server takes and that holds this one.
    fn aligned(&self, offset: u64, length: u64) -> (u64, u64) {
        let unit = u64::from(self.session.minimum);
        let start = offset - offset % unit;
        // The end of a disk is taken whatever the unit is.
        let end = (offset + length).next_multiple_of(unit).min(self.session.size);
        (start, end - start)
    }

    fn check_range(&self, offset: u64, length: u64) -> Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.session.size => Ok(()),
            _ => Err(PluginError::defect(format!(
                "{}: {length} bytes at {offset} lead past the end of the disk, which has {}",
                self.name, self.session.size
            ))),
        }
    }
}

impl BlockSource for RemoteDisk {
    fn size(&self) -> u64 {
        self.session.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.check_range(offset, buffer.len() as u64)?;
        let wanted = buffer.len().min(self.session.maximum as usize);
        let (start, length) = self.aligned(offset, wanted as u64);
        let read = if (start, length) == (offset, wanted as u64) {
            let buffer = &mut buffer[..wanted];
            self.ask(|connection| read::read(connection, offset, buffer)).map(|()| wanted)
        } else {
            let skipped = (offset - start) as usize;
            let mut wider = vec![0; length.min(u64::from(self.session.maximum)) as usize];
            self.ask(|connection| read::read(connection, start, &mut wider)).map(|()| {
                let n = wanted.min(wider.len() - skipped);
                buffer[..n].copy_from_slice(&wider[skipped..skipped + n]);
                n
            })
        };
        read.map_err(|failure| self.error(failure, || format!("read {wanted} bytes at {offset}")))
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        self.check_range(offset, length)?;
        let Some(context) = self.session.base_allocation.filter(|_| length > 0) else {
            let all = Extent::new(offset, length, ExtentKind::Data);
            return Ok(if length == 0 { Vec::new() } else { vec![all] });
        };
        let end = offset + length;
        let (mut at, mut taken) = (offset, 0);
        let mut runs = Vec::new();
        while at < end && taken < MAX_RUNS {
            let (start, length) = self.aligned(at, (end - at).min(MAP_STEP));
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            let found = self
                .ask(|connection| status::base_allocation(connection, context, start, length))
                .map_err(|failure| self.error(failure, || format!("say what lies at {at}")))?;
            taken += 1;
            for run in found {
                taken += 1;
                // What lies before or after was only asked for to be aligned.
                let (from, to) = (run.offset.max(at), (run.offset + run.length).min(end));
                if from < to && taken <= MAX_RUNS {
                    status::push(&mut runs, Extent::new(from, to - from, run.kind));
                }
            }
            let reached = runs.last().map_or(at, |last| last.offset + last.length);
            if reached == at {
                break;
            }
            at = reached;
        }
        if at < end {
            status::push(&mut runs, Extent::new(at, end - at, ExtentKind::Data));
        }
        Ok(runs)
    }

    fn hints(&self) -> Hints {
        Hints::default().with(|hints| {
            hints.alignment = self.session.preferred.clamp(512, 1 << 20);
            hints.request = self.session.maximum.min(1 << 20);
            // Enough to cover the way to a server that is not near.
            hints.parallelism = 8;
        })
    }
}
