//! The client against a server that lies, stalls and hangs up: each is an error that says what was wrong, soon, and without taking much memory.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::wire::*;
use super::*;
use crate::nbd::{Address, Limits, Options, RemoteDisk};

pub(super) const SIZE: u64 = 1 << 20;

/// One end of a conversation, as a server has it.
pub(super) struct Peer(pub UnixStream);

impl Peer {
    /// Whether the client has hung up.
    pub(super) fn has_gone(&mut self) -> bool {
        self.0.write(&[]).is_err() || self.0.take_error().is_ok_and(|error| error.is_some())
    }

    pub(super) fn send(&mut self, parts: &[&[u8]]) {
        // A client that has seen enough hangs up.
        let _ = self.0.write_all(&parts.concat());
    }

    pub(super) fn receive<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).ok().map(|()| bytes)
    }

    pub(super) fn greet(&mut self, flags: u16) {
        self.send(&[b"NBDMAGICIHAVEOPT", &flags.to_be_bytes()]);
        self.receive::<4>();
    }

    /// The next option and its data.
    pub(super) fn option(&mut self) -> Option<(u32, Vec<u8>)> {
        let header: [u8; 16] = self.receive()?;
        let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        let mut data = vec![0; number(12) as usize];
        self.0.read_exact(&mut data).ok()?;
        Some((number(8), data))
    }

    pub(super) fn reply(&mut self, option: u32, kind: u32, data: &[u8]) {
        let length = (data.len() as u32).to_be_bytes();
        self.send(&[&OPTION_REPLY_MAGIC.to_be_bytes(), &option.to_be_bytes(), &kind.to_be_bytes(), &length, data]);
    }

    /// An honest handshake with all there is.
    pub(super) fn shake_hands(&mut self) {
        self.greet(3);
        while let Some((option, _)) = self.option() {
            match option {
                OPT_SET_META_CONTEXT => self.reply(option, REP_META_CONTEXT, b"\0\0\0\x07base:allocation"),
                OPT_GO => self.reply(option, REP_INFO, &export_info(SIZE, HAS_FLAGS | READ_ONLY)),
                _ => {}
            }
            self.reply(option, REP_ACK, &[]);
            if option == OPT_GO {
                return;
            }
        }
    }

    /// The cookie of the next request.
    pub(super) fn request(&mut self) -> Option<[u8; 8]> {
        let request: [u8; 28] = self.receive()?;
        (u16::from_be_bytes([request[6], request[7]]) != CMD_DISC).then(|| request[8..16].try_into().unwrap())
    }

    pub(super) fn chunk(&mut self, cookie: [u8; 8], done: bool, kind: u16, length: u32, data: &[u8]) {
        let magic = STRUCTURED_REPLY_MAGIC.to_be_bytes();
        self.send(&[&magic, &u16::from(done).to_be_bytes(), &kind.to_be_bytes(), &cookie, &length.to_be_bytes(), data]);
    }
}

pub(super) fn export_info(size: u64, flags: u16) -> Vec<u8> {
    [&INFO_EXPORT.to_be_bytes()[..], &size.to_be_bytes(), &flags.to_be_bytes()].concat()
}

/// A server that treats every connection like this.
pub(super) struct Fake {
    _folder: TempDir,
    socket: PathBuf,
    thread: Option<JoinHandle<()>>,
    ending: Arc<AtomicBool>,
}

