//! A connection by libssh2: its algorithms, the host's key, and commands on it. Who logs in is the business of [`super::login`], which
//! key is believed that of [`super::trust`].

use std::io::{ErrorKind as Io, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use ssh2::{Channel, MethodType, Session};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};

use super::address::Address;
use super::login::Login;
use super::shell::{Ended, Failed, Shell, Stream};
use super::trust::Trust;

/// What libssh2 decrypts fastest comes first: its GCM takes two to three times as long as its own CTR. A host has AES only.
const CIPHERS: &str = "aes128-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com";
/// Digests of packets, for the ciphers that have none in them.
const MACS: &str = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";
/// How long a host may take to answer at all.
const CONNECT: Duration = Duration::from_secs(15);
/// How long is waited for bytes before it is looked whether the run was stopped.
const LOOK: Duration = Duration::from_secs(1);
/// How often somebody has to say that somebody is there, in seconds.
const ALIVE: u32 = 60;
/// What is kept of what a command says beside its output, in bytes.
const SAID: u64 = 4096;
/// The most that libssh2 is asked for at once, in bytes: it lets a host send that much more ahead, and OpenSSH copies all that waits to be sent
/// for every 16 KiB that it adds to it.
const PIECE: usize = 128 << 10;
/// What a host may send of a command's output ahead of who reads, in bytes: libssh2's own 2 MiB are 50 MB/s over a line of 40 ms there and back;
/// 8 MiB cost a quarter of the rate on a fast one.
const WINDOW: u32 = 4 << 20;
/// The largest packet, as libssh2 has it.
const PACKET: u32 = 32 << 10;

/// libssh2's codes: LIBSSH2_ERROR_TIMEOUT, LIBSSH2_ERROR_EAGAIN.
const TIMEOUT: i32 = -9;
const AGAIN: i32 = -37;
/// LIBSSH2_ERROR_KEX_FAILURE, LIBSSH2_ERROR_METHOD_NONE, LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE: nothing that both know.
const NOTHING_IN_COMMON: [i32; 3] = [-5, -17, -8];

/// A connection that is logged in.
pub struct Connection {
    host: Host,
    server: String,
    session: Session,
    patience: Duration,
}

impl Connection {
    /// Connects, makes sure who is there, and logs in. `patience`: how long a host may say nothing.
    pub fn open(host: &Host, address: &Address, trust: &Trust, login: &Login, patience: Duration) -> Result<Self> {
        let server = escape(&address.server()).into_owned();
        let stream = dial(host, address, &server)?;
        let failed = |error: ssh2::Error| handshake_failed(&server, &error);
        let mut session = Session::new().map_err(failed)?;
        session.set_tcp_stream(stream);
        session.set_timeout(millis(patience));
        session.method_pref(MethodType::CryptCs, CIPHERS).map_err(failed)?;
        session.method_pref(MethodType::CryptSc, CIPHERS).map_err(failed)?;
        session.method_pref(MethodType::MacCs, MACS).map_err(failed)?;
        session.method_pref(MethodType::MacSc, MACS).map_err(failed)?;
        if let Some(kinds) = trust.preference(&session) {
            session.method_pref(MethodType::HostKey, &kinds).map_err(failed)?;
        }
        session.handshake().map_err(failed)?;
        let key = session.host_key().map(|(key, _)| key.to_vec());
        let key = key.ok_or_else(|| PluginError::io(format!("{server} shows no host key")))?;
        trust.check(address, &key)?;
        login.log_in(&session, address, &server)?;
        session.set_keepalive(true, ALIVE);
        Ok(Self { host: host.clone(), server, session, patience })
    }

    fn lost(&self, doing: &str, why: &dyn std::fmt::Display) -> Failed {
        let message = format!("the connection to {} broke while {doing}: {}", self.server, escape(&why.to_string()));
        Failed::Lost(PluginError::io(message).hint("run the same command again: it goes on where it was"))
    }

    /// Repeats what times out until patience ends or the run is stopped.
    fn patiently<T>(&self, doing: &str, mut work: impl FnMut() -> Result<T, Pause>) -> Result<T, Failed> {
        let began = Instant::now();
        loop {
            self.host.check_cancelled().map_err(Failed::Final)?;
            match work() {
                Ok(done) => return Ok(done),
                Err(Pause::Broken(why)) => return Err(self.lost(doing, &why)),
                Err(Pause::Nothing) if began.elapsed() >= self.patience => {
                    let silent = format!("nothing came for {} s", self.patience.as_secs());
                    return Err(self.lost(doing, &silent));
                }
                Err(Pause::Nothing) => {}
            }
        }
    }
}

