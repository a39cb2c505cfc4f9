//! A disk of an NBD server as a source: `nbd+unix://` and `nbd://`, served by qemu-nbd (Debian: qemu-utils).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use vmdk2kvm_tests::{Outcome, Room, digest};

/// qemu-nbd, ended when the test is.
struct Server(Child);

impl Server {
    fn start(room: &Room, arguments: &[&str], is_up: impl Fn() -> bool) -> Self {
        let mut command = Command::new("qemu-nbd");
        command.args(["--read-only", "--persistent", "--shared=4", "--format=raw"]).args(arguments).arg(room.disk());
        let mut server = Self(command.stdin(Stdio::null()).spawn().expect("qemu-nbd (package qemu-utils)"));
        let until = Instant::now() + Duration::from_secs(30);
        while !is_up() {
            assert!(server.0.try_wait().unwrap().is_none() && Instant::now() < until, "qemu-nbd does not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    fn on_socket(room: &Room, socket: &Path) -> Self {
        // Its file is there before it listens.
        let is_up = || UnixStream::connect(socket).is_ok();
        Self::start(room, &["--export-name=store/web", "--socket", socket.to_str().unwrap()], is_up)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn flatten(room: &Room, source: &str, output: &str, more: &[&str]) -> Outcome {
    let mut command = room.command(&["flatten", source, "--format", "raw", "-o", room.path(output).to_str().unwrap()]);
    command.args(more);
    room.run(command)
}

#[test]
fn a_disk_on_a_socket_is_read_whole() {
    let room = Room::new();
    let socket = room.path("sockets/web");
    std::fs::create_dir(room.path("sockets")).unwrap();
    let before = digest(&room.disk());
    let _server = Server::on_socket(&room, &socket);
    let source = format!("nbd+unix:///store/web?socket={}", socket.display());
    let contained = ["--set", "containment.mode=required"];
    flatten(&room, &source, "out", &contained).expect(0);
    assert_eq!(digest(&room.path("out/web-disk1.raw")), before);
    assert_eq!(digest(&room.disk()), before);

    let inventory = room.run(room.command(&["inventory", &source])).expect(0);
    let vm = &inventory.json["vms"][0];
    assert_eq!((vm["name"].as_str(), vm["disks"][0]["capacity_bytes"].as_u64()), (Some("web"), Some(32 << 20)));
}

#[test]
fn a_disk_over_the_network_is_read_whole() {
    let room = Room::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let arguments = ["--bind=127.0.0.1", &format!("--port={port}")];
    let _server = Server::start(&room, &arguments, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let disk = format!("nbd://127.0.0.1:{port}/");
    flatten(&room, &disk, "out", &["--disk", &disk]).expect(0);
    for image in ["out/disk-disk1.raw", "out/disk-disk2.raw"] {
        assert_eq!(digest(&room.path(image)), digest(&room.disk()));
    }
    let outcome = flatten(&room, &format!("nbd://127.0.0.1:{port}/other"), "other", &[]).expect(65);
    assert!(outcome.message().contains("the server has no export `other`"), "{}", outcome.message());
    let outcome = flatten(&room, &disk, "mixed", &["--disk", room.disk().to_str().unwrap()]).expect(2);
    assert!(
        outcome.message().ends_with("the disks beside an NBD disk must be NBD disks, too"),
        "{}",
        outcome.message()
    );
}

#[test]
fn what_cannot_be_reached_or_is_not_spoken_is_said() {
    let room = Room::new();
    let outcome = flatten(&room, "nbds://store.example/web", "out", &[]).expect(2);
    assert_eq!(outcome.message(), "nbds://store.example/web: NBD over TLS is not spoken here");
    assert!(outcome.hint().contains("ssh -L"), "{}", outcome.hint());
    let outcome = flatten(&room, "nbd+unix:///?socket=/nonexistent/socket", "out", &[]).expect(74);
    assert!(
        outcome.message().contains("the server cannot be reached: No such file or directory"),
        "{}",
        outcome.message()
    );
    assert!(!room.path("out").exists());
}

/// The same command goes on when the server is there again.
#[test]
fn a_server_that_goes_away_is_an_error_and_a_rerun_continues() {
    let room = Room::new();
    let socket = room.path("web");
    let source = format!("nbd+unix:///store/web?socket={}", socket.display());
    drop(Server::on_socket(&room, &socket));
    let outcome = flatten(&room, &source, "out", &[]).expect(74);
    assert!(outcome.message().contains("the server cannot be reached"), "{}", outcome.message());
    let _ = std::fs::remove_file(&socket);
    let _server = Server::on_socket(&room, &socket);
    flatten(&room, &source, "out", &[]).expect(0);
    assert_eq!(digest(&room.path("out/web-disk1.raw")), digest(&room.disk()));
}
