//! Plugins whose code goes wrong, in every method and in every way: the run says which plugin and which call, ends with the right code,
//! leaves nothing behind, and the same command without the fault finishes what was begun.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;
use vmdk2kvm_tests::{Outcome, Running, Signal, command, lone_program, names, outcome, private_folder};

/// The program with the bad plugin; shared, as nothing writes to it.
static PROGRAM: LazyLock<TempDir> = LazyLock::new(lone_program);

fn program() -> PathBuf {
    PROGRAM.path().join("vmdk2kvm")
}

/// The methods that a migration to VDI calls, with the stage each belongs to; empty where two rivers may be the first to call it.
const METHODS: [(&str, &str); 42] = [
    ("Plugin::new", "fetch"),
    ("Plugin::fetcher", "fetch"),
    ("Fetcher::accepts", "fetch"),
    ("Fetcher::catalog", "fetch"),
    ("Catalog::describe", "fetch"),
    ("Fetcher::carries", "flatten"),
    ("Fetcher::transport", "flatten"),
    ("Plugin::converter", ""),
    ("Converter::formats", ""),
    ("Converter::targets", ""),
    ("Converter::render", ""),
    ("Plugin::tester", ""),
    ("Plugin::flattener", "flatten"),
    ("Flattener::formats", "flatten"),
    ("Flattener::flatten", "flatten"),
    ("Transport::resolve", "flatten"),
    ("Transport::open", "flatten"),
    ("Transport::fingerprint", "flatten"),
    ("BlockSource::size", "flatten"),
    ("BlockSource::hints", ""),
    ("BlockSource::extents", ""),
    ("BlockSource::read_at", ""),
    ("Converter::create_overlay", ""),
    ("Plugin::inspector", ""),
    ("Inspector::accepts_disks", ""),
    ("Inspector::open", "inspect"),
    ("Plugin::fixers", ""),
    ("Fixer::name", ""),
    ("Fixer::guests", ""),
    ("Fixer::order", ""),
    ("Fixer::live", ""),
    ("Fixer::plan", "plan"),
    ("Guest::list", "plan"),
    ("Guest::stat", "plan"),
    ("Guest::read_link", "plan"),
    ("Guest::read", "plan"),
    ("Guest::apply", "fix"),
    ("Guest::discard_unused", "fix"),
    ("Guest::close", "fix"),
    ("Converter::commit_overlay", "convert"),
    ("Converter::convert", "convert"),
    ("Tester::test", "test"),
];

/// A place for a migration's result.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: private_folder() }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn migration(&self) -> Command {
        let mut migration = Command::new(program());
        migration.args(["migrate", "bad:vm", "--format", "vdi", "-o"]).arg(self.out());
        migration
    }

    fn start(&self, at: &str, how: &str) -> Running {
        let mut migration = self.migration();
        migration.env("BAD_PLUGIN_AT", at).env("BAD_PLUGIN_HOW", how);
        Running::start(migration)
    }

    /// A run to the end. That none of its processes, sockets and temporary files is left is checked there.
    #[track_caller]
    fn migrate_with(&self, at: &str, how: &str) -> Outcome {
        self.start(at, how).end()
    }

    /// No part of the result has a final name.
    #[track_caller]
    fn assert_no_result(&self, context: &str) {
        let finals: Vec<_> = names(&self.out()).into_iter().filter(|name| RESULT.contains(&name.as_str())).collect();
        assert!(finals.is_empty(), "{context}: {finals:?} is there");
    }

    /// The same command without the fault finishes.
    #[track_caller]
    fn assert_resumes(&self) {
        Running::start(self.migration()).end().expect(0);
        assert_eq!(names(&self.out()), RESULT);
    }
}

/// What a finished migration leaves.
const RESULT: [&str; 6] = ["bad-vm-disk1.vdi", "bad-vm.bad", "plan.json", "report.html", "report.json", "report.md"];

/// Whether a fault in this method comes after the images got their final names.
fn is_after_promotion(method: &str) -> bool {
    method == "Tester::test"
}

#[track_caller]
fn assert_blames(outcome: &Outcome, method: &str, stage: &str) {
    assert_eq!(outcome.error("plugin"), "bad 0.1.0", "{method}: {:#}", outcome.json);
    assert!(outcome.message().contains(method), "{method}: {:#}", outcome.json);
    if !stage.is_empty() {
        assert_eq!(outcome.error("stage"), stage, "{method}: {:#}", outcome.json);
    }
}

