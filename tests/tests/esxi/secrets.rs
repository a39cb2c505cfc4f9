//! A password is asked for once, by a conversation as hosts have it, and is nowhere.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use vmdk2kvm_tests::{Esxi, Running};

use crate::add_web;

/// A word that is nowhere else.
const PASSWORD: &str = "uncommon-Passw0rd-7d1f";

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes())
}

/// Fails where a file below a folder has the password in it. How many files there were.
fn look_into(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files += look_into(&path);
        } else if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            assert!(!holds(&std::fs::read(&path).unwrap_or_default()), "{}", path.display());
            files += 1;
        }
    }
    files
}

fn password_file(folder: &Path, text: &str) -> String {
    let path = folder.join("password");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_password_is_nowhere() {
    let host = Esxi::start_asking(PASSWORD);
    let (vmx, truth) = add_web(&host, "off");
    let elsewhere = tempfile::tempdir().unwrap();
    let file = password_file(elsewhere.path(), &format!("{PASSWORD}\n"));
    let arguments = host.flattening(&vmx, "out", &["--password-file", &file, "--log-level", "trace"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut run = Running::start(host.bare_command(&arguments));
    let mut looks = 0;
    while !run.has_ended() {
        for pid in run.pids() {
            for member in ["cmdline", "environ"] {
                assert!(!holds(&std::fs::read(format!("/proc/{pid}/{member}")).unwrap_or_default()), "{pid}/{member}");
            }
        }
        look_into(host.results.path());
        looks += 1;
    }
    let events = serde_json::to_vec(&run.events()).unwrap();
    let outcome = run.end().expect(0);
    assert!(looks > 1 && !events.is_empty());
    assert!(!holds(&events) && !holds(outcome.stderr.as_bytes()) && !holds(outcome.json.to_string().as_bytes()));
    assert!(look_into(host.results.path()) > 0);
    assert_eq!(host.image("out"), truth);
    // A wrong one is said once: a host counts them.
    let file = password_file(elsewhere.path(), "another");
    let refused =
        Running::start(host.bare_command(&["inventory", &host.uri(&vmx), "--password-file", &file])).end().expect(77);
    let message = refused.message();
    assert!(
        message.contains("does not let ") && message.contains("tried: the password (keyboard-interactive)"),
        "{message}"
    );
    let log = std::fs::read_to_string(host.path("sshd.log")).unwrap();
    assert_eq!(log.matches("Failed keyboard-interactive").count(), 1, "{log}");
    let refused = Running::start(host.bare_command(&["inventory", &host.uri(&vmx)])).end().expect(77);
    assert!(refused.message().contains("nothing was given; it takes "), "{}", refused.message());
    assert!(refused.hint().contains("--password-file"), "{}", refused.hint());
}
