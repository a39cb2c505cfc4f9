//! Batches in a room: lists, their runs, and what their merged events say.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::{Outcome, Room, Running, names};

/// The room's batch.
pub struct Many {
    /// Where it is.
    pub room: Room,
}

impl Many {
    /// A room with so many sources, each another disk of 2 MiB whose name is `vm0`, `vm1`, ...
    pub fn new(count: usize) -> Self {
        let room = Room::new();
        for index in 0..count {
            let bytes: Vec<u8> = (0..2 << 20).map(|at: usize| (at / 4096 * 7 + index * 13 + 1) as u8).collect();
            std::fs::write(room.path(&format!("vm{index}.raw")), bytes).unwrap();
        }
        Self { room }
    }

    /// Writes the list: `head` first, then a VM for each `(name, more)`, whose source is the disk of that name.
    pub fn list(&self, head: &str, vms: &[(String, String)]) {
        let mut text = format!("{head}\n");
        for (name, more) in vms {
            let disk = self.room.path(&format!("{name}.raw"));
            text.push_str(&format!("[[vm]]\nname = {name:?}\nsource = \"slow://{}\"\n{more}\n", disk.display()));
        }
        std::fs::write(self.room.path("jobs.toml"), text).unwrap();
    }

    /// `count` VMs with nothing of their own.
    pub fn plain(count: usize) -> Vec<(String, String)> {
        (0..count).map(|index| (format!("vm{index}"), String::new())).collect()
    }

    /// `batch WORDS jobs.toml -o out`.
    pub fn command(&self, words: &[&str], more: &[&str]) -> Command {
        let mut command = self.room.command(&["batch"]);
        command.args(words).arg(self.room.path("jobs.toml")).arg("-o").arg(self.room.path("out")).args(more);
        command
    }

    /// Runs the batch to its end.
    #[track_caller]
    pub fn run(&self, more: &[&str]) -> (Outcome, Vec<Value>) {
        let mut running = Running::start(self.command(&["run"], more));
        running.wait_for_end();
        let events = running.events();
        (running.end(), events)
    }

    /// The digest of what the guest sees of each VM's image, as its report says.
    pub fn digests(&self) -> BTreeMap<String, String> {
        let reports = names(&self.room.path("out")).into_iter().filter(|name| name.ends_with("/report.json"));
        let digest = |name: String| {
            let text = std::fs::read(self.room.path("out").join(&name)).unwrap();
            let report: Value = serde_json::from_slice(&text).unwrap();
            let (vm, _) = name.split_once('/').unwrap();
            (vm.to_owned(), report["images"][0]["content_sha256"].as_str().unwrap().to_owned())
        };
        reports.map(digest).collect()
    }
}

/// The most runs that were at once between their begin and the moment at which their source was read, of those with this key; `None`: of all, to
/// their end.
pub fn most_at_once(events: &[Value], key: Option<&str>) -> usize {
    let (mut now, mut most) = (std::collections::BTreeSet::new(), 0);
    for event in events {
        let Some(job) = event["job"].as_str() else { continue };
        let has = |event: &Value| {
            key.is_none_or(|key| event["keys"].as_array().is_some_and(|keys| keys.iter().any(|known| known == key)))
        };
        match event["event"].as_str().unwrap_or_default() {
            "job_started" if has(event) => _ = now.insert(job.to_owned()),
            "job_ended" => _ = now.remove(job),
            "stage_started" if key.is_some() && event["stage"] == "convert" => _ = now.remove(job),
            _ => {}
        }
        most = most.max(now.len());
    }
    most
}

/// The names of the VMs whose run began, in order.
pub fn started(events: &[Value]) -> Vec<String> {
    let began = events.iter().filter(|event| event["event"] == "job_started");
    began.map(|event| event["job"].as_str().unwrap().to_owned()).collect()
}
