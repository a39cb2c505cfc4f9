//! A password is asked for once, by a conversation as hosts have it, and is nowhere.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use vmdk2kvm_tests::{Esxi, Planted, Running};

use crate::add_web;

/// A word that is nowhere else.
const PASSWORD: &str = "uncommon-Passw0rd-7d1f";
const PLANTED: Planted<'_> = Planted(PASSWORD);

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
                assert!(
                    !PLANTED.is_in(std::fs::read(format!("/proc/{pid}/{member}")).unwrap_or_default()),
                    "{pid}/{member}"
                );
            }
        }
        PLANTED.look_into(host.results.path());
        looks += 1;
    }
    let events = serde_json::to_vec(&run.events()).unwrap();
    let outcome = run.end().expect(0);
    assert!(looks > 1 && !events.is_empty());
    assert!(
        !PLANTED.is_in(&events)
            && !PLANTED.is_in(outcome.stderr.as_bytes())
            && !PLANTED.is_in(outcome.json.to_string().as_bytes())
    );
    assert!(PLANTED.look_into(host.results.path()) > 0);
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

#[test]
fn keys_of_an_agent_and_keys_with_a_passphrase_open_it() {
    let host = Esxi::start();
    let (vmx, _) = add_web(&host, "off");
    let uri = host.uri(&vmx);
    let listed = |command: std::process::Command| Running::start(command).end();
    let nobody = listed(host.bare_command(&["inventory", &uri])).expect(77);
    assert!(nobody.message().ends_with("nothing was given; it takes publickey"), "{}", nobody.message());
    // An agent, which ends with its command.
    let socket = host.path("agent");
    let mut agent = std::process::Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(std::process::Stdio::null())
        .spawn();
    let agent = agent.as_mut().expect("ssh-agent (package openssh-client)");
    while !socket.exists() {
        assert!(agent.try_wait().unwrap().is_none(), "ssh-agent ended");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let added =
        std::process::Command::new("ssh-add").arg("-q").arg(host.path("user")).env("SSH_AUTH_SOCK", &socket).status();
    assert!(added.unwrap().success());
    let mut command = host.bare_command(&["inventory", &uri]);
    command.env("SSH_AUTH_SOCK", &socket);
    let found = listed(command);
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(found.expect(0).json["vms"][0]["name"], "web");
    // The same key behind a passphrase.
    let changed = std::process::Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", PASSWORD, "-f"])
        .arg(host.path("user"))
        .status();
    assert!(changed.unwrap().success());
    listed(host.command(&["inventory", &uri])).expect(77);
    let elsewhere = tempfile::tempdir().unwrap();
    let file = password_file(elsewhere.path(), PASSWORD);
    let secret = format!("secrets.passphrase.file={file:?}");
    listed(host.command(&["inventory", &uri, "--set", &secret])).expect(0);
}
