//! A running guest over SSH, by a real sshd: looked at without a trace, changed as the same tree is by another plugin, by root and by users
//! with sudo, and by nobody who cannot prove to be who he is. Needs root, `sudo` and `openssh-server` only in the tree, `ssh` here.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use vmdk2kvm_dir::guest::DirGuest;
use vmdk2kvm_plugin_api::Guest;
use vmdk2kvm_plugin_api::model::{AppliedStatus, Change};
use vmdk2kvm_tests::{Outcome, Tree, run, snapshot};

/// Fixers that are not asked about a guest that runs.
const NOT_LIVE: &str = "linux-grow,linux-vmware-tools,linux-other-tools,linux-clocks,linux-first-boot";

fn live_fix(tree: &Tree, user: &str, more: &[&str]) -> Outcome {
    let address = tree.address(user);
    tree.run(&[&["live-fix", &address, "--live"][..], more].concat())
}

/// Paths that differ.
fn differences(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<String> {
    let paths = a.keys().chain(b.keys()).filter(|path| a.get(*path) != b.get(*path));
    let mut paths: Vec<String> = paths.map(|path| format!("{path}: {:?} {:?}", a.get(path), b.get(path))).collect();
    paths.sort();
    paths.dedup();
    paths
}

fn changed(tree: &Tree, before: &BTreeMap<String, String>) -> Vec<String> {
    differences(before, &snapshot(&tree.root()))
}

#[test]
fn what_is_done_to_a_running_guest_is_what_is_done_to_its_files() {
    let mut tree = Tree::aged();
    let other = tree.copy();
    // Of these the other plugin keeps SELinux's alone.
    rustix::fs::setxattr(tree.path("/etc/fstab"), "user.note", b"kept", rustix::fs::XattrFlags::empty()).unwrap();
    let start = snapshot(&tree.root());
    tree.start();
    let uri = format!("dir:{}", other.root().display());
    let skip: Vec<String> = NOT_LIVE.split(',').map(|name| format!("\"{name}\"")).collect();
    let skip = format!("plugin.linux-fixes.skip_fixers=[{}]", skip.join(","));
    let by_folder = run(&["plan", &uri, "--set", &skip]).expect(0).json;

    // Looking leaves no trace.
    let inspected = tree.run(&["inspect", &tree.address("root")]).expect(0).json;
    assert_eq!((&inspected["os"]["distro"], &inspected["live"]), (&"debian".into(), &true.into()));
    assert_eq!(inspected["vm"]["name"], "tree");
    let planned = tree.run(&["plan", &tree.address("root")]).expect(0).json;
    assert_eq!(changed(&tree, &start), [""; 0]);
    assert!(!tree.path("/var/lib/vmdk2kvm").exists());
    assert_eq!(planned["changes"], by_folder["changes"]);
    let kinds: Vec<&str> =
        planned["changes"].as_array().unwrap().iter().map(|change| change["kind"].as_str().unwrap()).collect();
    for kind in ["write_file", "remove", "extend_initramfs"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }

    // Without the word it is not even asked.
    let refused = tree.run(&["live-fix", &tree.address("root")]).expect(81);
    assert!(refused.hint().contains("--live"), "{}", refused.hint());
    let dead = run(&["live-fix", &uri, "--live"]).expect(2);
    assert!(dead.message().ends_with("not a guest that runs"), "{}", dead.message());

    let fixed = live_fix(&tree, "root", &[]).expect(0).json;
    assert_eq!(fixed["converged"], true);
    let guest = DirGuest::open(other.root().to_str().unwrap(), true).unwrap();
    for change in by_folder["changes"].as_array().unwrap() {
        let change: Change = serde_json::from_value(change.clone()).unwrap();
        assert_eq!(guest.apply(&change).unwrap().status, AppliedStatus::Done);
    }
    let keys = |path: &String| path.starts_with("/root/");
    let mut both = [snapshot(&tree.root()), snapshot(&other.root())]
        .map(|found| found.into_iter().filter(|(path, _)| !keys(path)).collect::<BTreeMap<_, _>>());
    let fstab = both[0].get_mut("/etc/fstab").unwrap();
    let note = fstab.rfind("user.note=").expect("attributes are kept");
    fstab.truncate(note);
    assert_eq!(differences(&both[0], &both[1]), [""; 0]);
    assert!(both[0]["/etc/fstab"].starts_with("100640 0:4 "), "{}", both[0]["/etc/fstab"]);

    // Again there is nothing to do; taken back it is as it was, and once is enough.
    let again = live_fix(&tree, "root", &[]).expect(0).json;
    assert_eq!((again["changes"].as_array().unwrap().len(), &again["converged"]), (0, &true.into()));
    let back = live_fix(&tree, "root", &["--rollback"]).expect(0).json;
    assert_eq!(back["rollback"]["left"], Value::Array(Vec::new()));
    assert_eq!(changed(&tree, &start), [""; 0]);
    let nothing = live_fix(&tree, "root", &["--rollback"]).expect(0).json;
    assert_eq!(nothing["rollback"]["run"], Value::Null);
}

#[test]
fn what_somebody_has_changed_since_is_left_and_told() {
    let mut tree = Tree::aged();
    let start = snapshot(&tree.root());
    tree.start();
    live_fix(&tree, "root", &[]).expect(0);
    let mine = tree.read("/etc/network/interfaces") + "# mine\n";
    tree.write("/etc/network/interfaces", mine.as_bytes());
    let back = live_fix(&tree, "root", &["--rollback"]).expect(0);
    let left = back.json["rollback"]["left"].as_array().unwrap().clone();
    assert_eq!((left.len(), &left[0]["path"]), (1, &"/etc/network/interfaces".into()));
    assert!(back.stderr.contains("it was changed since"), "{}", back.stderr);
    assert_eq!(tree.read("/etc/network/interfaces"), mine);
    let different = changed(&tree, &start);
    assert!(different.len() == 1 && different[0].starts_with("/etc/network/interfaces"), "{different:#?}");
}

#[test]
fn what_is_in_the_way_is_found_before_the_first_change() {
    let mut tree = Tree::aged();
    tree.start();
    tree.write("/var/lib/dpkg/lock-frontend", b"");
    let start = snapshot(&tree.root());
    let refused = |code: i32, part: &str| {
        let outcome = live_fix(&tree, "root", &[]).expect(code);
        assert!(outcome.message().contains(part), "{}", outcome.message());
        assert_eq!(changed(&tree, &start), [""; 0]);
        assert!(outcome.json["changes"].as_array().unwrap().iter().all(|change| change["status"] == "not_done"));
    };
    // A package manager at work has its lock.
    let holder = tree.runs("exec flock /var/lib/dpkg/lock-frontend sh -c 'echo held; exec cat'");
    refused(75, "a package manager is at work in the guest (/var/lib/dpkg/lock-frontend is held)");
    drop(holder);
    drop(tree.runs("flock /var/lib/dpkg/lock-frontend echo free"));
    // Another run that is still sending; when it is gone, its lock is nobody's.
    let other = tree.runs(
        "ln -s \"$$:$(cut -d' ' -f22 /proc/$$/stat):$(cat /proc/sys/kernel/random/boot_id):17-other\" /run/vmdk2kvm.lock; echo held; exec cat",
    );
    refused(75, "another run is at work in the guest");
    drop(other);
    let chattr = |flag: &str| {
        let done = Command::new("chattr").arg(flag).arg(tree.path("/etc/fstab")).status().unwrap();
        done.success()
    };
    if chattr("+i") {
        refused(81, "/etc/fstab: /etc/fstab may not be changed by anybody (chattr)");
        assert!(chattr("-i"));
    }
    std::fs::hard_link(tree.path("/etc/fstab"), tree.path("/etc/fstab.other")).unwrap();
    let with_link = snapshot(&tree.root());
    let outcome = live_fix(&tree, "root", &[]).expect(81);
    assert!(outcome.message().contains("several names"), "{}", outcome.message());
    assert_eq!(changed(&tree, &with_link), [""; 0]);
    std::fs::remove_file(tree.path("/etc/fstab.other")).unwrap();
    live_fix(&tree, "root", &[]).expect(0);
}

#[test]
fn a_host_key_is_known_or_refused() {
    let mut tree = Tree::aged();
    tree.start();
    let own = tree.host_key();
    let text = |part: &str| format!("ssh-ed25519 {part}");
    let other = text("AAAAC3NzaC1lZDI1NTE5AAAAIJ5xPxJm0lq9yxQXGbm1mGvkNqfQ8Y4VwZ3mCw4Rk9pE");
    for (known, part) in [
        (String::new(), "the host key is not known (ssh-ed25519 SHA256:"),
        (format!("tree {other}"), "the host key is not the one that is known (ssh-ed25519 SHA256:"),
        (format!("@revoked tree {own}\ntree {own}"), "the host key is revoked (ssh-ed25519 SHA256:"),
    ] {
        tree.know(&known);
        for user_says in ["", "StrictHostKeyChecking accept-new\n", "StrictHostKeyChecking no\n"] {
            let config = std::fs::read_to_string(tree.beside("config")).unwrap();
            std::fs::write(tree.beside("config"), format!("{user_says}{config}")).unwrap();
            let outcome = tree.run(&["inspect", &tree.address("root")]).expect(77);
            assert!(outcome.message().contains(part), "{}", outcome.message());
            assert!(!outcome.hint().is_empty());
            std::fs::write(tree.beside("config"), config).unwrap();
        }
        assert_eq!(std::fs::read_to_string(tree.beside("known")).unwrap().trim(), known, "nothing is learned");
    }
    tree.know(&format!("tree {own}"));
    tree.run(&["inspect", &tree.address("root")]).expect(0);
    let nobody = tree.run(&["inspect", &tree.address("nobody-there")]).expect(77);
    assert!(nobody.message().contains("the login failed"), "{}", nobody.message());
    tree.stop();
    let gone = tree.run(&["inspect", &tree.address("root")]).expect(74);
    assert!(gone.message().contains("Connection refused"), "{}", gone.message());
}

#[test]
fn a_jump_host_and_an_agent_are_the_users_own() {
    let mut tree = Tree::aged();
    tree.start();
    let plain = std::fs::read_to_string(tree.beside("config")).unwrap();
    let place = format!("HostName 127.0.0.1\nPort {}\n", tree.port());
    let jump = format!("Host jump\n{place}User root\nHostKeyAlias jump\n\nHost inner\n{place}ProxyJump jump\n\n");
    std::fs::write(tree.beside("config"), jump + &plain).unwrap();
    // Both are known, or it ends: nothing asks, and nothing is learned.
    let own = tree.host_key();
    let refused = tree.run(&["inspect", "ssh://root@inner"]).expect(77);
    assert!(refused.message().contains("the host key of a jump host is not known"), "{}", refused.message());
    tree.know(&format!("jump {own}"));
    let refused = tree.run(&["inspect", "ssh://root@inner"]).expect(77);
    assert!(refused.message().contains("the host key is not known (ssh-ed25519 SHA256:"), "{}", refused.message());
    tree.know(&format!("jump {own}\ntree {own}"));
    assert_eq!(tree.run(&["inspect", "ssh://root@inner"]).expect(0).json["os"]["distro"], "debian");
    assert_eq!(live_fix(&tree, "root", &[]).expect(0).json["converged"], true);

    // The key is with an agent alone.
    let agent = Agent::start(&tree.beside("agent"));
    agent.add(&tree.beside("key"));
    std::fs::rename(tree.beside("key"), tree.beside("key-elsewhere")).unwrap();
    std::fs::rename(tree.beside("key.pub"), tree.beside("key-elsewhere.pub")).unwrap();
    tree.run(&["inspect", &tree.address("root")]).expect(77);
    std::fs::write(tree.beside("config"), format!("IdentityAgent {}\n{plain}", tree.beside("agent").display()))
        .unwrap();
    let config = std::fs::read_to_string(tree.beside("config")).unwrap().replace("IdentitiesOnly yes\n", "");
    std::fs::write(tree.beside("config"), config).unwrap();
    tree.run(&["inspect", &tree.address("root")]).expect(0);
}

/// An agent of ssh, which ends with the test.
struct Agent(Child, PathBuf);

impl Agent {
    fn start(socket: &Path) -> Self {
        let agent = Command::new("ssh-agent").arg("-D").arg("-a").arg(socket).stdout(Stdio::null()).spawn();
        while !socket.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Self(agent.expect("ssh-agent (package openssh-client)"), socket.to_path_buf())
    }

    fn add(&self, key: &Path) {
        let added = Command::new("ssh-add").env("SSH_AUTH_SOCK", &self.1).arg("-q").arg(key).status();
        assert!(added.unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn users_become_root_by_sudo_with_a_password_or_without() {
    const PASSWORD: &str = "Xq7-unheard-of '\"$1";
    let mut tree = Tree::aged();
    tree.inside(
        "useradd -m -s /bin/sh ann; useradd -m -s /bin/sh bob; useradd -m -s /bin/sh eve
         echo 'ann ALL=(ALL) ALL' >/etc/sudoers.d/ann; echo 'bob ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/bob
         usermod -p '*' bob; usermod -p '*' eve; echo 'echo \"a banner of the login\"' >>/home/bob/.profile",
    );
    let given = tree.beside("chpasswd");
    std::fs::write(&given, format!("ann:{PASSWORD}\n")).unwrap();
    let set =
        Command::new("chroot").arg(tree.root()).arg("chpasswd").stdin(std::fs::File::open(&given).unwrap()).status();
    assert!(set.unwrap().success());
    for user in ["ann", "bob", "eve"] {
        tree.let_in(user, &format!("/home/{user}"));
    }
    tree.start();
    let file = |name: &str, text: &str| {
        let path = tree.beside(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (file("right", &format!("{PASSWORD}\n")), file("wrong", "no\n"));
    let events = tree.beside("events");
    let inspect = |user: &str, more: &[&str]| {
        let address = tree.address(user);
        tree.run(
            &[&["inspect", &address, "--log-level", "trace", "--events", events.to_str().unwrap()][..], more].concat(),
        )
    };
    // A password that nobody asks for is not sent: it would be a command.
    for (user, password) in [("ann", Some(&right)), ("bob", None), ("bob", Some(&right))] {
        let more: Vec<&str> = password.iter().flat_map(|path| ["--password-file", path.as_str()]).collect();
        let outcome = inspect(user, &more).expect(0);
        assert_eq!(outcome.json["os"]["distro"], "debian");
        let said = format!("{}{:#}{}", outcome.stderr, outcome.json, std::fs::read_to_string(&events).unwrap());
        assert!(!said.contains("unheard-of"), "the password was told");
    }
    for (user, password, part) in [
        ("ann", None, "sudo wants a password, and none was given"),
        ("ann", Some(&wrong), "sudo did not take the password"),
        ("eve", Some(&wrong), "sudo"),
    ] {
        let more: Vec<&str> = password.iter().flat_map(|path| ["--password-file", path.as_str()]).collect();
        let outcome = inspect(user, &more).expect(77);
        assert!(outcome.message().contains(part) && !outcome.hint().is_empty(), "{}", outcome.message());
    }
    tree.write("/etc/sudoers.d/tty", b"Defaults:bob requiretty\n");
    let outcome = inspect("bob", &[]).expect(77);
    assert!(
        outcome.message().contains("requiretty") && outcome.hint().contains("!requiretty"),
        "{}",
        outcome.message()
    );
    let before = snapshot(&tree.root());
    let fixed = live_fix(&tree, "ann", &["--password-file", &right]).expect(0);
    assert_eq!(fixed.json["converged"], true);
    assert!(!changed(&tree, &before).is_empty());
    tree.inside("rm /etc/sudoers.d/ann; mv /usr/bin/sudo /usr/bin/sudo.off");
    let outcome = inspect("bob", &[]).expect(77);
    assert!(outcome.message().contains("the guest has no sudo"), "{}", outcome.message());
}