/// A whole migration of a machine in memory, without a fault: the measure for everything below.
#[test]
fn without_a_fault_everything_goes_well() {
    Place::new().assert_resumes();
}

#[test]
fn a_panic_is_an_error_that_names_the_plugin_the_method_and_the_line() {
    for (method, stage) in METHODS {
        let place = Place::new();
        let outcome = place.migrate_with(method, "panic");
        if method == "BlockSource::hints" {
            // Advice that cannot be had is no reason to stop; the log says why it could not.
            let outcome = outcome.expect(0);
            assert!(outcome.stderr.contains("a deliberate panic"), "{}", outcome.stderr);
            continue;
        }
        if method == "BlockSource::size" {
            // This call has no way to fail: the size is zero, which cannot be.
            let outcome = outcome.expect(1);
            assert_eq!(outcome.message(), "disk1: 0 bytes can be read of a disk of 1048576 bytes");
            assert!(outcome.stderr.contains("a deliberate panic"), "{}", outcome.stderr);
            continue;
        }
        let outcome = outcome.expect(1);
        assert_blames(&outcome, method, stage);
        assert!(outcome.message().contains("a deliberate panic at "), "{}", outcome.message());
        assert!(outcome.message().contains("bad-plugins/misbehaves/fault.rs:"), "{}", outcome.message());
        assert!(outcome.error("hint").contains("--set plugins.disabled='[\"bad\"]'"), "{:#}", outcome.json);
        if !is_after_promotion(method) {
            place.assert_no_result(method);
        }
        place.assert_resumes();
    }
}

#[test]
fn a_crash_is_an_error_that_names_the_plugin_and_the_method() {
    for (method, stage) in METHODS {
        let place = Place::new();
        let outcome = place.migrate_with(method, "segfault").expect(1);
        assert_blames(&outcome, method, stage);
        let expected = format!("the worker was killed by signal 11 inside plugin bad 0.1.0, {method}");
        assert_eq!(outcome.message(), expected);
        assert!(outcome.error("hint").contains("run the same command again"), "{:#}", outcome.json);
        if !is_after_promotion(method) {
            place.assert_no_result(method);
        }
        place.assert_resumes();
    }
}

/// In a method on the main thread, and on threads of the plugin's own while it runs.
#[test]
fn every_way_to_die_is_told_apart() {
    for (how, said) in [
        ("abort", "was killed by signal 6"),
        ("overflow", "was killed by signal 11"),
        ("exit", "ended with status 0 and no answer"),
        ("exit-thread", "ended with status 0 and no answer"),
        ("segfault-thread", "was killed by signal 11"),
    ] {
        let place = Place::new();
        let outcome = place.migrate_with("Inspector::open", how).expect(1);
        assert_eq!(outcome.message(), format!("the worker {said} inside plugin bad 0.1.0, Inspector::open"), "{how}");
        assert_eq!(outcome.error("stage"), "inspect");
        place.assert_no_result(how);
        place.assert_resumes();
    }
}

/// A guest is dropped when it is done with; its destructor is the plugin's code, too.
#[test]
fn a_destructor_is_named_like_a_method() {
    let place = Place::new();
    let outcome = place.migrate_with("Guest::drop", "segfault").expect(1);
    assert_eq!(outcome.message(), "the worker was killed by signal 11 inside plugin bad 0.1.0, dropping");
    place.assert_resumes();
}

#[test]
fn a_panic_on_the_plugins_own_thread_is_in_the_log() {
    let outcome = Place::new().migrate_with("Inspector::open", "panic-thread").expect(0);
    let line = outcome.stderr.lines().find(|line| line.contains("thread own panicked at "));
    assert!(line.is_some_and(|line| line.contains("bad")), "{}", outcome.stderr);
}

/// The process holds the worker's standard error open, too.
#[test]
fn a_process_that_a_crashed_plugin_started_does_not_outlive_it() {
    let place = Place::new();
    let outcome = place.migrate_with("Inspector::open", "litter").expect(1);
    assert_blames(&outcome, "Inspector::open", "inspect");
    place.assert_no_result("litter");
    place.assert_resumes();
}

