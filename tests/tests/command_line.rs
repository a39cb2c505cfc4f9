//! What goes to stdout and what to stderr, and what must never be shown on either. Uses a plain directory: no appliance is started.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::process::{Command, Output};

use serde_json::Value;
use vmdk2kvm_tests::{alone, binary, private_folder, run};

/// A folder that looks like a Linux system whose name tries to rewrite the terminal.
fn hostile_guest() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("etc")).unwrap();
    let release = "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian \u{1b}[2J\u{9b}31m\u{202e}12\"\n";
    std::fs::write(folder.path().join("etc/os-release"), release).unwrap();
    folder
}

fn vmdk2kvm(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    alone(command.args(arguments)).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn stdout_carries_the_result_and_nothing_else() {
    let guest = hostile_guest();
    let source = format!("dir:{}", guest.path().display());
    let output = vmdk2kvm(&["plan", &source]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(stdout.contains("nothing has to change") && !stdout.contains("PLAN"), "{stdout}");
    assert!(stderr.contains("PLAN     done") && !stderr.contains("nothing has to change"), "{stderr}");
    let quiet = vmdk2kvm(&["plan", &source, "-q"]);
    assert_eq!((text(&quiet.stdout), text(&quiet.stderr)), (stdout, String::new()));
    let failed = vmdk2kvm(&["plan", &format!("{source}/nothing"), "-q"]);
    assert_eq!((failed.status.code(), text(&failed.stdout)), (Some(65), String::new()));
    let stderr = text(&failed.stderr);
    assert!(stderr.starts_with("vmdk2kvm: FETCH (dir ") && stderr.contains("\nhint: "), "{stderr}");
}

#[test]
fn events_on_stdout_are_alone_there() {
    let guest = hostile_guest();
    let source = format!("dir:{}", guest.path().display());
    let output = vmdk2kvm(&["plan", &source, "--events", "-"]);
    assert_eq!(output.status.code(), Some(0));
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.first().unwrap()["event"], "run_started");
    assert_eq!(lines.last().unwrap()["event"], "run_finished");
    assert!(text(&output.stderr).contains("nothing has to change"));
    let both = vmdk2kvm(&["plan", &source, "--events", "-", "--json"]);
    assert_eq!(both.status.code(), Some(2));
    let error: Value = serde_json::from_slice(&both.stdout).unwrap();
    assert_eq!(error["error"]["message"], "--json and `--events -` both want stdout");
}

#[test]
fn what_a_guest_says_cannot_rewrite_a_terminal() {
    let guest = hostile_guest();
    let source = format!("dir:{}", guest.path().display());
    for format in [&["--json"][..], &["--events", "-"], &[]] {
        let output = vmdk2kvm(&[&["inspect", &source], format].concat());
        for shown in [text(&output.stdout), text(&output.stderr)] {
            let odd = shown.chars().find(|letter| (letter.is_control() && *letter != '\n') || *letter == '\u{202e}');
            assert_eq!(odd, None, "{format:?}: {shown:?}");
        }
    }
    let json: Value = serde_json::from_slice(&vmdk2kvm(&["inspect", &source, "--json"]).stdout).unwrap();
    assert_eq!(json["os"]["product"], "Debian \u{1b}[2J\u{9b}31m\u{202e}12");
}

#[test]
fn no_password_is_shown() {
    let uri = "vsphere://root:hunter2@vc/dc/vm";
    let (uri_set, password) = (format!("source.uri={uri}"), "plugin.vsphere.password=hunter2");
    for arguments in [
        &["config", "show", "--set", &uri_set, "--set", password][..],
        &["config", "show", "--json", "--set", &uri_set, "--set", password],
        &["config", "check", "--set", "test.ssh_port=hunter", "--set", &uri_set],
        &["inspect", uri],
        &["inspect", uri, "--json"],
        &["inspect", uri, "--events", "-", "--log-level", "trace"],
    ] {
        let output = vmdk2kvm(arguments);
        let shown = text(&output.stdout) + &text(&output.stderr);
        assert!(!shown.is_empty() && !shown.contains("hunter2"), "{arguments:?}: {shown}");
    }
}

#[test]
fn settings_are_shown_as_a_file_that_can_be_read_again() {
    let set = ["--set", "format=raw", "--set", "plugin.qemu-img.compression=zlib"];
    let shown = vmdk2kvm(&[&["config", "show"], &set[..]].concat());
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), &shown.stdout).unwrap();
    let again = vmdk2kvm(&["config", "show", "-c", file.path().to_str().unwrap()]);
    assert_eq!(text(&again.stdout), text(&shown.stdout));
    assert!(text(&shown.stdout).contains("compression = \"zlib\""));
}

#[test]
fn wrong_settings_of_a_plugin_are_found_without_a_run() {
    for (key, message) in [
        (
            "plugin.qemu-img.compresion=zlib",
            "unknown key `plugin.qemu-img.compresion`; did you mean `plugin.qemu-img.compression`?",
        ),
        ("plugin.local.x=1", "unknown key `plugin.local.x`"),
    ] {
        let output = vmdk2kvm(&["config", "check", "--set", key]);
        assert_eq!(output.status.code(), Some(78));
        assert!(text(&output.stderr).starts_with(&format!("vmdk2kvm: {message}\n")), "{}", text(&output.stderr));
    }
    let output = vmdk2kvm(&["config", "check", "--set", "plugin.qemu_img.compression=zlib"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("did you mean `plugin.qemu-img`?"), "{}", text(&output.stderr));
}

#[test]
fn a_run_is_collected_without_names_addresses_and_secrets() {
    let folder = private_folder();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir_all(path("acme-web/boot")).unwrap();
    let report = serde_json::json!({
        "vm": {"name": "acme-web", "nics": [{"mac": "00:50:56:2a:77:01", "network": "Acme Net"}]},
        "stages": [{"name": "flatten", "seconds": 1.5}],
        "source": {"uri": "vsphere://joe@vc.acme.example/DC/vm/acme-web"},
    });
    std::fs::write(path("acme-web/report.json"), report.to_string()).unwrap();
    let plan = serde_json::json!({"changes": [{"target": "/etc/fstab", "diff": "+psk=hunter2\n", "action": {"content": "aGVsbG8="}}]});
    std::fs::write(path("acme-web/plan.json"), plan.to_string()).unwrap();
    std::fs::write(path("acme-web/boot/console.log"), "acme-web login: \r\ninet 10.9.8.7/24\r\n").unwrap();
    std::fs::write(path("events"), "{\"event\": \"warning\", \"message\": \"10.9.8.7 is acme-web\"}\n").unwrap();
    let words = ["collect", &path("acme-web"), "--with", &path("events"), "--to", &path("report.tar.gz")];
    let collected = run(&words).expect(0).json;
    assert_eq!(collected["files"][0], "report.json");
    let read = Command::new("tar").args(["-xzOf", &path("report.tar.gz")]).output().expect("tar (package tar)");
    let text = String::from_utf8(read.stdout).unwrap();
    for gone in ["acme", "joe@", "10.9.8.7", "2a:77:01", "hunter2", "aGVsbG8"] {
        assert!(!text.to_lowercase().contains(gone), "{gone}: {text}");
    }
    for kept in ["flatten", "/etc/fstab", "login:", "address-1", "\"abilities\""] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    let listed = Command::new("tar").args(["-tzf", &path("report.tar.gz")]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("vmdk2kvm-report/README.txt\n") && listed.contains("/given/events\n"), "{listed}");
    let again = run(&words).expect(73);
    assert!(again.message().ends_with("exists already"), "{}", again.message());
}
