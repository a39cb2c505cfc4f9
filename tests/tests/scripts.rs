//! Programs as fixers and as the tester, through the plugin `exec` and the whole program: those that do what they should, and those that
//! do not. Starts no appliance. Needs sh, head and sleep.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use vmdk2kvm_tests::{
    Outcome, Running, Signal, alone, binary, lone_program, outcome, plugin_folder, private_folder, run_with,
};

/// A program, scripts, and a directory that looks like a Linux guest, fixed by nobody but the scripts.
struct Scripts {
    folder: tempfile::TempDir,
    program: tempfile::TempDir,
}

impl Scripts {
    fn new() -> Self {
        let scripts = Self { folder: private_folder(), program: plugin_folder(&["guestfs"]) };
        fs::create_dir_all(scripts.path("guest/etc")).unwrap();
        fs::write(scripts.path("guest/etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
        scripts
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// Writes a script of sh with these lines.
    fn script(&self, name: &str, lines: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// `plan` with these keys of `plugin.exec`.
    fn plan(&self, keys: &[(&str, &str)]) -> Command {
        let mut plan = Command::new(self.program.path().join("vmdk2kvm"));
        plan.args(["--log-level", "info", "plan"]).arg(format!("dir:{}", self.path("guest").display()));
        for (key, value) in keys {
            plan.args(["--set", &format!("plugin.exec.{key}={value}")]);
        }
        plan
    }

    /// `plan` with a script of these lines as the only fixer.
    #[track_caller]
    fn fixed_by(&self, lines: &str) -> Outcome {
        let path = self.script("fix", lines);
        let program = ("fixers.acme.program", path.to_str().unwrap());
        run(self.plan(&[program, ("fixers.acme.timeout_seconds", "600")]))
    }
}

/// To the end.
fn run(mut command: Command) -> Outcome {
    outcome(&alone(command.arg("--json")).output().unwrap())
}

/// Reads the call, and answers with a change of this target.
fn changes(target: &str) -> String {
    format!(
        r#"read -r call
echo '{{"plan": {{"changes": [{{"kind": "symlink", "to": "/x", "target": "{target}", "summary": "s", "reason": "r", "critical": false}}]}}}}'"#
    )
}

#[test]
fn two_scripts_are_told_apart_and_come_in_their_order() {
    let scripts = Scripts::new();
    let (first, second) = (scripts.script("a", &changes("/a")), scripts.script("b", &changes("/b")));
    let keys = [
        ("fixers.late.program", first.to_str().unwrap()),
        ("fixers.late.order", "900"),
        ("fixers.early.program", second.to_str().unwrap()),
        ("fixers.windows.program", "/bin/false"),
        ("fixers.windows.guests", "[\"windows\"]"),
    ];
    let plan = run(scripts.plan(&keys)).expect(0);
    let changes = plan.json["changes"].as_array().unwrap();
    let told: Vec<_> = changes.iter().map(|change| (change["fixer"].as_str().unwrap(), &change["target"])).collect();
    assert_eq!(told, [("early", &"/b".into()), ("late", &"/a".into())]);
}

#[test]
fn a_script_reads_the_guest() {
    let scripts = Scripts::new();
    fs::write(scripts.path("guest/etc/binary"), [0xff, 0]).unwrap();
    std::os::unix::fs::symlink("os-release", scripts.path("guest/etc/link")).unwrap();
    let asked = r#"read -r call
for question in '{"read": "/etc/os-release"}' '{"read": {"path": "/etc/os-release", "limit": 3}}' '{"read": "/etc/binary"}' \
    '{"read": "/none"}' '{"stat": "/etc"}' '{"list": "/etc"}' '{"read_link": "/etc/link"}'; do
    echo "$question"
    read -r answer
    printf '%s\n' "$answer" >&2
done
printf '%s\n' "$call" | head -c 80 >&2
echo '{"plan": {}}'"#;
    let plan = scripts.fixed_by(asked).expect(0);
    for answer in [
        r#"acme: {"read":{"text":"ID=debian\nVERSION_ID=\"12\"\n","sha256":""#,
        r#"acme: {"error":{"kind":"unusable","message":"/etc/os-release"#,
        r#"acme: {"read":{"base64":"/wA=","sha256":""#,
        r#"acme: {"read":null}"#,
        r#"acme: {"stat":{"kind":"dir","size":"#,
        r#"acme: {"list":[{"name":"binary","kind":"file"},{"name":"link","kind":"symlink"},"#,
        r#"acme: {"read_link":"os-release"}"#,
        r#"acme: {"protocol":1,"call":"plan","fixer":"acme","context":{"vm":{"#,
    ] {
        assert!(plan.stderr.contains(answer), "{answer}\n{}", plan.stderr);
    }
}

/// Scripts that do not do what they should, and how the run then ends.
const BAD: [(&str, i32, &str); 10] = [
    ("echo hello", 1, "the line \"hello\" is none of the protocol: expected value at line 1 column 1"),
    (
        "echo '{\"plan\": {\"change\": []}}'",
        1,
        "is none of the protocol: unknown field `change`, expected one of `findings`, `changes`, `drives`, `wants`",
    ),
    ("echo no licence >&2; exit 3", 1, "it ended with status 3, and its last words were \"no licence\""),
    ("kill -9 $$", 1, "it was killed by signal 9"),
    ("exit 0", 1, "it ended without an answer"),
    ("echo '{\"plan\": {}}'; exit 1", 1, "it answered, but it ended with status 1"),
    ("head -c 64M /dev/zero", 1, "a line of more than 32 MiB"),
    ("while :; do echo '{\"read\": \"/large\"}'; done", 1, "it asks on and on without reading the answers"),
    (
        "echo '{\"error\": {\"kind\": \"missing\", \"message\": \"the key server is gone\"}}'",
        69,
        "the key server is gone",
    ),
    (
        "echo '{\"verdict\": {\"schema\": 1, \"verdict\": \"passed\", \"reason\": \"\", \"evidence\": [], \"seconds\": 1}}'",
        1,
        "acme: a fixer answers with a plan",
    ),
];

#[test]
fn a_script_that_fails_ends_the_run_with_its_name_and_what_it_did() {
    let scripts = Scripts::new();
    fs::write(scripts.path("guest/large"), vec![b'x'; 12 << 20]).unwrap();
    for (lines, code, message) in BAD {
        let run = scripts.fixed_by(lines).expect(code);
        assert!(run.message().starts_with("acme") && run.message().contains(message), "{lines}: {}", run.message());
        assert_eq!((run.error("stage"), run.error("plugin")), ("plan", "exec 0.1.0"), "{lines}");
    }
}

#[test]
fn a_script_that_hangs_is_ended_with_all_that_it_started() {
    let scripts = Scripts::new();
    let note = scripts.path("pids");
    let path = scripts.script("fix", &format!("sleep 1000000 & echo $$ $! >{}; wait", note.display()));
    let keys = [("fixers.acme.program", path.to_str().unwrap()), ("fixers.acme.timeout_seconds", "2")];
    let hung = run(scripts.plan(&keys)).expect(1);
    assert_eq!(hung.message(), format!("acme ({}): it took too long and was ended", path.display()));
    assert_all_gone(&note);

    // And one that the user does not wait for.
    let path =
        scripts.script("fix", &format!("sleep 1000000 & echo $$ $! >{}.part; mv {0}.part {0}; wait", note.display()));
    fs::remove_file(&note).unwrap();
    let mut running = Running::start(scripts.plan(&[("fixers.acme.program", path.to_str().unwrap())]));
    running.wait_until("the script", |_| note.exists());
    running.signal(Signal::INT);
    running.end().expect(130);
    assert_all_gone(&note);
}

/// The processes whose numbers are in this file end: they were killed, but that takes its time on a busy machine.
#[track_caller]
fn assert_all_gone(note: &Path) {
    for pid in fs::read_to_string(note).unwrap().split_whitespace() {
        let lives = || {
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !state.is_empty() && !state.contains(") Z ")
        };
        let began = Instant::now();
        while lives() {
            assert!(began.elapsed() < Duration::from_secs(60), "process {pid} is left");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_script_that_must_not_be_run_is_a_configuration_error() {
    let scripts = Scripts::new();
    let script = scripts.script("fix", "echo '{\"plan\": {}}'");
    let shown = script.display().to_string();
    let refused = |program: &str, name: &str| {
        let refused = run(scripts.plan(&[(&format!("fixers.{name}.program"), program)]));
        refused.expect(78).message().rsplit_once("`plugin.exec.").unwrap().1.to_owned()
    };
    assert_eq!(refused("fix", "a"), "fixers.a`: fix is not an absolute path");
    assert!(refused("/nonexistent/fix", "a").starts_with("fixers.a`: /nonexistent/fix: No such file"));
    assert_eq!(refused("/etc", "a"), "fixers.a`: /etc is not a regular file");
    assert_eq!(refused(&shown, "A"), "fixers.A` is no name for a fixer");
    for (mode, why) in [(0o644, "is not executable"), (0o777, "can be written by others (mode 777)")] {
        fs::set_permissions(&script, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(refused(&shown, "a"), format!("fixers.a`: {shown} {why}"));
    }
}

#[test]
fn a_script_is_the_tester_when_it_is_set() {
    let lone = lone_program();
    let name = "libvmdk2kvm_exec.so";
    fs::copy(binary().with_file_name(name), lone.path().join(name)).unwrap();
    let scripts = Scripts::new();
    for (verdict, code) in [("passed", 0), ("failed", 80)] {
        let answer = format!(
            r#"read -r call; case "$call" in '{{"protocol":1,"call":"test","request":{{'*) ;; *) exit 9 ;; esac
echo '{{"verdict": {{"schema": 1, "verdict": "{verdict}", "reason": "our-cloud", "evidence": [], "seconds": 1.5}}}}'"#
        );
        let tester = scripts.script("boots", &answer);
        let (out, set) = (scripts.path(verdict), format!("plugin.exec.tester.program={}", tester.display()));
        let arguments = ["migrate", "bad:vm", "-o", out.to_str().unwrap(), "--set", &set];
        run_with(&lone.path().join("vmdk2kvm"), &arguments).expect(code);
        let report: serde_json::Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
        assert_eq!((&report["test"]["plugin"], &report["test"]["reason"]), (&"exec 0.1.0".into(), &"our-cloud".into()));
    }
}
