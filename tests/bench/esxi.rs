//! What a disk costs that comes from an ESXi host by the plugin `ssh`, against OpenSSH's `ssh HOST cat` with the same
//! cipher: once as loopback is, once over a line that takes 20 ms each way. The host is the tests' own: a real sshd, its
//! files in memory where `TMPDIR` is (`tests/bench/fetch` sees to that).
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark reports to whoever runs it")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use vmdk2kvm_tests::Esxi;

const SIZE: usize = 1 << 30;
/// Rounds of each; the best counts, since everything else on the machine only adds.
const ROUNDS: usize = 3;
/// The plugin's first choice, which a host takes.
const CIPHER: &str = "aes128-ctr";

fn main() -> ExitCode {
    let host = Esxi::start();
    let mut bytes = vec![0; SIZE];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    let vmx = host.add("web", "off", &[&host.flat("web", "web", &bytes)], "");
    let mut missed = false;
    for (name, delay, goal) in [("esxi", Duration::ZERO, 0.9), ("esxi-20ms", Duration::from_millis(20), 3.0)] {
        let port = line(host.port(), delay);
        let known = format!("[127.0.0.1]:{port}");
        host.write_known(&format!("{known} {}\n", host.public_key("hostkey")));
        let best = |seconds: &dyn Fn() -> f64| (0..ROUNDS).map(|_| seconds()).fold(f64::INFINITY, f64::min);
        let theirs = best(&|| {
            let known = format!("UserKnownHostsFile={}", host.path("known_hosts").display());
            let mut cat = Command::new("ssh");
            cat.args(["-F", "none", "-c", CIPHER, "-o", &known, "-o", "BatchMode=yes", "-i"]).arg(host.path("user"));
            cat.args(["-p", &port.to_string(), "root@127.0.0.1", "cat '/vmfs/volumes/ds 1/web/web-flat.vmdk'"]);
            let began = Instant::now();
            let image = fs::File::create(host.results.path().join("theirs")).unwrap();
            assert!(cat.stdout(image).stderr(Stdio::null()).status().unwrap().success());
            began.elapsed().as_secs_f64()
        });
        let ours = best(&|| {
            let _ = fs::remove_dir_all(host.results.path().join("ours"));
            let arguments: Vec<String> = host.flattening(&vmx, "ours", &[]);
            let at = arguments.iter().map(|word| word.replace(&format!(":{}", host.port()), &format!(":{port}")));
            let at: Vec<String> = at.collect();
            let began = Instant::now();
            host.run(&at.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
            began.elapsed().as_secs_f64()
        });
        let mut images = fs::read_dir(host.results.path().join("ours")).unwrap().flatten().map(|entry| entry.path());
        let image = images.find(|path| path.extension().is_some_and(|it| it == "raw")).unwrap();
        assert!(fs::read(image).unwrap() == bytes, "the image differs");
        let rate = |seconds: f64| (SIZE >> 20) as f64 / seconds;
        let ratio = theirs / ours;
        println!(
            "{name:9} ours {:.0} MiB/s  ssh cat {:.0} MiB/s  ours/theirs {ratio:.2}  goal {goal}",
            rate(ours),
            rate(theirs)
        );
        missed |= ratio < goal;
    }
    ExitCode::from(u8::from(missed))
}

/// The port of a line to another port, on which every byte takes so long.
fn line(to: u16, delay: Duration) -> u16 {
    if delay.is_zero() {
        return to;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = TcpStream::connect(("127.0.0.1", to)).unwrap();
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            carry(near.try_clone().unwrap(), far.try_clone().unwrap(), delay);
            carry(far, near, delay);
        }
    });
    port
}

/// Carries bytes in one direction; as many are under way as come.
fn carry(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, pieces) = channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 256 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    });
    std::thread::spawn(move || {
        for (when, piece) in pieces {
            std::thread::sleep(when.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
