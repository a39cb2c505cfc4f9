//! Messages byte by byte: what a client may not do, and that no client can hold the export up.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use super::super::wire::*;
use super::*;

struct Client(UnixStream);

impl Client {
    /// Connected, greeted, and with the client's flags sent.
    fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut client = Self(stream);
        let greeting: [u8; 18] = client.receive();
        assert_eq!(&greeting, b"NBDMAGICIHAVEOPT\0\x03");
        client.send(&[&3u32.to_be_bytes()]);
        client
    }

    /// In transmission with simple replies.
    fn ready(socket: &Path) -> Self {
        let mut client = Self::connect(socket);
        client.option(OPT_EXPORT_NAME, &[]);
        let answer: [u8; 10] = client.receive();
        assert_eq!(answer[..8], (20 * MIB).to_be_bytes());
        assert_eq!(u16::from_be_bytes([answer[8], answer[9]]), HAS_FLAGS | READ_ONLY | SEND_FLUSH | CAN_MULTI_CONN);
        client
    }

    fn send(&mut self, parts: &[&[u8]]) {
        self.0.write_all(&parts.concat()).unwrap();
    }

    fn receive<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn gone(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 1]), Ok(0) | Err(_))
    }

    fn option(&mut self, option: u32, data: &[u8]) {
        let length = (data.len() as u32).to_be_bytes();
        self.send(&[&IHAVEOPT.to_be_bytes(), &option.to_be_bytes(), &length, data]);
    }

    /// The kind and data of an option's reply.
    fn reply(&mut self) -> (u32, Vec<u8>) {
        let header: [u8; 20] = self.receive();
        assert_eq!(header[..8], OPTION_REPLY_MAGIC.to_be_bytes());
        let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        let mut data = vec![0; number(16) as usize];
        self.0.read_exact(&mut data).unwrap();
        (number(12), data)
    }

    fn request(&mut self, command: u16, offset: u64, length: u32) {
        let magic = REQUEST_MAGIC.to_be_bytes();
        self.send(&[
            &magic,
            &[0, 0],
            &command.to_be_bytes(),
            b"a cookie",
            &offset.to_be_bytes(),
            &length.to_be_bytes(),
        ]);
    }

    /// The error number of a simple reply.
    fn error(&mut self) -> u32 {
        let reply: [u8; 16] = self.receive();
        assert_eq!(reply[..4], SIMPLE_REPLY_MAGIC.to_be_bytes());
        assert_eq!(&reply[8..], b"a cookie");
        u32::from_be_bytes(reply[4..8].try_into().unwrap())
    }
}

#[test]
fn writes_are_refused_and_the_connection_goes_on() {
    let (_folder, socket, export) = start(Disk::new());
    let mut client = Client::ready(&socket);
    client.request(CMD_WRITE, 0, 70_000);
    client.send(&[&[0x25; 70_000]]);
    assert_eq!(client.error(), EPERM);
    for command in [CMD_TRIM, CMD_WRITE_ZEROES] {
        client.request(command, 0, 4096);
        assert_eq!(client.error(), EPERM);
    }
    client.request(CMD_FLUSH, 0, 0);
    assert_eq!(client.error(), 0);
    client.request(CMD_READ, 0, 4);
    assert_eq!(client.error(), 0);
    assert_eq!(client.receive::<4>(), Disk::new().bytes[..4]);
    assert_eq!(export.first_error(), None);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let (_folder, socket, export) = start(Disk::new());
    let mut client = Client::ready(&socket);
    for (command, offset, length) in [
        (CMD_READ, 20 * MIB, 1),
        (CMD_READ, 20 * MIB - 1, 2),
        (CMD_READ, u64::MAX, 2),
        (CMD_READ, 0, 0),
        (CMD_READ, 0, MAX_REQUEST + 1),
        (CMD_READ, 0, u32::MAX),
        (CMD_BLOCK_STATUS, 0, 4096),
        (99, 0, 0),
    ] {
        client.request(command, offset, length);
        assert_eq!(client.error(), EINVAL, "{command} {offset} {length}");
    }
    assert_eq!(export.first_error(), None);
}

