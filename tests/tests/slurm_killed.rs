//! A batch under a real Slurm of which something is killed without a word: the program that a task runs, the process of its VM, the daemon of a node. Each at ten
//! moments, at all of them at once, since each VM of the batch is stopped at another one. The images are those of a batch that nobody disturbed, and what was
//! finished is not done again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use vmdk2kvm_tests::{Many, Signal, Slurm, Task, alone, names, processes, send, started};

/// The VM of this index is stopped there. The first one is not fixed, and gets another format: it is stopped when that is written.
const MOMENTS: [&str; 10] =
    ["format", "fetch", "hold", "flatten", "inspect", "plan", "convert", "fix", "release", "test"];
/// VMs that nobody stops.
const QUICK: usize = 2;
const VMS: usize = MOMENTS.len() + QUICK;
const HEAD: &str = "[defaults]\nsource.snapshot = true\n[limits]\n\"host:*\" = 1";

/// What a task runs: the program, with its events in a file for each attempt.
const PROGRAM: &str = "#!/bin/sh\nexec \"$REAL_PROGRAM\" \"$@\" --events \"$TASK_EVENTS.${SLURM_RESTART_COUNT:-0}\"\n";

/// A batch in which every VM that is stopped has a key, and so an array, of its own.
struct Batch<'a> {
    many: Many,
    slurm: &'a Slurm,
}

impl<'a> Batch<'a> {
    fn new(slurm: &'a Slurm) -> Self {
        let many = Many::new(VMS);
        many.list(HEAD, &vms());
        let program = many.room.path("program");
        fs::write(&program, PROGRAM).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { many, slurm }
    }

    fn path(&self, what: &str, index: usize) -> PathBuf {
        self.many.room.path(&format!("{what}-{index}"))
    }

    /// In the environment of all processes of a VM's task.
    fn variable(&self, index: usize) -> String {
        format!("TASK_EVENTS={}", self.path("events", index).display())
    }

