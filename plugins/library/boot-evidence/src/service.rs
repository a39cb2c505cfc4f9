//! Waits for a service of the guest to answer through a forwarded port: an sshd, a remote desktop, WinRM.
//!
//! Who forwards accepts a connection at once and then tries the guest, so a connection proves nothing; only the guest's own words do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// After this long without a word a new connection is made.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two connections.
const PAUSE: Duration = Duration::from_secs(1);
/// RFC 4253, section 4.2: an identification string has at most 255 bytes; other lines may come before it. The others say less.
const LONGEST: usize = 4096;

/// A request for a remote desktop with TLS or CredSSP ([MS-RDPBCGR], section 2.2.1.1).
const RDP_REQUEST: [u8; 19] = [3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0];
/// WinRM lives on Windows' own HTTP server, which answers whatever the request is worth.
const HTTP_REQUEST: &[u8] = b"GET /wsman HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n";
const HTTP_SERVER: &str = "server: microsoft-httpapi/";

/// A service that is looked for again and again.
#[derive(Debug)]
pub struct Service {
    protocol: Protocol,
    address: SocketAddr,
    connection: Option<(TcpStream, Vec<u8>, Instant)>,
    next: Instant,
}

/// How a service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Says who it is by itself.
    Ssh,
    /// Remote desktop, usually at port 3389.
    Rdp,
    /// Remote management of Windows, usually at port 5985.
    WinRm,
}

impl Protocol {
    /// Stable word for a verdict.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Ssh => "sshd",
            Self::Rdp => "rdp",
            Self::WinRm => "winrm",
        }
    }

    /// The port where it usually is.
    pub fn port(self) -> u16 {
        match self {
            Self::Ssh => 22,
            Self::Rdp => 3389,
            Self::WinRm => 5985,
        }
    }

    fn request(self) -> &'static [u8] {
        match self {
            Self::Ssh => &[],
            Self::Rdp => &RDP_REQUEST,
            Self::WinRm => HTTP_REQUEST,
        }
    }

    /// The service's own words among what was heard.
    fn answer(self, heard: &[u8]) -> Option<String> {
        match self {
            Self::Ssh => banner(heard),
            // A connection is confirmed, or refused for its kind of security.
            Self::Rdp => {
                matches!(heard, [3, 0, _, _, _, code, ..] if code & 0xf0 == 0xd0).then(|| "a remote desktop".to_owned())
            }
            Self::WinRm => {
                let text = String::from_utf8_lossy(heard);
                let is_http = text.starts_with("HTTP/1.");
                let mut lines = text.split_inclusive("\r\n").filter(|line| line.ends_with("\r\n"));
                let found = lines.any(|line| line.to_ascii_lowercase().starts_with(HTTP_SERVER));
                (is_http && found).then(|| "Windows' own HTTP server".to_owned())
            }
        }
    }
}

impl Service {
    /// `port`: the port of this machine that leads to the guest's.
    pub fn new(protocol: Protocol, port: u16) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { protocol, address, connection: None, next: Instant::now() }
    }

    /// An sshd; `port`: the forwarded port of this machine.
    pub fn sshd(port: u16) -> Self {
        Self::new(Protocol::Ssh, port)
    }

    /// How it is asked.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Its words (an sshd's identification string), once they have come. Does not wait.
    pub fn poll(&mut self) -> Option<String> {
        let now = Instant::now();
        if self.connection.is_none() && now >= self.next {
            self.next = now + PAUSE;
            let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_millis(200)).ok()?;
            stream.set_nonblocking(true).ok()?;
            // So little fits into any connection at once.
            stream.write_all(self.protocol.request()).ok()?;
            self.connection = Some((stream, Vec::new(), now));
        }
        let (stream, heard, since) = self.connection.as_mut()?;
        let mut buffer = [0; 512];
        let ended = match stream.read(&mut buffer) {
            Ok(0) => true,
            Ok(read) => {
                heard.extend_from_slice(&buffer[..read]);
                heard.len() > LONGEST
            }
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        let answer = self.protocol.answer(heard);
        if answer.is_some() || ended || since.elapsed() > PATIENCE {
            self.connection = None;
        }
        answer
    }
}

/// The identification string among the lines heard.
fn banner(heard: &[u8]) -> Option<String> {
    heard
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n"))
        .find(|line| line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.99-"))
        .map(|line| crate::text::shown(&String::from_utf8_lossy(line)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    #[test]
    fn only_the_whole_identification_counts() {
        assert_eq!(banner(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n").as_deref(), Some("SSH-2.0-OpenSSH_9.2p1 Debian-2"));
        assert_eq!(banner(b"hello\r\nSSH-1.99-x\n").as_deref(), Some("SSH-1.99-x"));
        for none in [&b"SSH-2.0-Open"[..], b"HTTP/1.1 400 Bad\r\n", b"xSSH-2.0-\n", b""] {
            assert_eq!(banner(none), None);
        }
    }

    #[test]
    fn other_services_have_to_speak_their_protocol() {
        let table: [(Protocol, &[u8], bool); 7] = [
            (Protocol::Rdp, &[3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0x1f, 8, 0, 2, 0, 0, 0], true),
            (Protocol::Rdp, &[3, 0, 0, 19, 14], false),
            (Protocol::Rdp, b"SSH-2.0-x\r\n", false),
            (Protocol::Rdp, b"", false),
            (Protocol::WinRm, b"HTTP/1.1 405 \r\nAllow: POST\r\nServer: Microsoft-HTTPAPI/2.0\r\n\r\n", true),
            (Protocol::WinRm, b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\n\r\n", false),
            (Protocol::WinRm, b"HTTP/1.1 405 \r\nServer: Microsoft-HTTPAPI/2.0", false),
        ];
        for (protocol, heard, wanted) in table {
            assert_eq!(protocol.answer(heard).is_some(), wanted, "{protocol:?} {heard:?}");
        }
    }

    #[test]
    fn it_tries_again_after_a_connection_that_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sshd = Service::sshd(listener.local_addr().unwrap().port());
        assert_eq!(sshd.poll(), None);
        drop(listener.accept().unwrap());
        let begin = Instant::now();
        listener.set_nonblocking(true).unwrap();
        loop {
            if let Ok((mut stream, _)) = listener.accept() {
                stream.write_all(b"SSH-2.0-test\r\n").unwrap();
                std::mem::forget(stream);
            }
            if let Some(banner) = sshd.poll() {
                assert_eq!(banner, "SSH-2.0-test");
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
