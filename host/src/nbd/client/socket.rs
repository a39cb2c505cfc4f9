//! A socket that never waits for ever: each wait is cut into ticks, between which the deadline and the user are asked.

use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::lost::Lost;
use crate::nbd::Endpoint;

/// How long a single wait may take.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// Wanted room for data on its way, in bytes. The kernel gives no more than `net.core.rmem_max`.
const BUFFER: usize = 4 << 20;

/// Who may stop a wait.
pub(super) type Cancelled = Arc<dyn Fn() -> bool + Send + Sync>;

/// By when something must be over, and how long nothing at all may come before that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    end: Instant,
    whole: Duration,
    silence: Duration,
    last: Instant,
}

impl Deadline {
    pub(super) fn new(whole: Duration, silence: Duration) -> Self {
        let now = Instant::now();
        Self { end: now + whole, whole, silence, last: now }
    }

    /// Something came, or could not have come earlier.
    pub(super) fn progress(&mut self) {
        self.last = Instant::now();
    }

    /// Whether the whole is late, for somebody who waits while another reads.
    pub(super) fn check_end(&self) -> Result<(), Lost> {
        if Instant::now() > self.end { Err(Lost::Late(self.whole)) } else { Ok(()) }
    }

    fn check(&self) -> Result<(), Lost> {
        self.check_end()?;
        if self.last.elapsed() > self.silence { Err(Lost::Late(self.silence)) } else { Ok(()) }
    }
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A connected socket.
pub(super) struct Socket {
    stream: Stream,
    cancelled: Cancelled,
}

impl Socket {
    /// Connects within the time.
    pub(super) fn connect(endpoint: &Endpoint, within: Duration, cancelled: Cancelled) -> Result<Self, Lost> {
        let endpoint = endpoint.clone();
        let stream = aside(within, &cancelled, move || match endpoint {
            Endpoint::Unix(path) => connect_unix(&path, within).map(Stream::Unix),
            Endpoint::Tcp { host, port } => {
                let stream = connect_tcp(&host, port, within)?;
                // Requests are small, and each is one write.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
        })?;
        let socket = Self { stream, cancelled };
        sockopt::set_socket_timeout(socket.fd(), sockopt::Timeout::Recv, Some(TICK)).map_err(io::Error::from)?;
        sockopt::set_socket_timeout(socket.fd(), sockopt::Timeout::Send, Some(TICK)).map_err(io::Error::from)?;
        // A wish: less room is only slower.
        let _ = sockopt::set_socket_recv_buffer_size(socket.fd(), BUFFER);
        Ok(socket)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Unix(stream) => stream.as_fd(),
            Stream::Tcp(stream) => stream.as_fd(),
        }
    }

    /// Whether the user asked to stop.
    pub(super) fn check_cancelled(&self) -> Result<(), Lost> {
        if (self.cancelled)() { Err(Lost::Cancelled) } else { Ok(()) }
    }

    /// Fills the buffer.
    pub(super) fn read_exact(&self, buffer: &mut [u8], deadline: &mut Deadline) -> Result<(), Lost> {
        let mut done = 0;
        while done < buffer.len() {
            // Waits for all of it: a system call for each piece on its way would cost more than the copying.
            match rustix::net::recv(self.fd(), &mut buffer[done..], RecvFlags::WAITALL) {
                Ok((0, _)) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok((n, _)) => {
                    done += n;
                    deadline.progress();
                    if done < buffer.len() {
                        self.check_cancelled()?;
                        deadline.check_end()?;
                    }
                }
                Err(error) => self.tick(error, deadline)?,
            }
        }
        Ok(())
    }

    /// Reads exactly `N` bytes.
    pub(super) fn read_array<const N: usize>(&self, deadline: &mut Deadline) -> Result<[u8; N], Lost> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes, deadline)?;
        Ok(bytes)
    }

    /// Sends all bytes.
    pub(super) fn write_all(&self, bytes: &[u8], deadline: &mut Deadline) -> Result<(), Lost> {
        let mut done = 0;
        while done < bytes.len() {
            match rustix::net::send(self.fd(), &bytes[done..], SendFlags::NOSIGNAL) {
                Ok(n) => {
                    done += n;
                    deadline.progress();
                }
                Err(error) => self.tick(error, deadline)?,
            }
        }
        Ok(())
    }

    fn tick(&self, error: rustix::io::Errno, deadline: &Deadline) -> Result<(), Lost> {
        match error {
            rustix::io::Errno::AGAIN | rustix::io::Errno::INTR => {
                self.check_cancelled()?;
                deadline.check()
            }
            error => Err(io::Error::from(error).into()),
        }
    }

    /// Ends it for everybody who waits.
    pub(super) fn shutdown(&self) {
        // One that is gone already needs no ending.
        let _ = match &self.stream {
            Stream::Unix(stream) => stream.shutdown(Shutdown::Both),
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

/// Neither the look-up of a name nor a socket that connects can be called back: a thread waits for them, and is left alone when nobody else
/// does any more.
fn aside<T: Send + 'static>(
    within: Duration,
    cancelled: &Cancelled,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Lost> {
    let until = Instant::now() + within;
    let (done, result) = channel();
    let thread = std::thread::Builder::new().name("nbd-connect".to_owned());
    // Who was to take the result may be gone.
    thread.spawn(move || drop(done.send(work())))?;
    loop {
        match result.recv_timeout(TICK) {
            Ok(result) => return Ok(result?),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("the thread that connects is gone").into());
            }
            Err(RecvTimeoutError::Timeout) if cancelled() => return Err(Lost::Cancelled),
            Err(RecvTimeoutError::Timeout) if Instant::now() > until => {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// A server whose queue is full lets a connecting client wait: for as long as the socket's sending may take.
fn connect_unix(path: &std::path::Path, within: Duration) -> io::Result<UnixStream> {
    let socket: OwnedFd =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(within))?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Ok(()) => Ok(socket.into()),
        Err(rustix::io::Errno::AGAIN) => Err(io::ErrorKind::TimedOut.into()),
        Err(error) => Err(error.into()),
    }
}

fn connect_tcp(host: &str, port: u16, within: Duration) -> io::Result<TcpStream> {
    let until = Instant::now() + within;
    let mut last = None;
    for address in (host, port).to_socket_addrs()? {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("the host has no address")))
}
