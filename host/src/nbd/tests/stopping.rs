//! The client while it waits: it can be stopped, whatever it waits for, and nobody waits for what another thread waits for.

use std::os::unix::net::UnixListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::wire::*;
use super::hostile::{Fake, Peer, SIZE, export_info, hasty};
use super::*;
use crate::nbd::{Address, Limits, NbdFetcher, Options, RemoteDisk};

/// Options of a run that stops as soon as the flag is set.
fn stopped_by(flag: &Arc<AtomicBool>) -> Options {
    let asked = Arc::clone(flag);
    Options { cancelled: Arc::new(move || asked.load(Ordering::SeqCst)), ..Options::default() }
}

#[test]
fn whoever_waits_can_be_stopped() {
    let fake = Fake::start(|mut peer| {
        peer.shake_hands();
        peer.request();
        // No answer, until the client goes.
        peer.request();
    });
    let stop = Arc::new(AtomicBool::new(false));
    let disk = fake.open(stopped_by(&stop)).unwrap();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(|| disk.read_at(0, &mut [0; 512]))).collect();
        stop.store(true, Ordering::SeqCst);
        for reader in readers {
            assert_eq!(reader.join().unwrap().unwrap_err(), PluginError::interrupted());
        }
    });
    drop(disk);
}

/// A server whose queue is full lets whoever connects wait.
#[test]
fn whoever_connects_can_be_stopped() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, listen, socket};
    let (_folder, path) = folder();
    let address = SocketAddrUnix::new(&path).unwrap();
    let new = || socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    let (listener, first) = (new(), new());
    bind(&listener, &address).unwrap();
    listen(&listener, 0).unwrap();
    connect(&first, &address).unwrap();
    let begin = Instant::now();
    let hurried = Limits { handshake: Duration::from_millis(300), ..Limits::default() };
    let error = RemoteDisk::open(Address::unix(&path), Options { limits: hurried, ..Options::default() }).map(|_| ());
    assert!(error.unwrap_err().message.ends_with("the server cannot be reached: timed out"));
    let stop = Arc::new(AtomicBool::new(false));
    let options = stopped_by(&stop);
    let opening = std::thread::spawn(move || RemoteDisk::open(Address::unix(&path), options).map(|_| ()));
    std::thread::sleep(Duration::from_millis(100));
    stop.store(true, Ordering::SeqCst);
    assert_eq!(opening.join().unwrap().unwrap_err(), PluginError::interrupted());
    assert!(begin.elapsed() < Limits::default().handshake / 2);
}

/// One disk of a machine whose server does not speak is no reason for the others to wait.
#[test]
fn a_server_that_does_not_speak_keeps_no_other_disk_waiting() {
    use vmdk2kvm_plugin_api::Transport;
    let (_folder, path) = folder();
    let listener = UnixListener::bind(&path).unwrap();
    let (_other, _, export) = start(Disk::new());
    let stop = Arc::new(AtomicBool::new(false));
    let fetcher = NbdFetcher::new(Arc::clone(&stop));
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| fetcher.open(&Address::unix(&path).to_string()).map(|_| ()));
        let _silent = listener.accept().unwrap();
        let begin = Instant::now();
        assert_eq!(fetcher.open(&export.uri()).map(|disk| disk.size()), Ok(Disk::new().size()));
        assert!(begin.elapsed() < Limits::default().handshake / 2);
        stop.store(true, Ordering::SeqCst);
        assert_eq!(opening.join().unwrap().unwrap_err(), PluginError::interrupted());
    });
}

/// Every byte comes in time, and the answer has no end.
#[test]
fn an_answer_without_an_end_is_late_and_can_be_stopped() {
    let endless = || {
        Fake::start(|mut peer| {
            peer.shake_hands();
            let Some(cookie) = peer.request() else { return };
            let error = |peer: &mut Peer| peer.chunk(cookie, false, REPLY_ERROR, 6, b"\0\0\0\x05\0\0");
            // Until the client hangs up.
            while !peer.has_gone() {
                error(&mut peer);
            }
        })
    };
    let fake = endless();
    let disk = fake.open(hasty()).unwrap();
    let error = disk.read_at(4096, &mut [0; 512]).unwrap_err();
    assert!(error.message.ends_with("the server has not answered for 0.9 seconds"), "{error}");
    drop((disk, fake));
    let (fake, stop) = (endless(), Arc::new(AtomicBool::new(false)));
    let disk = fake.open(stopped_by(&stop)).unwrap();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| disk.read_at(4096, &mut [0; 512]));
        std::thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::SeqCst);
        assert_eq!(reading.join().unwrap().unwrap_err(), PluginError::interrupted());
    });
    drop((disk, fake));
}

/// While one thread waits for a further connection, which nobody takes, the others go on with the one that there is.
#[test]
fn a_connection_that_does_not_come_up_keeps_nobody_waiting() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let fake = Fake::start(move |mut peer| {
        peer.greet(3);
        while let Some((option, _)) = peer.option() {
            match option {
                OPT_GO => peer.reply(option, REP_INFO, &export_info(SIZE, HAS_FLAGS | READ_ONLY | CAN_MULTI_CONN)),
                _ => {
                    peer.reply(option, REP_ERR_UNSUP, &[]);
                    continue;
                }
            }
            peer.reply(option, REP_ACK, &[]);
            break;
        }
        let mut under_way = Vec::new();
        while let Some(request) = peer.receive::<28>().filter(|request| request[7] == CMD_READ as u8) {
            seen.lock().unwrap().push(u64::from_be_bytes(request[16..24].try_into().unwrap()));
            under_way.push(<[u8; 8]>::try_from(&request[8..16]).unwrap());
            if under_way.len() == 3 {
                let answer =
                    |cookie: &[u8; 8]| [&SIMPLE_REPLY_MAGIC.to_be_bytes(), &[0; 4], &cookie[..], &[7; 512]].concat();
                peer.send(&[&under_way.iter().flat_map(answer).collect::<Vec<u8>>()]);
            }
        }
    });
    let disk = fake.open(Options { connections: 2, retries: 0, ..Options::default() }).unwrap();
    std::thread::scope(|scope| {
        let readers: Vec<_> = [0, 4096, 8192]
            .map(|at| {
                let disk = &disk;
                let reader = scope.spawn(move || disk.read_at(at, &mut [0; 512]));
                // The first has its request under way, and the second waits for a connection of its own, when the next one comes.
                std::thread::sleep(Duration::from_millis(300));
                reader
            })
            .into();
        readers.into_iter().for_each(|reader| assert_eq!(reader.join().unwrap(), Ok(512)));
    });
    assert_eq!(*asked.lock().unwrap(), [0, 8192, 4096]);
    drop(disk);
}
