//! A real guest by libvirt, from the migration to its login prompt: tested by the driver inside of the run, defined at a daemon and started by
//! `virsh`. Requires what [`Libvirtd`] and the lab do.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use vmdk2kvm_tests::{Libvirtd, Outcome, contents, lab, open_for_driver, run};

/// How long a guest may take. Under emulation on a busy machine a boot takes minutes.
const PATIENCE: Duration = Duration::from_secs(600);

fn passed(outcome: &Outcome) {
    let test = &outcome.json["test"];
    assert!(test["plugin"].as_str().unwrap().starts_with("libvirt-test "), "{test}");
    assert_eq!((test["verdict"].as_str(), test["reason"].as_str()), (Some("passed"), Some("login-prompt")), "{test}");
}

#[test]
fn a_migrated_guest_comes_up_by_libvirt_and_again_where_it_is_defined() {
    let guest = lab("bookworm-bios");
    let folder = tempfile::Builder::new().prefix("lg").tempdir().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    let embed = "plugin.libvirt-test.connect=embed";
    let vmx = guest.vmx("sparse");
    let words = ["migrate", &vmx, "-o", out, "--test", "libvirt", "--set", embed];
    passed(&run(&[&words[..], &open_for_driver()].concat()).expect(0));

    let daemon = Libvirtd::start();
    let uri = daemon.uri();
    let result = contents(std::path::Path::new(out));
    let words = ["define", out, "--connect", &uri, "--pool", "images", "--network", "*=lab"];
    let defined = run(&[&words[..], &["--set", "target.libvirt.accelerator=tcg"]].concat()).expect(0);
    let name = defined.json["name"].as_str().unwrap();
    assert_eq!(contents(std::path::Path::new(out)), result);
    daemon.virsh(&["start", name]);
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(i32::try_from(flags.bits()).unwrap());
    let mut terminal = options.open(daemon.virsh(&["ttyconsole", name])).unwrap();
    let (began, mut said, mut buffer) = (Instant::now(), String::new(), [0; 4096]);
    let prompt = format!("{} login:", guest.fact("HOSTNAME"));
    while !said.contains(&prompt) {
        assert!(began.elapsed() < PATIENCE, "no login prompt:\n{said}");
        match terminal.read(&mut buffer) {
            Ok(read) => said += &String::from_utf8_lossy(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(200)),
            Err(error) => panic!("the console: {error}"),
        }
    }
}