    /// Submits every array, and waits until each VM that is to be stopped is where it is to be, and the others are done.
    fn submit_and_stop(&self) {
        let to = self.many.room.path("scripts");
        self.many.room.run(self.many.command(&["export", "slurm"], &["--to", to.to_str().unwrap()])).expect(0);
        for script in names(&to).into_iter().filter(|name| name.starts_with("array-")) {
            let text = fs::read_to_string(to.join(&script)).unwrap();
            let rows = text.lines().find_map(|line| line.strip_prefix("rows=(")?.strip_suffix(')')).unwrap();
            let index: usize = rows.split(' ').next().unwrap().parse().unwrap();
            let mut submit = Command::new("sbatch");
            submit
                .arg(&script)
                .current_dir(&to)
                .envs(self.many.room.environment())
                .env("SLURM_CONF", self.slurm.conf())
                .env("VMDK2KVM", self.many.room.path("program"))
                .env("REAL_PROGRAM", self.many.room.program())
                .env("TASK_EVENTS", self.path("events", index))
                .env("SLOW_HOLDS", self.many.room.path("holds"))
                .env("SLOW_STAGE", MOMENTS.get(index).map_or("", |moment| stage(moment)))
                .env("SLOW_GO", self.path("go", index))
                .env("SLOW_MARK", self.path("mark", index));
            let output = alone(&mut submit).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        // A quick one's image has its name before its task is over.
        self.slurm.wait_until("every moment", |tasks| {
            (0..MOMENTS.len()).all(|index| self.has_come(index))
                && self.many.digests().len() >= QUICK
                && tasks.iter().filter(|task| !is_over(task)).count() == MOMENTS.len()
        });
    }

    fn has_come(&self, index: usize) -> bool {
        let events = || fs::read_to_string(format!("{}.0", self.path("events", index).display())).unwrap_or_default();
        match MOMENTS[index] {
            "format" | "convert" => self.path("mark", index).exists(),
            _ => events().contains("\"stopped\""),
        }
    }

    /// Kills a process of each VM that was stopped.
    fn kill(&self, arguments: &str) {
        for index in 0..MOMENTS.len() {
            let own = processes(&self.variable(index));
            let found = own.iter().find(|(_, words)| words.contains(arguments));
            send(found.unwrap_or_else(|| panic!("no {arguments} among {own:#?}")).0, Signal::KILL);
        }
    }

    fn go(&self) {
        (0..VMS).for_each(|index| fs::write(self.path("go", index), "").unwrap());
    }

    /// Waits until that holds for all tasks but those that were known before.
    fn wait_until_all(&self, before: &[String], what: &str, holds: impl Fn(&Task) -> bool) {
        self.slurm.wait_until(what, |tasks| tasks.iter().all(|task| before.contains(&task.id) || holds(task)));
    }

    /// The same command ends with what an undisturbed batch has; it starts these.
    #[track_caller]
    fn ends_as_if_nothing_had_happened(&self, expected: &BTreeMap<String, String>) -> Vec<String> {
        let mut rerun = self.many.command(&["run"], &[]);
        rerun.env("SLOW_HOLDS", self.many.room.path("holds"));
        let mut running = vmdk2kvm_tests::Running::start(rerun);
        running.wait_for_end();
        let again = started(&running.events());
        running.end().expect(0);
        assert_eq!(&self.many.digests(), expected);
        let left = names(&self.many.room.path("out"));
        assert!(!left.iter().any(|name| name.contains("-work") || name.contains(".part")), "{left:?}");
        assert_eq!(names(&self.many.room.path("holds/held")), [""; 0], "what was held is given back");
        again
    }

    fn attempts(&self) -> BTreeMap<String, usize> {
        let status = self.many.room.run(self.many.command(&["status"], &[])).expect(0).json;
        let jobs = status["jobs"].as_array().unwrap().clone();
        let of = |job: &Value| (job["name"].as_str().unwrap().to_owned(), job["attempts"].as_array().unwrap().len());
        jobs.iter().map(of).collect()
    }
}

/// Each that is stopped has a key of its own.
fn vms() -> Vec<(String, String)> {
    let more = |index: usize| match MOMENTS.get(index) {
        Some(&"format") => format!("keys = [\"host:h{index}\"]\nformat = \"vmdk\"\nskip = [\"fix\", \"test\"]"),
        Some(_) => format!("keys = [\"host:h{index}\"]"),
        None => String::new(),
    };
    (0..VMS).map(|index| (format!("vm{index}"), more(index))).collect()
}

/// The stage in which that moment is.
fn stage(moment: &str) -> &str {
    if moment == "format" { "convert" } else { moment }
}

fn is_over(task: &Task) -> bool {
    !["PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED"].contains(&task.state.as_str())
}

fn known(slurm: &Slurm) -> Vec<String> {
    slurm.tasks().into_iter().map(|task| task.id).collect()
}

/// The VMs that were finished before anything was killed.
fn quick() -> Vec<String> {
    (MOMENTS.len()..VMS).map(|index| format!("vm{index}")).collect()
}

#[test]
fn what_is_killed_at_ten_moments_ends_with_the_same_images_and_nothing_is_done_twice() {
    let licences: Vec<String> = (0..MOMENTS.len()).map(|index| format!("host-h{index}:1")).collect();
    let mut slurm = Slurm::start(&licences.join(","), 16);
    let expected = {
        let undisturbed = Many::new(VMS);
        undisturbed.list("", &vms());
        undisturbed.run(&[]).0.expect(0);
        undisturbed.digests()
    };

    // The program of each task: the task has failed, and the same command goes on.
    {
        let batch = Batch::new(&slurm);
        let before = known(&slurm);
        batch.submit_and_stop();
        batch.kill("batch run");
        batch.go();
        batch.wait_until_all(&before, "all over", is_over);
        let again = batch.ends_as_if_nothing_had_happened(&expected);
        assert_eq!(again.len(), MOMENTS.len(), "{again:?}");
        assert!(quick().iter().all(|name| !again.contains(name)), "{again:?}");
    }

    // The process of each VM: its task ends with 75 and is requeued, until all are done.
    {
        let batch = Batch::new(&slurm);
        let before = known(&slurm);
        batch.submit_and_stop();
        batch.kill("batch-process");
        batch.go();
        // One that has failed is one that is about to be requeued.
        batch.wait_until_all(&before, "all done", |task| task.state == "COMPLETED");
        assert_eq!(batch.ends_as_if_nothing_had_happened(&expected), [""; 0]);
        assert!(quick().iter().all(|name| batch.attempts()[name] == 1), "{:?}", batch.attempts());
    }

    // The daemon of the node. Of half of the tasks all processes end with it, as when a machine dies; those of the others live on, and their VMs are theirs.
    slurm.set_node("conv2", "DRAIN");
    let before = known(&slurm);
    let batch = Batch::new(&slurm);
    batch.submit_and_stop();
    let lost: Vec<Task> = slurm.tasks().into_iter().filter(|task| task.state == "RUNNING").collect();
    assert!(lost.len() == MOMENTS.len() && lost.iter().all(|task| task.place == "conv1"), "{lost:#?}");
    slurm.set_node("conv2", "RESUME");
    let many = batch.many;
    slurm.lose("conv1");
    let batch = Batch { many, slurm: &slurm };
    for index in (0..MOMENTS.len()).step_by(2) {
        processes(&batch.variable(index)).into_iter().for_each(|(pid, _)| send(pid, Signal::KILL));
    }
    batch.go();
    batch.wait_until_all(&before, "all done", |task| task.state == "COMPLETED");
    assert_eq!(batch.ends_as_if_nothing_had_happened(&expected), [""; 0]);
    assert!(quick().iter().all(|name| batch.attempts()[name] == 1), "{:?}", batch.attempts());
}