#[test]
fn a_broken_client_is_hung_up_on_and_the_next_one_is_served() {
    let (_folder, socket, export) = start(Disk::new());
    let mut bad_magic = Client::ready(&socket);
    bad_magic.send(&[&[0; 28]]);
    assert!(bad_magic.gone());
    let mut long_write = Client::ready(&socket);
    long_write.request(CMD_WRITE, 0, MAX_REQUEST + 1);
    assert!(long_write.gone());
    let mut long_option = Client::connect(&socket);
    long_option.send(&[&IHAVEOPT.to_be_bytes(), &OPT_GO.to_be_bytes(), &u32::MAX.to_be_bytes()]);
    assert!(long_option.gone());
    let mut unknown_export = Client::connect(&socket);
    unknown_export.option(OPT_EXPORT_NAME, b"other");
    assert!(unknown_export.gone());
    let mut endless = Client::connect(&socket);
    for _ in 0..128 {
        endless.option(OPT_LIST, &[]);
        assert_eq!(endless.reply(), (REP_SERVER, vec![0; 4]));
        assert_eq!(endless.reply().0, REP_ACK);
    }
    assert!(endless.gone());
    let mut quiet = UnixStream::connect(&socket).unwrap();
    quiet.write_all(b"\0").unwrap();
    let mut client = Client::ready(&socket);
    client.request(CMD_READ, 0, 1);
    assert_eq!(client.error(), 0);
    assert_eq!(export.first_error(), None);
}

#[test]
fn options_are_answered_or_refused_one_by_one() {
    let (_folder, socket, _export) = start(Disk::new());
    let mut client = Client::connect(&socket);
    client.option(5, &[]);
    assert_eq!(client.reply().0, REP_ERR_UNSUP, "TLS is not offered");
    client.option(OPT_SET_META_CONTEXT, &[0; 8]);
    assert_eq!(client.reply().0, REP_ERR_INVALID, "before structured replies");
    client.option(OPT_STRUCTURED_REPLY, &[]);
    assert_eq!(client.reply().0, REP_ACK);
    client.option(OPT_SET_META_CONTEXT, b"\0\0\0\0\xff\xff\xff\xff\0\0\0\0");
    assert_eq!(client.reply().0, REP_ERR_INVALID, "a count that is not true");
    client.option(OPT_LIST_META_CONTEXT, b"\0\0\0\0\0\0\0\0");
    assert_eq!(client.reply(), (REP_META_CONTEXT, b"\0\0\0\0base:allocation".to_vec()));
    assert_eq!(client.reply().0, REP_ACK);
    client.option(OPT_SET_META_CONTEXT, b"\0\0\0\0\0\0\0\x01\0\0\0\x0fbase:allocation");
    assert_eq!(client.reply(), (REP_META_CONTEXT, b"\0\0\0\x01base:allocation".to_vec()));
    assert_eq!(client.reply().0, REP_ACK);
    client.option(OPT_GO, b"\0\0\0\x05other\0\0");
    assert_eq!(client.reply().0, REP_ERR_UNKNOWN);
    client.option(OPT_GO, b"\0\0\0\xff\0\0");
    assert_eq!(client.reply().0, REP_ERR_INVALID);
    client.option(OPT_INFO, &[0; 6]);
    assert_eq!([client.reply().0, client.reply().0, client.reply().0], [REP_INFO, REP_INFO, REP_ACK]);
    client.option(OPT_ABORT, &[]);
    assert_eq!(client.reply().0, REP_ACK);
    assert!(client.gone());
}

/// Requests that are on their way when the client says goodbye are still answered, what follows the goodbye is not.
#[test]
fn goodbye_comes_after_the_answers() {
    let (_folder, socket, _export) = start(Disk::new());
    let mut client = Client::ready(&socket);
    for _ in 0..20 {
        client.request(CMD_READ, 0, 100_000);
    }
    client.request(CMD_DISC, 0, 0);
    let mut answers = Vec::new();
    client.0.read_to_end(&mut answers).unwrap();
    assert_eq!(answers.len(), 20 * (16 + 100_000));
}

/// Clients that are silent, stalled in the middle of a request, or do not take their answers.
#[test]
fn stopping_waits_for_nobody() {
    let (_folder, socket, export) = start(Disk::new());
    let _silent = UnixStream::connect(&socket).unwrap();
    let mut torn = Client::ready(&socket);
    torn.send(&[&REQUEST_MAGIC.to_be_bytes()]);
    let mut deaf = Client::ready(&socket);
    for _ in 0..20 {
        deaf.request(CMD_READ, 0, 8 << 20);
    }
    let (stopped, wait) = mpsc::channel();
    let stopping = std::thread::spawn(move || {
        drop(export);
        stopped.send(()).unwrap();
    });
    wait.recv_timeout(Duration::from_secs(30)).expect("the export did not stop");
    stopping.join().unwrap();
    assert!(!socket.exists());
    assert!(UnixStream::connect(&socket).is_err());
}

#[test]
fn clients_are_counted() {
    let (_folder, socket, _export) = start(Disk::new());
    let clients: Vec<_> = (0..16).map(|_| Client::ready(&socket)).collect();
    let mut further = UnixStream::connect(&socket).unwrap();
    assert!(matches!(further.read(&mut [0; 1]), Ok(0) | Err(_)));
    drop(clients);
    // Their threads end by and by.
    let served = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let mut again = UnixStream::connect(&socket).unwrap();
        matches!(again.read(&mut [0; 1]), Ok(1))
    });
    assert!(served);
}