impl Fake {
    pub(super) fn start(script: impl Fn(Peer) + Send + Sync + 'static) -> Self {
        let (folder, socket) = folder();
        let listener = UnixListener::bind(&socket).unwrap();
        let ending = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ending);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                script(Peer(stream.unwrap()));
            }
        });
        Self { _folder: folder, socket, thread: Some(thread), ending }
    }

    pub(super) fn open(&self, options: Options) -> Result<RemoteDisk> {
        RemoteDisk::open(Address::unix(&self.socket), options)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(&self.socket);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

pub(super) fn hasty() -> Options {
    let limit = Duration::from_millis(300);
    Options { retries: 0, limits: Limits { handshake: limit, silence: limit, answer: 3 * limit }, ..Options::default() }
}

/// The end of the message for a server that greets like this.
fn refused(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> String {
    let fake = Fake::start(move |mut peer| script(&mut peer));
    let error = fake.open(hasty()).map(|_| ()).unwrap_err();
    drop(fake);
    error.message.split_once(".sock: ").unwrap().1.to_owned()
}

/// The same for a server that answers GO like this.
fn refused_go(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> String {
    refused(move |peer| {
        peer.greet(3);
        while let Some((option, _)) = peer.option() {
            match option {
                OPT_GO => return script(peer),
                _ => peer.reply(option, REP_ERR_UNSUP, b"no"),
            }
        }
    })
}

#[test]
fn a_handshake_that_makes_no_sense_is_refused() {
    let broken = |why: &str| format!("the server breaks the protocol: {why}");
    let said = refused(|peer| peer.send(&[b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"]));
    assert_eq!(said, broken("it does not greet as an NBD server"));
    let said = refused(|peer| peer.send(&[b"NBDMAGIC\0\0\x42\x02\x81\x86\x12\x53", &[0; 136]]));
    assert_eq!(said, broken("it only speaks the oldstyle handshake"));
    let said = refused(|peer| peer.greet(0));
    assert_eq!(said, broken("it does not speak the fixed newstyle handshake"));
    let said = refused(|peer| {
        peer.greet(3);
        peer.option();
        let length = u32::MAX.to_be_bytes();
        let magic = OPTION_REPLY_MAGIC.to_be_bytes();
        peer.send(&[&magic, &OPT_STRUCTURED_REPLY.to_be_bytes(), &REP_ACK.to_be_bytes(), &length]);
        peer.option();
    });
    assert_eq!(said, broken("a reply to option 8 has 4294967295 bytes"));
    let said = refused_go(|peer| peer.reply(OPT_LIST, REP_ACK, &[]));
    assert_eq!(said, broken("it answers option 3, and 7 was asked"));
    let said = refused_go(|peer| peer.reply(OPT_GO, REP_ACK, &[]));
    assert_eq!(said, broken("it selects an export and does not describe it"));
    let said = refused_go(|peer| peer.reply(OPT_GO, REP_SERVER, &[]));
    assert_eq!(said, broken("it answers option 7 with reply 0x2"));
    let said = refused_go(|peer| peer.reply(OPT_GO, REP_INFO, &export_info(SIZE, 0)));
    assert_eq!(said, broken("its flags for the export are not valid"));
    let said = refused_go(|peer| {
        peer.reply(OPT_GO, REP_INFO, &export_info(u64::MAX, HAS_FLAGS));
        peer.reply(OPT_GO, REP_ACK, &[]);
    });
    assert_eq!(said, broken("it says that the disk has 18446744073709551615 bytes"));
    let said = refused_go(|peer| {
        let sizes = [3u32, 4096, 4096].map(u32::to_be_bytes).concat();
        peer.reply(OPT_GO, REP_INFO, &[&INFO_BLOCK_SIZE.to_be_bytes()[..], &sizes].concat());
    });
    assert_eq!(said, broken("its block sizes make no sense: 3, 4096 and 4096"));
    let said = refused_go(|peer| (0..100).for_each(|_| peer.reply(OPT_GO, REP_INFO, &[0, 9])));
    assert_eq!(said, broken("its replies about the export do not end"));
    let said = refused_go(|peer| peer.reply(OPT_GO, REP_INFO, &[0]));
    assert_eq!(said, broken("a reply about the export has a wrong length"));
    let said = refused_go(|peer| peer.reply(OPT_GO, REP_ERR_TLS_REQD, b""));
    assert_eq!(said, "the server demands TLS, which is not spoken here");
    let said = refused(|peer| {
        peer.greet(3);
        peer.option();
        peer.reply(OPT_STRUCTURED_REPLY, REP_ERR_TLS_REQD, b"use certificates");
    });
    assert_eq!(said, "the server demands TLS, which is not spoken here: use certificates");
    assert_eq!(refused(|_| ()), "the server cannot be reached: the server closed it");
    let said = refused(|peer| drop(peer.0.read(&mut [0; 1])));
    assert_eq!(said, "the server has not answered for 0.3 seconds");
}

/// The error of a read from a server that answers like this, with the cookie of the request at hand.
fn read_error(script: impl Fn(&mut Peer, [u8; 8]) + Send + Sync + 'static) -> PluginError {
    let fake = Fake::start(move |mut peer| {
        peer.shake_hands();
        if let Some(cookie) = peer.request() {
            script(&mut peer, cookie);
            // Whatever follows is the client's end.
            peer.request();
        }
    });
    let disk = fake.open(hasty()).unwrap();
    let error = disk.read_at(4096, &mut [0; 512]).unwrap_err();
    drop(disk);
    error
}

fn data(at: u64, length: usize) -> Vec<u8> {
    [&at.to_be_bytes()[..], &vec![7; length]].concat()
}

#[test]
fn an_answer_that_makes_no_sense_is_refused() {
    let broken = |script: fn(&mut Peer, [u8; 8]), why: &str| {
        let error = read_error(script);
        assert_eq!(error.kind, ErrorKind::Unusable, "{error}");
        assert!(error.message.ends_with(&format!("the server breaks the protocol: {why}")), "{error} / {why}");
    };
    broken(|peer, _| peer.send(&[&[0; 32]]), "a reply does not begin with its magic number");
    broken(|peer, _| peer.chunk([9; 8], true, REPLY_NONE, 0, &[]), "it answers a request that is not under way");
    broken(
        |peer, cookie| peer.chunk(cookie, true, REPLY_NONE, 0, &[]),
        "an answer has not all of the bytes that were asked for",
    );
    broken(
        |peer, cookie| peer.chunk(cookie, true, REPLY_OFFSET_DATA, 8 + 511, &data(4096, 511)),
        "an answer has not all of the bytes that were asked for",
    );
    broken(
        |peer, cookie| peer.chunk(cookie, true, REPLY_OFFSET_DATA, 8 + 513, &data(4096, 513)),
        "an answer has bytes that were not asked for",
    );
    broken(
        |peer, cookie| peer.chunk(cookie, true, REPLY_OFFSET_DATA, u32::MAX, &data(4096, 512)),
        "an answer has bytes that were not asked for",
    );
    broken(
        |peer, cookie| peer.chunk(cookie, true, REPLY_OFFSET_DATA, 8 + 512, &data(0, 512)),
        "an answer has bytes that were not asked for",
    );
    broken(
        |peer, cookie| peer.chunk(cookie, true, REPLY_OFFSET_DATA, 4, &[0; 4]),
        "a chunk is too short for what it is",
    );
    broken(
        |peer, cookie| {
            peer.chunk(cookie, false, REPLY_OFFSET_DATA, 8 + 512, &data(4096, 512));
            peer.chunk(cookie, true, REPLY_OFFSET_DATA, 8 + 1, &data(4100, 1));
        },
        "an answer has the same bytes twice",
    );
    broken(
        |peer, cookie| {
            peer.chunk(cookie, true, REPLY_OFFSET_HOLE, 16, &[&data(4096, 0)[..], &[0, 0, 2, 0, 1, 1, 1, 1]].concat())
        },
        "a chunk is longer than what it is",
    );
    broken(
        |peer, cookie| peer.chunk(cookie, true, 77, u32::MAX, &[]),
        "a chunk of type 77 with 4294967295 bytes does not belong to the answer",
    );
    broken(
        |peer, cookie| peer.chunk(cookie, true, REPLY_BLOCK_STATUS, 12, &[0; 12]),
        "a chunk of type 5 with 12 bytes does not belong to the answer",
    );
    broken(|peer, cookie| peer.chunk(cookie, true, REPLY_ERROR, 6, &[0; 6]), "an error makes no sense");
    broken(
        |peer, cookie| peer.chunk(cookie, true, REPLY_ERROR, 8, &[0, 0, 0, 5, 0xff, 0xff, 1, 1]),
        "an error makes no sense",
    );
    broken(
        |peer, cookie| peer.send(&[&SIMPLE_REPLY_MAGIC.to_be_bytes(), &[0; 4], &cookie, &[0; 512]]),
        "a simple reply where a structured one is due",
    );
}

#[test]
fn errors_are_told_with_their_text() {
    let error = read_error(|peer, cookie| {
        // Data, then an error of a kind that only a later protocol knows: the whole request failed.
        peer.chunk(cookie, false, REPLY_OFFSET_DATA, 8 + 512, &data(4096, 512));
        peer.chunk(cookie, true, REPLY_ERRORS + 40, 13, b"\0\0\0\x05\0\x03bad\0\0\0\0");
    });
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(error.message.ends_with("the server cannot read 512 bytes at 4096: bad"), "{error}");
    let error = read_error(|peer, cookie| peer.send(&[&SIMPLE_REPLY_MAGIC.to_be_bytes(), &[0, 0, 0, 108], &cookie]));
    assert_eq!(error.kind, ErrorKind::Temporary);
    assert!(error.message.ends_with("the server cannot read 512 bytes at 4096: error 108"), "{error}");
}

#[test]
fn a_connection_that_ends_or_stalls_in_mid_answer_is_an_error() {
    let error = read_error(|peer, cookie| {
        peer.chunk(cookie, true, REPLY_OFFSET_DATA, 8 + 512, &data(4096, 100));
        peer.0.shutdown(std::net::Shutdown::Both).unwrap();
    });
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(error.message.ends_with("the connection broke off: the server closed it"), "{error}");
    let error = read_error(|peer, cookie| peer.chunk(cookie, true, REPLY_OFFSET_DATA, 8 + 512, &data(4096, 100)));
    assert_eq!(error.kind, ErrorKind::Temporary);
    assert!(error.message.ends_with("the server has not answered for 0.3 seconds"), "{error}");
    // A byte now and then does not keep it alive for ever.
    let error = read_error(|peer, cookie| {
        peer.chunk(cookie, true, REPLY_OFFSET_DATA, 8 + 512, &data(4096, 0));
        let until = Instant::now() + Duration::from_secs(20);
        while peer.0.write_all(&[7]).is_ok() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert!(error.message.ends_with("the server has not answered for 0.9 seconds"), "{error}");
}

/// The map of a disk whose server answers like this, again and again.
fn map(script: impl Fn(&mut Peer, [u8; 8]) + Send + Sync + 'static) -> Result<Vec<Extent>> {
    let fake = Fake::start(move |mut peer| {
        peer.shake_hands();
        while let Some(cookie) = peer.request() {
            script(&mut peer, cookie);
        }
    });
    // A long map takes its time to be made: nobody here is silent.
    let disk = fake.open(Options { retries: 0, ..Options::default() }).unwrap();
    let map = disk.extents(0, SIZE);
    drop(disk);
    map
}

fn status(peer: &mut Peer, cookie: [u8; 8], context: u32, runs: &[(u32, u32)]) {
    let mut data = context.to_be_bytes().to_vec();
    runs.iter().for_each(|(length, state)| data.extend([length.to_be_bytes(), state.to_be_bytes()].concat()));
    peer.chunk(cookie, true, REPLY_BLOCK_STATUS, data.len() as u32, &data);
}

#[test]
fn a_map_that_makes_no_sense_is_refused() {
    let broken = |script: fn(&mut Peer, [u8; 8]), why: &str| {
        let error = map(script).unwrap_err();
        assert!(error.message.ends_with(&format!("the server breaks the protocol: {why}")), "{error} / {why}");
    };
    broken(|peer, cookie| status(peer, cookie, 7, &[]), "a map has 4 bytes");
    broken(|peer, cookie| status(peer, cookie, 8, &[(512, 0)]), "a map is of metadata that was not agreed on");
    broken(|peer, cookie| status(peer, cookie, 7, &[(512, 0), (0, 0)]), "a map has a run without length");
    broken(
        |peer, cookie| status(peer, cookie, 7, &[(u32::MAX, 0), (512, 3)]),
        "a map goes on after what was asked for",
    );
    broken(
        |peer, cookie| peer.chunk(cookie, true, REPLY_BLOCK_STATUS, u32::MAX, &[0; 64]),
        "a map has 4294967295 bytes",
    );
    broken(|peer, cookie| peer.chunk(cookie, true, REPLY_NONE, 0, &[]), "an answer has no map");
    broken(
        |peer, cookie| {
            let data = [0, 0, 0, 7, 0, 0, 2, 0, 0, 0, 0, 0];
            peer.chunk(cookie, false, REPLY_BLOCK_STATUS, 12, &data);
            peer.chunk(cookie, true, REPLY_BLOCK_STATUS, 12, &data);
        },
        "an answer has two maps",
    );
}

#[test]
fn states_are_taken_at_their_safest() {
    // A hole that does not read as zeros, an unknown state, a run beyond what was asked for.
    let runs = [(512, 0), (512, STATE_HOLE), (512, 1 << 9), (1024, STATE_ZERO), (u32::MAX, STATE_ZERO | STATE_HOLE)];
    let found = map(move |peer, cookie| status(peer, cookie, 7, &runs)).unwrap();
    let run = |offset, length, kind| Extent::new(offset, length, kind);
    let expected =
        [run(0, 1536, ExtentKind::Data), run(1536, 1024, ExtentKind::Zero), run(2560, SIZE - 2560, ExtentKind::Hole)];
    assert_eq!(found, expected);
}

/// A map that is too fine to be told in full stays true.
#[test]
fn an_endless_map_ends_as_data() {
    // The disk ends with a zero.
    let told = AtomicUsize::new(0);
    let found = map(move |peer, cookie| {
        let from = told.fetch_add(1 << 18, Ordering::SeqCst);
        let fine: Vec<_> = (from..from + (1 << 18)).map(|at| (1, if at % 2 == 0 { 0 } else { STATE_ZERO })).collect();
        status(peer, cookie, 7, &fine);
    });
    let found = found.unwrap();
    vmdk2kvm_plugin_api::check_map(&found, 0, SIZE).unwrap();
    assert!(found.len() <= 1 << 20, "{}", found.len());
    assert_eq!(found.last().unwrap().kind, ExtentKind::Data);
}

/// A server of the time before GO and structured replies.
fn plain(mut peer: Peer, flags: u16) {
    peer.greet(flags);
    while let Some((option, data)) = peer.option() {
        if option != OPT_EXPORT_NAME {
            peer.reply(option, REP_ERR_UNSUP, &[]);
            continue;
        }
        if data != b"" {
            return;
        }
        peer.send(&[&SIZE.to_be_bytes(), &(HAS_FLAGS | READ_ONLY).to_be_bytes()]);
        if flags & FLAG_NO_ZEROES == 0 {
            peer.send(&[&[0; 124]]);
        }
        while let Some(request) = peer.receive::<28>() {
            if request[7] == CMD_DISC as u8 {
                return;
            }
            let offset = u64::from_be_bytes(request[16..24].try_into().unwrap());
            let length = u32::from_be_bytes(request[24..].try_into().unwrap());
            if offset == 0 {
                peer.send(&[&SIMPLE_REPLY_MAGIC.to_be_bytes(), &EIO.to_be_bytes(), &request[8..16]]);
                continue;
            }
            let bytes: Vec<u8> = (offset..offset + u64::from(length)).map(|at| at as u8).collect();
            peer.send(&[&SIMPLE_REPLY_MAGIC.to_be_bytes(), &[0; 4], &request[8..16], &bytes]);
        }
    }
}

#[test]
fn a_plain_server_is_read_without_a_map() {
    for flags in [FLAG_FIXED_NEWSTYLE, FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES] {
        let fake = Fake::start(move |peer| plain(peer, flags));
        let disk = fake.open(hasty()).unwrap();
        let mut read = [0; 600];
        vmdk2kvm_plugin_api::read_exact_at(&disk, 70_000, &mut read).unwrap();
        assert!(read.iter().zip(70_000u64..).all(|(byte, at)| *byte == at as u8));
        assert!(disk.read_at(0, &mut [0; 512]).unwrap_err().message.ends_with("read 512 bytes at 0: error 5"));
        assert_eq!(disk.read_at(1, &mut [0; 512]).unwrap(), 512);
        assert_eq!(disk.extents(3, 9).unwrap(), [Extent::new(3, 9, ExtentKind::Data)]);
        drop(disk);
        let address = Address { export: "x".into(), ..Address::unix(&fake.socket) };
        let error = RemoteDisk::open(address, hasty()).map(|_| ()).unwrap_err();
        assert!(error.message.ends_with("the server has no export `x`"), "{error}");
    }
}

/// A server that only takes whole sectors is asked for whole sectors.
#[test]
fn requests_are_made_wider_for_a_server_that_wants_it() {
    let fake = Fake::start(|mut peer| {
        peer.greet(3);
        while let Some((option, _)) = peer.option() {
            if option != OPT_GO {
                peer.reply(option, REP_ERR_UNSUP, &[]);
                continue;
            }
            peer.reply(option, REP_INFO, &export_info(SIZE, HAS_FLAGS));
            let sizes = [4096u32, 4096, 8192].map(u32::to_be_bytes).concat();
            peer.reply(option, REP_INFO, &[&INFO_BLOCK_SIZE.to_be_bytes()[..], &sizes].concat());
            peer.reply(option, REP_ACK, &[]);
            while let Some(request) = peer.receive::<28>() {
                let offset = u64::from_be_bytes(request[16..24].try_into().unwrap());
                let length = u32::from_be_bytes(request[24..].try_into().unwrap());
                if request[7] == CMD_DISC as u8 || offset % 4096 != 0 || length % 4096 != 0 || length > 8192 {
                    return;
                }
                let bytes: Vec<u8> = (offset..offset + u64::from(length)).map(|at| (at / 7) as u8).collect();
                peer.send(&[&SIMPLE_REPLY_MAGIC.to_be_bytes(), &[0; 4], &request[8..16], &bytes]);
            }
        }
    });
    let disk = fake.open(hasty()).unwrap();
    for (at, length) in [(0, 4096), (1, 1), (4095, 2), (5000, 30_000), (SIZE - 1, 1)] {
        let mut read = vec![0; length];
        vmdk2kvm_plugin_api::read_exact_at(&disk, at, &mut read).unwrap();
        assert!(read.iter().zip(at..).all(|(byte, at)| *byte == (at / 7) as u8), "{at} {length}");
    }
    drop(disk);
}
