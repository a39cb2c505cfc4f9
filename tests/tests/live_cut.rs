//! A running guest that is cut off while it is changed, at whatever byte, or loses its power: afterwards nothing is changed or everything, and
//! the next run brings it to the end.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use vmdk2kvm_tests::{Outcome, Relay, Running, Tree, alone, binary, snapshot};

/// So many places at which the connection is cut, over all that is sent.
const CUTS: usize = 10;

fn live_fix(tree: &Tree, more: &[&str]) -> Outcome {
    let address = tree.address("root");
    tree.run(&[&["live-fix", &address, "--live"][..], more].concat())
}

/// The tree once nobody is at work in it any more.
fn settled(tree: &Tree) -> BTreeMap<String, String> {
    let begin = Instant::now();
    let works = || std::fs::symlink_metadata(tree.path("/run/vmdk2kvm.lock")).is_ok();
    // Who only sent has left its lock behind and changes nothing.
    while works() && begin.elapsed() < Duration::from_secs(15) {
        std::thread::sleep(Duration::from_millis(100));
    }
    snapshot(&tree.root())
}

#[test]
fn a_connection_that_is_cut_leaves_nothing_or_everything() {
    let mut tree = Tree::aged();
    tree.start();
    let before = snapshot(&tree.root());
    let whole = Relay::new(tree.port(), usize::MAX);
    let address = tree.address_at("root", whole.port());
    tree.run(&["live-fix", &address, "--live"]).expect(0);
    let (after, total) = (snapshot(&tree.root()), whole.sent());
    assert_ne!(before, after);
    live_fix(&tree, &["--rollback"]).expect(0);
    assert_eq!(snapshot(&tree.root()), before);

    let (mut nothing, mut everything) = (0, 0);
    for number in 1..=CUTS {
        // The last bytes say that all is well: the guest is whole before them.
        let cut = Relay::new(tree.port(), total * number / CUTS - 1);
        let address = tree.address_at("root", cut.port());
        let outcome = tree.run(&["live-fix", &address, "--live"]);
        assert!([0, 74].contains(&outcome.code), "{number}: {:#}\n{}", outcome.json, outcome.stderr);
        let now = settled(&tree);
        match (now == before, now == after) {
            (true, _) => nothing += 1,
            (_, true) => everything += 1,
            _ => panic!("cut {number} of {CUTS} left the guest in between"),
        }
        let again = live_fix(&tree, &[]).expect(0);
        assert_eq!(again.json["converged"], true);
        assert_eq!(snapshot(&tree.root()), after, "cut {number}");
        live_fix(&tree, &["--rollback"]).expect(0);
        assert_eq!(snapshot(&tree.root()), before, "cut {number}");
    }
    assert!(nothing > 0 && everything > 0, "{nothing} cuts left nothing, {everything} everything");
}

/// Gives the tree a tool that makes boot archives: this script.
fn add_tool(tree: &Tree, script: &str) {
    tree.write("/etc/initramfs-tools/initramfs.conf", b"MODULES=most\n");
    for (tool, text) in [("update-initramfs", "#!/bin/sh\nexit 1\n"), ("mkinitramfs", script)] {
        tree.write(&format!("/usr/sbin/{tool}"), text.as_bytes());
        std::fs::set_permissions(tree.path(&format!("/usr/sbin/{tool}")), PermissionsExt::from_mode(0o755)).unwrap();
    }
}

/// Stands in the tree for the tool that makes boot archives, and does not end.
const HANGS: &str = "#!/bin/sh\necho begun >/run/tool-runs\nexec sleep 1000000\n";

#[test]
fn a_guest_that_loses_its_power_in_the_middle_is_put_back_and_then_fixed() {
    let mut tree = Tree::aged();
    add_tool(&tree, HANGS);
    tree.start();
    let before = snapshot(&tree.root());
    let mut command = std::process::Command::new(binary());
    alone(&mut command)
        .args(["live-fix", &tree.address("root"), "--live", "--set", "plugin.linux-fixes.initramfs=rebuild", "--set"])
        .arg(format!("plugin.ssh.config={}", tree.beside("config").display()))
        .arg("--set")
        .arg(format!("containment.folders=[\"{}\"]", tree.beside("").display()));
    let mut run = Running::start(command);
    run.wait_until("the guest's tool runs", |_| tree.path("/run/tool-runs").exists());
    tree.stop();
    let outcome = run.end();
    assert_eq!(outcome.code, 74, "{:#}\n{}", outcome.json, outcome.stderr);
    let half = snapshot(&tree.root());
    assert_ne!(half, before, "some steps were made");

    tree.start();
    let outcome = live_fix(&tree, &[]).expect(0);
    assert!(outcome.stderr.contains("died in the guest: what it had done is taken back"), "{}", outcome.stderr);
    assert_eq!(outcome.json["converged"], true);
    live_fix(&tree, &["--rollback"]).expect(0);
    assert_eq!(snapshot(&tree.root()), before);
}

#[test]
fn a_step_that_fails_takes_those_before_it_back() {
    let mut tree = Tree::aged();
    add_tool(&tree, "#!/bin/sh\necho \"no room on the moon\" >&2\nexit 1\n");
    tree.start();
    let before = snapshot(&tree.root());
    let outcome = live_fix(&tree, &["--set", "plugin.linux-fixes.initramfs=rebuild"]).expect(65);
    assert!(outcome.message().contains("no room on the moon"), "{}", outcome.message());
    assert!(outcome.hint().contains("nothing is changed"), "{}", outcome.hint());
    assert_eq!(snapshot(&tree.root()), before);
    // A tool that makes an archive without the drivers has not done what it was asked for.
    tree.write("/usr/sbin/mkinitramfs", b"#!/bin/sh\ncp /boot/initrd.img-$3 $2\n");
    let before = snapshot(&tree.root());
    let outcome = live_fix(&tree, &["--set", "plugin.linux-fixes.initramfs=rebuild"]).expect(65);
    assert!(outcome.message().contains("is still missing after the change"), "{}", outcome.message());
    assert_eq!(snapshot(&tree.root()), before);
}