/// The first Ctrl-C asks, the second ends a plugin that does not listen.
#[test]
fn a_plugin_that_hangs_can_be_interrupted() {
    let place = Place::new();
    let mut run = place.start("Inspector::open", "hang");
    run.wait_for_stage("inspect");
    run.signal(Signal::INT);
    run.wait_for("the answer to Ctrl-C", |event| {
        event["message"].as_str().is_some_and(|message| message.starts_with("stopping at the next safe point"))
    });
    run.signal(Signal::INT);
    let outcome = run.end().expect(130);
    let expected = "interrupted; the worker did not stop inside plugin bad 0.1.0, Inspector::open and was ended";
    assert_eq!(outcome.message(), expected);
    assert!(outcome.hint().starts_with("to continue where this run stopped: "), "{}", outcome.hint());
    place.assert_no_result("hang");
    place.assert_resumes();
}

#[test]
fn answers_that_cannot_be_are_refused_by_name() {
    for (method, how, said) in [
        ("Catalog::describe", "future-schema", "schema 99 is newer than 1"),
        ("Flattener::flatten", "future-schema", "schema 99 is newer than 1"),
        ("Inspector::open", "future-schema", "schema 99 is newer than 1"),
        ("Tester::test", "future-schema", "schema 99 is newer than 1"),
        ("Catalog::describe", "huge", "the limit is 67108864"),
        ("Fixer::plan", "huge", "the limit is 67108864"),
        ("BlockSource::size", "lie", "524288 bytes can be read of a disk of 1048576 bytes"),
        ("BlockSource::read_at", "lie", "claims to have read"),
        ("BlockSource::read_at", "nothing", "claims to have read 0"),
        ("BlockSource::extents", "lie", "the map of 0..1048576 has an extent 0 + 2097152 where 0 was due"),
        ("Fixer::plan", "lie", "/etc/fixed is no file, the change expects SHA-256 0000"),
    ] {
        let place = Place::new();
        let outcome = place.migrate_with(method, how).expect(1);
        assert_eq!(outcome.error("plugin"), "bad 0.1.0", "{method} {how}: {:#}", outcome.json);
        assert!(outcome.message().contains(said), "{method} {how}: {}", outcome.message());
        if how == "future-schema" || how == "huge" {
            let blamed = format!("{method} gave an answer that cannot be read: ");
            assert!(outcome.message().starts_with(&blamed), "{}", outcome.message());
        }
        place.assert_resumes();
    }
}

#[test]
fn a_manifest_that_promises_too_much_is_found_out() {
    let place = Place::new();
    let outcome = place.migrate_with("Plugin::fetcher", "missing").expect(69);
    assert_eq!(outcome.error("plugin"), "bad 0.1.0");
    let expected = "no plugin can fetch from bad:vm, and one could not be asked: \
                    the plugin bad 0.1.0 says that it has a fetcher, and has none";
    assert_eq!(outcome.message(), expected);
    place.assert_no_result("missing");
}

/// A library's initialisers run while it is loaded; `plugin check` loads it in a process of its own.
#[test]
fn a_crash_while_it_is_loaded_is_named() {
    let expected = "the worker was killed by signal 11 inside plugin bad 0.1.0, loading";
    let place = Place::new();
    let mut migration = place.migration();
    migration.env("BAD_PLUGIN_CRASH", "1");
    let crashed = Running::start(migration).end().expect(1);
    assert_eq!(crashed.message(), expected);
    assert_eq!(crashed.error("stage"), "fetch");

    let library = PROGRAM.path().join("libbad.so");
    let mut check = command(&program(), &["plugin", "check", library.to_str().unwrap()]);
    // It lives, and breaks promises.
    assert_eq!(outcome(&check.output().unwrap()).expect(65).json["name"], "bad");
    assert_eq!(outcome(&check.env("BAD_PLUGIN_CRASH", "1").output().unwrap()).expect(1).message(), expected);
}

/// `plugin list`, `plugin show` and `doctor` work on what files say of themselves: no plugin's code runs.
#[test]
fn looking_at_plugins_runs_no_code_of_theirs() {
    let place = Place::new();
    let mark = place.folder.path().join("mark");
    let say = |arguments: &[&str]| {
        outcome(&command(&program(), arguments).env("BAD_PLUGIN_MARK", &mark).output().unwrap()).expect(0)
    };
    let list = say(&["plugin", "list"]);
    assert_eq!(list.json["plugins"][0]["name"], "bad");
    assert_eq!(say(&["plugin", "show", "bad"]).json["name"], "bad");
    say(&["doctor"]);
    assert!(!mark.exists(), "the plugin's code ran");
    say(&["inventory", "bad:vm"]);
    assert!(mark.exists(), "the mark is not left even when the plugin is used: the test proves nothing");
}
