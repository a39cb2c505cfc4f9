//! The export's life: bind, accept, serve, stop.

use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, tracing};

use super::budget::Budget;
use super::connection::{Shared, serve};
use super::socket::SocketFile;
use super::status::Walked;

/// The most clients at once; a further one is turned away.
const MAX_CONNECTIONS: usize = 16;

/// The most threads that answer one client's requests.
const MAX_THREADS: usize = 8;

/// Memory of all requests that are being answered, in bytes.
const BUDGET: usize = 128 << 20;

/// A running export. Dropping it ends every connection, waits for the requests under way, and removes the socket.
pub struct Export {
    uri: String,
    server: Arc<Server>,
    acceptor: Option<JoinHandle<()>>,
    _socket: SocketFile,
}

impl Export {
    /// Serves `source` read-only on a new unix socket, mode 0600. The socket's folder must exist and be the user's own with
    /// mode 0700; its path may have 107 bytes.
    pub fn start(source: Arc<dyn BlockSource>, socket_path: &Path) -> Result<Self> {
        let (socket, listener) = SocketFile::bind(socket_path)?;
        let hints = source.hints();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        // A second thread pays even with a source that is read in order: one sends while the other reads.
        let threads = match hints.parallelism {
            0 => processors,
            wanted => usize::from(wanted),
        };
        let shared = Shared {
            source,
            threads: threads.clamp(2, MAX_THREADS),
            budget: Budget::new(BUDGET),
            walked: Walked::default(),
            failure: Mutex::new(None),
        };
        let server = Arc::new(Server { shared, listener, stopping: AtomicBool::new(false), clients: Mutex::default() });
        let accepting = Arc::clone(&server);
        let acceptor =
            std::thread::Builder::new()
                .name("export-accept".to_owned())
                .spawn(move || accepting.accept())
                .map_err(|error| PluginError::io(format!("no thread could be started for the export: {error}")))?;
        Ok(Self { uri: socket.uri(), server, acceptor: Some(acceptor), _socket: socket })
    }

    /// Where clients find it: `nbd+unix:///?socket=<path>`, the path percent-encoded.
    pub fn uri(&self) -> String {
        self.uri.clone()
    }

    /// The first error of the source. Clients only see "I/O error": this tells a source that failed from a guest whose file
    /// system is corrupt.
    pub fn first_error(&self) -> Option<PluginError> {
        self.server.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.server.stop();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for client in self.server.take_clients() {
            let _ = client.thread.join();
        }
    }
}

struct Server {
    shared: Shared,
    listener: UnixListener,
    stopping: AtomicBool,
    clients: Mutex<Vec<Client>>,
}

struct Client {
    stream: UnixStream,
    thread: JoinHandle<()>,
}

impl Server {
    fn accept(self: &Arc<Self>) {
        while !self.stopping.load(Ordering::Acquire) {
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(_) if self.stopping.load(Ordering::Acquire) => break,
                Err(error) => {
                    // Out of descriptors, most likely: connections that end give some back.
                    tracing::warn!("the export cannot accept a connection: {error}");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: UnixStream) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        // Threads that are done need no waiting for.
        clients.retain(|client| !client.thread.is_finished());
        // Looked at under the lock: whoever stops the export takes the lock after setting the flag.
        if self.stopping.load(Ordering::Acquire) {
            return;
        }
        if clients.len() >= MAX_CONNECTIONS {
            tracing::warn!("the export has {MAX_CONNECTIONS} clients and turns a further one away");
            return;
        }
        let server = Arc::clone(self);
        let started = stream.try_clone().and_then(|own| {
            std::thread::Builder::new().name("export-client".to_owned()).spawn(move || {
                if let Err(error) = serve(&own, &server.shared) {
                    tracing::debug!("a client of the export ended: {error}");
                }
                // The server's copy keeps the socket open, so that the client is told.
                let _ = own.shutdown(std::net::Shutdown::Both);
            })
        });
        match started {
            Ok(thread) => clients.push(Client { stream, thread }),
            Err(error) => tracing::warn!("the export cannot serve a client: {error}"),
        }
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        // Wakes the accepting thread: on Linux `accept` on a socket that was shut down returns EINVAL.
        let _ = rustix::net::shutdown(self.listener.as_fd(), rustix::net::Shutdown::Both);
        for client in self.clients.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = client.stream.shutdown(std::net::Shutdown::Both);
        }
    }

    fn take_clients(&self) -> Vec<Client> {
        std::mem::take(&mut *self.clients.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
