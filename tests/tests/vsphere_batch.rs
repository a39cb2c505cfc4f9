//! Batches of VMs of the lab's vCenter (tests/vcsim): where they are is asked of it, once, where a limit needs to know. The guest and its fixes are those of the
//! test plugin `slow-stages`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::{By, Outcome, Room, Running, Site, most_at_once, vm};

struct Batch {
    site: Site,
    room: Room,
}

impl Batch {
    /// Four VMs that are off, by their paths; `head` stands before them in the list.
    fn new(head: &str) -> Self {
        let names = ["a", "b", "c", "d"];
        let vms = names.map(|name| vm(name, "shop", false));
        let batch = Self { site: Site::new(By::Soap, &vms, &[]), room: Room::new() };
        let rows =
            names.map(|name| format!("[[vm]]\nsource = {:?}\n", batch.site.lab.uri(&format!("/shop/{name}"), "")));
        batch.list(&format!("{head}\n{}", rows.concat()));
        batch
    }

    fn list(&self, text: &str) {
        std::fs::write(self.room.path("jobs.toml"), text).unwrap();
    }

    fn command(&self, words: &[&str], more: &[&str]) -> Command {
        let mut command = Command::new(self.room.program());
        command.arg("batch").args(words).arg(self.room.path("jobs.toml")).arg("-o").arg(self.room.path("out"));
        command.args(["--set", &format!("secrets.password.file={:?}", self.site.lab.password_file())]);
        command.args(["--set", "plugins.fetcher=vsphere-soap"]).args(more).envs(self.room.environment());
        self.site.alone(command)
    }

    fn run(&self, words: &[&str], more: &[&str]) -> (Outcome, Vec<Value>) {
        let mut running = Running::start(self.command(words, more));
        running.wait_for_end();
        let events = running.events();
        (running.end(), events)
    }

    fn logins(&self) -> u64 {
        self.site.lab.state()["stats"]["calls"]["Login"].as_u64().unwrap_or(0)
    }
}

const SHORT: &str = "[defaults]\nskip = [\"fix\", \"test\"]\n[limits]\ntotal = 4";

/// The kinds of keys that VMs were started with.
fn kinds(events: &[Value]) -> BTreeSet<String> {
    let keys = events.iter().filter_map(|event| event["keys"].as_array()).flatten();
    keys.map(|key| key.as_str().unwrap().split(':').next().unwrap().to_owned()).collect()
}

#[test]
fn limits_of_hosts_and_datastores_hold_for_vms_whose_list_does_not_say_where_they_are() {
    let batch = Batch::new(&format!("{SHORT}\n\"esx:*\" = 1\n\"datastore:*\" = 2"));
    let host = batch.site.vms("/shop/a")[0]["host"].as_str().unwrap().to_owned();
    let before = batch.logins();
    let (ran, events) = batch.run(&["run"], &[]);
    let ran = ran.expect(0);
    assert_eq!(ran.json["warnings"], json!([]));
    assert_eq!(kinds(&events), BTreeSet::from(["datastore", "esx", "server"].map(str::to_owned)));
    assert_eq!(most_at_once(&events, Some(&format!("esx:{host}"))), 1);
    assert!(ran.json["jobs"].as_array().unwrap().iter().all(|job| job["bytes"].as_u64().unwrap() > 0));
    assert_eq!(batch.logins() - before, 5, "one for all, and one for each run");

    // What is done is not asked for, and one alone is under no limit.
    let before = batch.logins();
    batch.run(&["run"], &[]).0.expect(0);
    std::fs::remove_dir_all(batch.room.path("out/a")).unwrap();
    batch.run(&["run", "--index", "0"], &[]).0.expect(0);
    assert_eq!(batch.logins() - before, 1);

    // An export has them as licences.
    let to = batch.room.path("scripts");
    let (exported, _) = batch.run(&["export", "slurm"], &["--to", to.to_str().unwrap()]);
    let lines = exported.expect(0).json["administrator"].to_string();
    assert!(lines.contains("esx-") && lines.contains(":1,") || lines.contains("datastore-"), "{lines}");
    batch.site.nothing_is_left();
}

#[test]
fn no_server_is_asked_without_need_and_one_that_does_not_answer_is_told_before_anything_starts() {
    let batch = Batch::new(SHORT);
    let (ran, events) = batch.run(&["run", "--only", "a"], &[]);
    ran.expect(0);
    assert_eq!((kinds(&events), batch.logins()), (BTreeSet::from(["server".to_owned()]), 1));

    let uri = batch.site.lab.uri("/shop/nobody", "");
    batch.list(&format!("{SHORT}\n\"esx:*\" = 1\n[[vm]]\nsource = {uri:?}\n"));
    let (ran, _) = batch.run(&["run"], &[]);
    let ran = ran.expect(82);
    let warnings = ran.json["warnings"].to_string();
    assert!(warnings.contains("nobody: vsphere://") && warnings.contains("does not tell where it is"), "{warnings}");

    let wrong = batch.room.path("wrong");
    std::fs::write(&wrong, "wrong").unwrap();
    let (refused, events) = batch.run(&["run"], &["--set", &format!("secrets.password.file={wrong:?}")]);
    let refused = refused.expect(77);
    assert!(refused.message().starts_with("asking where the VMs of vsphere://"), "{}", refused.message());
    assert!(kinds(&events).is_empty(), "nothing was started");
}