/// Why there is nothing yet.
enum Pause {
    Nothing,
    Broken(String),
}

impl From<ssh2::Error> for Pause {
    fn from(error: ssh2::Error) -> Self {
        match error.code() {
            ssh2::ErrorCode::Session(TIMEOUT | AGAIN) => Self::Nothing,
            _ => Self::Broken(error.message().to_owned()),
        }
    }
}

impl From<std::io::Error> for Pause {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            Io::TimedOut | Io::WouldBlock | Io::Interrupted => Self::Nothing,
            _ => Self::Broken(error.to_string()),
        }
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// A TCP connection to one of the host's addresses.
fn dial(host: &Host, address: &Address, server: &str) -> Result<TcpStream> {
    let unreachable = |why: &std::io::Error| {
        PluginError::io(format!("{server} is not reached by SSH: {why}"))
            .hint("look at the name and the network; a firewall of the host may keep port 22 closed")
    };
    let addresses = (address.host.as_str(), address.port).to_socket_addrs().map_err(|error| unreachable(&error))?;
    let mut last = std::io::Error::new(Io::NotFound, "the name has no address");
    for place in addresses {
        host.check_cancelled()?;
        match TcpStream::connect_timeout(&place, CONNECT) {
            Ok(stream) => {
                // Requests are small, and each one waits for its answer.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    if last.kind() == Io::ConnectionRefused {
        return Err(PluginError::io(format!("{server} refuses SSH (host-ssh-off)")).hint(
            "start the service SSH of the host: in its web client under Manage, Services, TSM-SSH, or on its console under \
             Troubleshooting Options; or read it by its API: vsphere://",
        ));
    }
    Err(unreachable(&last))
}

fn handshake_failed(server: &str, error: &ssh2::Error) -> PluginError {
    let why = escape(error.message()).into_owned();
    let failed = PluginError::io(format!("{server} and this program do not come to terms on SSH: {why}"));
    match error.code() {
        ssh2::ErrorCode::Session(code) if NOTHING_IN_COMMON.contains(&code) => {
            failed.of_kind(ErrorKind::Unusable).hint(
                "they have no algorithm in common: a host that is so old that its only host key is ssh-rsa with SHA-1 is not \
                 talked to; read it by its API: vsphere://",
            )
        }
        _ => failed.hint("run the same command again"),
    }
}

impl Shell for Connection {
    fn exec(&mut self, command: &str) -> Result<Box<dyn Stream + '_>, Failed> {
        self.session.set_timeout(millis(self.patience));
        let opened = self.session.channel_open("session", WINDOW, PACKET, None).and_then(|mut channel| {
            channel.exec(command)?;
            Ok(channel)
        });
        let channel = opened.map_err(|error| self.lost("starting a command", &error.message()))?;
        self.session.set_timeout(millis(LOOK));
        Ok(Box::new(Running { connection: self, channel }))
    }

    fn keep_alive(&mut self) -> Result<(), Failed> {
        self.session.keepalive_send().map(drop).map_err(|error| self.lost("resting", &error.message()))
    }
}

/// A command that runs.
struct Running<'a> {
    connection: &'a Connection,
    channel: Channel,
}

impl Stream for Running<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failed> {
        let length = buffer.len().min(PIECE);
        let (channel, buffer) = (&mut self.channel, &mut buffer[..length]);
        self.connection.patiently("reading", || channel.read(buffer).map_err(Pause::from))
    }

    fn end(mut self: Box<Self>) -> Result<Ended, Failed> {
        let Self { connection, channel } = &mut *self;
        let mut said = Vec::new();
        connection.patiently("reading", || {
            let rest = SAID.saturating_sub(said.len() as u64);
            channel.stderr().take(rest).read_to_end(&mut said).map(drop).map_err(Pause::from)
        })?;
        let ending = "waiting for a command's end";
        connection.patiently(ending, || channel.close().map_err(Pause::from))?;
        connection.patiently(ending, || channel.wait_close().map_err(Pause::from))?;
        let killed = channel.exit_signal().is_ok_and(|signal| signal.exit_signal.is_some());
        let status = channel.exit_status().map_err(|error| connection.lost(ending, &error.message()))?;
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok(Ended { status: (!killed).then_some(status), said })
    }
}
