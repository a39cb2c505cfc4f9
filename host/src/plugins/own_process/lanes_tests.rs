//! Lanes against the other end: one that keeps to the protocol, and all that one can do that does not.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use vmdk2kvm_plugin_api::{ErrorKind, ExtentKind};

use super::super::message::Holds;
use super::super::window::WriteWindow;
use super::*;

const PATIENCE: Duration = Duration::from_millis(400);

/// The far end of a lane.
struct End {
    socket: UnixStream,
    window: WriteWindow,
}

impl End {
    /// The next request; `None` when the host has thrown the lane away.
    fn asked(&mut self) -> Option<Ask> {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length).ok()?;
        let mut text = vec![0; u32::from_be_bytes(length) as usize];
        self.socket.read_exact(&mut text).unwrap();
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// Sends bytes, to a host that may be gone.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    fn answer(&mut self, text: &str) {
        self.send(&u32::try_from(text.len()).unwrap().to_be_bytes());
        self.send(text.as_bytes());
    }

    fn wait_until_thrown_away(&mut self) {
        while self.socket.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
    }
}

/// Lanes, and a thread for each that behaves as `process` says; joining gives how many there were.
fn lanes(process: impl Fn(End) + Send + Sync + 'static) -> (Lanes, JoinHandle<usize>) {
    let (door, far) = UnixStream::pair().unwrap();
    let taking = std::thread::spawn(move || {
        std::thread::scope(|scope| {
            let (mut count, process) = (0, &process);
            while let Some([socket, memory]) = handover::receive(&far).unwrap() {
                let socket: OwnedFd = socket;
                let end = End { socket: socket.into(), window: WriteWindow::new(&memory).unwrap() };
                scope.spawn(move || process(end));
                count += 1;
            }
            count
        })
    });
    (Lanes::new(door, PATIENCE), taking)
}

/// A process whose disk has at each place the lowest byte of the place's number, and no more than `most` of them in an answer.
fn honest(most: u32) -> impl Fn(End) {
    move |mut end| {
        while let Some(ask) = end.asked() {
            match ask {
                Ask::Read { source: 7, offset, length } => {
                    let length = length.min(most);
                    for (at, byte) in (offset..).zip(&mut end.window.bytes()[..length as usize]) {
                        *byte = at as u8;
                    }
                    end.answer(&format!("{{\"Ok\":{length}}}"));
                }
                Ask::Extents { source: 7, offset: 10, length: 30 } => {
                    end.answer(r#"{"Ok":[[5,"D"],[15,"Z"],[10,"H"]]}"#);
                }
                _ => end.answer(&serde_json::to_string(&Err::<(), _>(PluginError::missing("no such source"))).unwrap()),
            }
        }
    }
}

const GO_ON: &dyn Fn() -> bool = &|| false;

#[test]
fn the_bytes_and_the_map_come_over() {
    let (lanes, taking) = lanes(honest(u32::MAX));
    let mut bytes = [0; 700];
    assert_eq!(lanes.read(7, 250, &mut bytes, GO_ON), Ok(700));
    assert!((250..).zip(bytes).all(|(at, byte)| at as u8 == byte));
    let mut long = vec![0; window::SIZE + 1];
    assert_eq!(lanes.read(7, 1, &mut long, GO_ON), Ok(window::SIZE), "as much as a window holds");
    let (last, untouched) = (long[window::SIZE - 1], long[window::SIZE]);
    assert_eq!((last, untouched), (window::SIZE as u8, 0));
    let extent = |offset, length, kind| Extent::new(offset, length, kind);
    let map = [extent(10, 5, ExtentKind::Data), extent(15, 15, ExtentKind::Zero), extent(30, 10, ExtentKind::Hole)];
    assert_eq!(lanes.extents(7, 10, 30, GO_ON).unwrap(), map);
    let Err(Lost::Said(error)) = lanes.read(8, 0, &mut bytes, GO_ON) else { panic!("an error") };
    assert_eq!((error.kind, &*error.message), (ErrorKind::Missing, "no such source"));
    assert_eq!(lanes.read(7, 0, &mut bytes, GO_ON), Ok(700), "an error of the plugin ends no lane");
    drop(lanes);
    assert_eq!(taking.join().unwrap(), 1);
}

#[test]
fn a_short_answer_fills_no_more_than_it_says() {
    let (lanes, _) = lanes(honest(3));
    let mut bytes = [9; 5];
    assert_eq!(lanes.read(7, 1, &mut bytes, GO_ON), Ok(3));
    assert_eq!(bytes, [1, 2, 3, 9, 9]);
}

#[test]
fn threads_do_not_wait_for_each_other() {
    let together = Barrier::new(4);
    let (lanes, taking) = lanes(move |mut end| {
        end.asked().unwrap();
        // Nobody is answered before all have asked.
        together.wait();
        end.answer(r#"{"Ok":1}"#);
        end.wait_until_thrown_away();
    });
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| lanes.read(7, 0, &mut [0], GO_ON))).collect();
        readers.into_iter().for_each(|reader| assert_eq!(reader.join().unwrap(), Ok(1)));
    });
    drop(lanes);
    assert_eq!(taking.join().unwrap(), 4);
}

