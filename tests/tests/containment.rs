//! Containment: a plugin, and what it starts, reaches what the job names and nothing else. Where the kernel cannot do that, it is said.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;

use tempfile::TempDir;
use vmdk2kvm_tests::{Outcome, Running, lone_program, private_folder, run};

/// The misbehaving plugin alone with the program, and somebody's file elsewhere.
struct Neighbours {
    program: TempDir,
    folder: TempDir,
}

impl Neighbours {
    fn new() -> Self {
        let neighbours = Self { program: lone_program(), folder: private_folder() };
        for name in ["secret", "temporary"] {
            fs::create_dir(neighbours.folder.path().join(name)).unwrap();
        }
        fs::write(neighbours.folder.path().join("secret/key"), "the neighbour's").unwrap();
        neighbours
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// A migration in which the plugin tries to read the neighbour's file, itself and by a program that it starts.
    fn trespass(&self, more: &[&str]) -> Outcome {
        self.migrate("trespass", more)
    }

    fn migrate(&self, how: &str, more: &[&str]) -> Outcome {
        let mut command = std::process::Command::new(self.program.path().join("vmdk2kvm"));
        command.args(["migrate", "bad:vm", "--format", "vdi", "-o", &self.path("out")]).args(more);
        command.env("BAD_PLUGIN_AT", "Inspector::open").env("BAD_PLUGIN_HOW", how);
        command.env("BAD_PLUGIN_SECRET", self.path("secret/key"));
        // The usual temporary folder is open to every run, and this test's folders are in it.
        command.env("TMPDIR", self.path("temporary"));
        Running::start(command).end()
    }
}

/// Whether this kernel contains, and how that is said, by `doctor`.
fn offered() -> (bool, String) {
    let doctor = run(&["doctor"]).json;
    let line = doctor["needs"].as_array().unwrap().iter().find(|need| need["name"] == "landlock").unwrap().clone();
    (line["present"].as_bool().unwrap(), line["detail"].as_str().unwrap().to_owned())
}

#[test]
fn a_plugin_cannot_read_a_file_that_the_job_does_not_name() {
    let neighbours = Neighbours::new();
    let (contained, _) = offered();
    let read = "read by the plugin: Ok(15), by a program: true";
    let expected = if contained { "read by the plugin: Err(PermissionDenied), by a program: false" } else { read };
    let refused = neighbours.trespass(&[]).expect(1);
    assert!(refused.message().contains(expected), "{}", refused.message());
    // The job's word opens it, by folder or altogether.
    let folder = format!("containment.folders=[{:?}]", neighbours.path("secret"));
    for set in [folder.as_str(), "containment.mode=off"] {
        let allowed = neighbours.trespass(&["--set", set]).expect(1);
        assert!(allowed.message().contains(read), "{set}: {}", allowed.message());
    }
    // A path in the plugin's own settings is the job's word as well.
    let setting = format!("plugin.bad.spool={:?}", neighbours.path("secret"));
    let allowed = neighbours.trespass(&["--set", &setting]).expect(1);
    assert!(allowed.message().contains(read), "{}", allowed.message());
}

#[test]
fn the_report_says_whether_the_run_was_contained() {
    let (contained, reason) = offered();
    let kept = if contained { "yes" } else { "no" };
    for (set, contained, mark) in [
        ("containment.mode=auto", contained, format!("- Contained: {kept}: {reason}")),
        ("containment.mode=off", false, "- Contained: no: switched off by containment.mode".to_owned()),
    ] {
        let neighbours = Neighbours::new();
        let report = neighbours.migrate("behave", &["--set", set]).expect(0).json;
        assert_eq!(report["containment"]["contained"], contained);
        let text = fs::read_to_string(neighbours.path("out/report.md")).unwrap().replace("\\_", "_");
        assert!(text.contains(&mark), "{text}");
        assert!(fs::read_to_string(neighbours.path("out/report.html")).unwrap().contains("Contained"));
    }
    let neighbours = Neighbours::new();
    let required = neighbours.migrate("behave", &["--set", "containment.mode=required"]);
    if contained {
        required.expect(0);
    } else {
        assert!(required.expect(69).message().starts_with("the run cannot be contained: "));
    }
}
