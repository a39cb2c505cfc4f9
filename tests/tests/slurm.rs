//! The same batch under a real Slurm: licences are kept, what a retry cures is requeued and nothing else, a lost node's VM is done elsewhere and
//! its orphan is fenced, a cancelled one can be resumed, and the finished array costs little.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;
use vmdk2kvm_tests::{Many, Slurm, Task, alone, names, started};

/// The places, three VMs of each.
const KEYS: [&str; 3] = ["host:a", "host:b", "store:x"];

struct Cluster {
    many: Many,
    slurm: Slurm,
}

impl Cluster {
    /// A room with a list of 12 VMs, and a cluster with its licences.
    fn new(head: &str) -> Self {
        let many = Many::new(12);
        let vms: Vec<(String, String)> =
            (0..12).map(|index| (format!("vm{index}"), format!("keys = [\"{}\"]", KEYS[index % 3]))).collect();
        many.list(&format!("{head}\n[limits]\ntotal = 8\n\"host:a\" = 2\n\"host:b\" = 1\n\"store:x\" = 3"), &vms);
        Self { many, slurm: Slurm::start("host-a:2,host-b:1,store-x:3", 4) }
    }

    /// Writes the scripts, and checks that the licences are those that the cluster has.
    fn export(&self) -> Vec<String> {
        let to = self.many.room.path("scripts");
        let export =
            self.many.room.run(self.many.command(&["export", "slurm"], &["--to", to.to_str().unwrap()])).expect(0);
        let lines: Vec<&str> =
            export.json["administrator"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        assert_eq!(lines, ["RequeueExit=75", "Licenses=host-a:2,host-b:1,store-x:3"]);
        let files = export.json["files"].as_array().unwrap();
        files.iter().map(|file| file.as_str().unwrap().to_owned()).collect()
    }

    /// Submits all arrays with this in the environment of their tasks.
    fn submit(&self, environment: &[(&str, String)]) {
        let mut submit = Command::new("sh");
        submit
            .arg(self.many.room.path("scripts/submit.sh"))
            .env("SLURM_CONF", self.slurm.conf())
            .env("VMDK2KVM", self.many.room.program())
            .envs(self.many.room.environment())
            .envs(environment.iter().map(|(name, value)| (*name, value)));
        let output = alone(&mut submit).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn status(&self) -> Value {
        self.many.room.run(self.many.command(&["status"], &[])).expect(0).json
    }
}

fn is_over(task: &Task) -> bool {
    !["PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED"].contains(&task.state.as_str())
}

/// The runs of every VM as its record has them, as `(began, ended, name)`.
fn runs(status: &Value) -> Vec<(f64, f64, String)> {
    let jobs = status["jobs"].as_array().unwrap();
    let of = |job: &Value| {
        let name = job["name"].as_str().unwrap().to_owned();
        let attempts = job["attempts"].as_array().unwrap().clone();
        attempts
            .into_iter()
            .map(move |run| (run["started"].as_f64().unwrap(), run["finished"].as_f64().unwrap(), name.clone()))
    };
    jobs.iter().flat_map(of).collect()
}

#[test]
fn twelve_vms_keep_to_their_licences_and_a_second_array_has_nothing_to_do() {
    let cluster = Cluster::new("[defaults]\nskip = [\"fix\", \"test\"]");
    cluster.export();
    cluster.submit(&[]);
    cluster.slurm.wait_until("all done", |tasks| tasks.len() == 12 && tasks.iter().all(is_over));
    let status = cluster.status();
    assert_eq!(status["totals"]["done"], 12, "{status:#}");
    let runs = runs(&status);
    for (key, limit) in KEYS.iter().zip([2, 1, 3]) {
        let of: BTreeSet<String> = (0..12).filter(|vm| KEYS[vm % 3] == *key).map(|vm| format!("vm{vm}")).collect();
        let of: Vec<_> = runs.iter().filter(|(_, _, name)| of.contains(name)).collect();
        let most =
            of.iter().map(|(at, _, _)| of.iter().filter(|(began, ended, _)| began <= at && at < ended).count()).max();
        assert!(most.unwrap() <= limit, "{key}: {of:?}");
    }
    let digests = cluster.many.digests();
    assert_eq!(digests.len(), 12);

    // Again: each task finds its VM done, and starts nothing.
    cluster.submit(&[]);
    cluster.slurm.wait_until("all done again", |tasks| tasks.len() == 24 && tasks.iter().all(is_over));
    let again = cluster.status();
    let attempts = |status: &Value| {
        status["jobs"].as_array().unwrap().iter().map(|job| job["attempts"].as_array().unwrap().len()).sum::<usize>()
    };
    assert_eq!((attempts(&again), cluster.many.digests()), (12, digests));
    // The report is written by whoever runs all of it.
    let (ran, _) = cluster.many.run(&[]);
    assert_eq!(ran.expect(0).json["totals"]["already_done"], 12);
}

#[test]
fn what_a_retry_cures_is_requeued_and_nothing_else() {
    let cluster = Cluster::new("[defaults]\nskip = [\"fix\", \"test\"]");
    cluster.export();
    // One source is missing, which no retry cures; one VM is held by somebody else, which one does.
    fs::remove_file(cluster.many.room.path("vm3.raw")).unwrap();
    let held = cluster.many.room.stop_in("flatten", cluster.many.command(&["run", "--index", "0"], &[]));
    cluster.submit(&[]);
    let requeued = |id: &str| {
        let text = cluster.slurm.ask("scontrol", &["show", "job", id]).unwrap_or_default();
        let count = text.split("Restarts=").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse::<u32>().ok());
        count.unwrap_or(0)
    };
    let mut first = BTreeMap::new();
    cluster.slurm.wait_until("the requeue", |tasks| {
        tasks.iter().filter(|task| !first.contains_key(&task.id)).for_each(|task| _ = requeued(&task.id));
        for task in tasks {
            let count = requeued(&task.id);
            if count > 0 {
                first.insert(task.id.clone(), count);
            }
        }
        !first.is_empty()
    });
    assert_eq!(first.len(), 1, "{first:?}");
    cluster.many.room.go();
    held.end().expect(0);
    cluster.slurm.wait_until("all over", |tasks| tasks.len() == 12 && tasks.iter().all(is_over));
    let status = cluster.status();
    assert_eq!(
        (status["totals"]["done"].as_u64(), &status["totals"]["by_code"]),
        (Some(11), &serde_json::json!({"65": 1}))
    );
    let failed: Vec<Task> = cluster.slurm.tasks().into_iter().filter(|task| task.state == "FAILED").collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(requeued(&failed[0].id), 0, "65 is not tried again");
}

#[test]
fn a_lost_nodes_vm_is_done_elsewhere_and_a_cancelled_one_can_be_resumed() {
    let mut cluster = Cluster::new("[defaults]\nskip = [\"fix\", \"test\"]");
    let expected = {
        let undisturbed = Many::new(12);
        undisturbed.list("[defaults]\nskip = [\"fix\", \"test\"]", &Many::plain(12));
        undisturbed.run(&[]).0.expect(0);
        undisturbed.digests()
    };
    cluster.export();
    cluster.submit(&[("SLOW_STAGE", "flatten".to_owned())]);
    let running = |tasks: &[Task], node: &str| {
        tasks.iter().filter(|task| task.state == "RUNNING" && task.place == node).cloned().collect::<Vec<_>>()
    };
    cluster.slurm.wait_until("tasks run", |tasks| tasks.iter().filter(|task| task.state == "RUNNING").count() >= 6);
    // Half of each disk is read, and no more before the test says so.
    let out = cluster.many.room.path("out");
    let begun = || names(&out).into_iter().filter(|name| name.ends_with(".part") && !name.starts_with('.')).count();
    cluster.slurm.wait_until("their copies", |_| begun() >= 6);
    // Of those on the other node one is cancelled: it comes to its next safe point and ends.
    let tasks = cluster.slurm.tasks();
    let (lost, other) = (running(&tasks, "conv1"), running(&tasks, "conv2"));
    assert!(!lost.is_empty() && !other.is_empty(), "{tasks:#?}");
    cluster.slurm.ask("scancel", &[&other[0].id]).unwrap();
    cluster.slurm.wait_until("the end of the cancelled one", |tasks| {
        tasks.iter().all(|task| task.id != other[0].id || task.state == "CANCELLED")
    });
    let status = cluster.status();
    let interrupted: Vec<&Value> =
        status["jobs"].as_array().unwrap().iter().filter(|job| job["exit_code"] == 130).collect();
    let [interrupted] = &interrupted[..] else { panic!("{status:#}") };
    let cancelled = interrupted["name"].as_str().unwrap().to_owned();
    assert_eq!(interrupted["state"], "waiting");
    // The processes of a lost node live on: the requeued task finds the VM held, and is requeued once more.
    cluster.slurm.lose("conv1");
    cluster.many.room.go();
    // A cancelled task that never ran is forgotten at once.
    cluster.slurm.wait_until("all over", |tasks| !tasks.is_empty() && tasks.iter().all(is_over));
    let states: BTreeMap<String, String> =
        cluster.slurm.tasks().into_iter().map(|task| (task.id, task.state)).collect();
    for task in &lost {
        assert_eq!(states[&task.id], "COMPLETED", "{states:?}");
    }
    // What was cancelled is done by the same command, and nothing else is done again.
    let (ran, events) = cluster.many.run(&[]);
    ran.expect(0);
    assert_eq!((started(&events), cluster.many.digests()), (vec![cancelled], expected));
}