/// What a process sends in place of an answer, and what is said of it.
#[track_caller]
fn refused(bytes: Vec<u8>, expected: &str) {
    let (lanes, taking) = lanes(move |mut end| {
        end.asked().unwrap();
        end.send(&bytes);
        end.wait_until_thrown_away();
    });
    for _ in 0..2 {
        let mut buffer = [9; 4];
        let Err(Lost::Broken(why)) = lanes.read(7, 100, &mut buffer, GO_ON) else { panic!("{expected}") };
        assert!(why.starts_with(expected), "{why}");
        assert_eq!(buffer, [9; 4]);
    }
    drop(lanes);
    assert_eq!(taking.join().unwrap(), 2, "a lane is used again after {expected}");
}

fn document(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

#[test]
fn an_answer_to_a_read_is_within_what_was_asked_for() {
    for claimed in ["0", "5", "4194304", "18446744073709551615"] {
        let why = format!("a read of 4 bytes at offset 100 claims to have read {claimed}");
        refused(document(&format!("{{\"Ok\":{claimed}}}")), &why);
    }
    refused(document(r#"{"Ok":-1}"#), "invalid value: integer `-1`");
    refused(document(r#"{"Ok":[[4,"D"]]}"#), "invalid type: sequence");
    refused(document("[]"), "expected value");
    refused(document("\0\0"), "expected value");
    refused(u32::MAX.to_be_bytes().to_vec(), "an answer is longer than 64 MiB");
}

#[test]
fn a_map_covers_what_was_asked_for() {
    for (map, expected) in [
        ("[]", "the map of 100..200 stops at 100"),
        (r#"[[99,"D"]]"#, "the map of 100..200 stops at 199"),
        (r#"[[101,"D"]]"#, "the map of 100..200 has an extent 100 + 101 where 100 was due"),
        (r#"[[0,"H"],[100,"D"]]"#, "the map of 100..200 has an extent 100 + 0 where 100 was due"),
        (r#"[[50,"D"],[18446744073709551615,"D"]]"#, "the map of 100..200 has an extent 150 + 18446744073709551615"),
        (r#"[[100,"X"]]"#, "unknown variant `X`"),
    ] {
        let (lanes, _) = lanes(move |mut end| {
            end.asked().unwrap();
            end.answer(&format!("{{\"Ok\":{map}}}"));
        });
        let Err(Lost::Broken(why)) = lanes.extents(7, 100, 100, GO_ON) else { panic!("{map}") };
        assert!(why.starts_with(expected), "{why}");
    }
    let short = serde_json::to_string(&(1u64, Holds::Data)).unwrap();
    assert_eq!(short, r#"[1,"D"]"#);
}

#[test]
fn an_end_that_is_gone_is_known_at_once() {
    let patient = |lanes: &Lanes| {
        let began = Instant::now();
        assert_eq!(lanes.read(7, 0, &mut [0], GO_ON), Err(Lost::Closed));
        assert!(began.elapsed() < PATIENCE);
    };
    // Before it was asked, after that, and within its answer.
    let (unasked, _) = lanes(drop);
    patient(&unasked);
    let (asked, _) = lanes(|mut end| {
        end.asked();
    });
    patient(&asked);
    let (answering, _) = lanes(|mut end| {
        end.asked();
        end.send(&document(r#"{"Ok":1}"#)[..6]);
    });
    patient(&answering);
    let (door, far) = UnixStream::pair().unwrap();
    drop(far);
    patient(&Lanes::new(door, PATIENCE));
}

#[test]
fn silence_is_late_and_can_be_stopped() {
    // No answer, and one that does not go on.
    for begun in [0, 6] {
        let (lanes, taking) = lanes(move |mut end| {
            end.asked();
            end.send(&document(r#"{"Ok":1}"#)[..begun]);
            end.wait_until_thrown_away();
        });
        assert_eq!(lanes.read(7, 0, &mut [0], GO_ON), Err(Lost::Late(PATIENCE)));
        drop(lanes);
        assert_eq!(taking.join().unwrap(), 1);
    }
    let (lanes, _) = lanes(|mut end| end.wait_until_thrown_away());
    assert_eq!(lanes.extents(7, 0, 1, &|| true), Err(Lost::Cancelled));
}

#[test]
fn whoever_finds_no_lane_waits_for_one_and_can_be_stopped() {
    let answer = std::sync::Arc::new(AtomicBool::new(false));
    let (go, all) = (std::sync::Arc::clone(&answer), std::sync::Arc::new(Barrier::new(MOST + 1)));
    let asked = std::sync::Arc::clone(&all);
    let (lanes, taking) = lanes(move |mut end| {
        end.asked().unwrap();
        asked.wait();
        while !go.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        end.answer(r#"{"Ok":1}"#);
        while end.asked().is_some() {
            end.answer(r#"{"Ok":1}"#);
        }
    });
    let lanes = Lanes { patience: Duration::from_secs(60), ..lanes };
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..MOST).map(|_| scope.spawn(|| lanes.read(7, 0, &mut [0], GO_ON))).collect();
        all.wait();
        assert_eq!(lanes.read(7, 0, &mut [0], &|| true), Err(Lost::Cancelled));
        let waiting = scope.spawn(|| lanes.read(7, 0, &mut [0], GO_ON));
        answer.store(true, Ordering::SeqCst);
        readers.into_iter().chain([waiting]).for_each(|reader| assert_eq!(reader.join().unwrap(), Ok(1)));
    });
    drop(lanes);
    assert_eq!(taking.join().unwrap(), MOST);
}
