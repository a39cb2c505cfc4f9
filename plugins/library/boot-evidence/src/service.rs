//! Waits for a service of the guest (an sshd) to introduce itself through a forwarded port.
//!
//! Who forwards accepts a connection at once and then tries the guest, so a connection proves nothing; only the guest's own words do.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// After this long without a word a new connection is made.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two connections.
const PAUSE: Duration = Duration::from_secs(1);
/// RFC 4253, section 4.2: an identification string has at most 255 bytes; other lines may come before it.
const LONGEST: usize = 4096;

/// A service that is looked for again and again.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    connection: Option<(TcpStream, Vec<u8>, Instant)>,
    next: Instant,
}

impl Service {
    /// An sshd; `port`: the forwarded port of this machine.
    pub fn sshd(port: u16) -> Self {
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), connection: None, next: Instant::now() }
    }

    /// The identification string, once it has come. Does not wait.
    pub fn poll(&mut self) -> Option<String> {
        let now = Instant::now();
        if self.connection.is_none() && now >= self.next {
            self.next = now + PAUSE;
            let stream = TcpStream::connect_timeout(&self.address, Duration::from_millis(200)).ok()?;
            stream.set_nonblocking(true).ok()?;
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
        let banner = banner(heard);
        if banner.is_some() || ended || since.elapsed() > PATIENCE {
            self.connection = None;
        }
        banner
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
