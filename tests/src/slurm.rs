//! A cluster of two nodes on this machine: Slurm's own daemons in a scratch folder, without systemd, listening on the loopback alone. Each daemon
//! is stopped by its own process, and nothing stays.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::send;

/// How long anything of the cluster may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Two runs of a task on a node are so far apart.
const SECONDS_APART: Duration = Duration::from_secs(2);

/// The cluster.
pub struct Slurm {
    folder: tempfile::TempDir,
    munged: Child,
    controller: Child,
    nodes: Vec<(String, Child)>,
}

/// A task as the controller knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// `JOB_INDEX`.
    pub id: String,
    /// `RUNNING`, `PENDING`, `COMPLETED`, ...
    pub state: String,
    /// Why it is pending, or on which node it runs.
    pub place: String,
}

impl Slurm {
    /// Starts it, with these licences (`a:2,b:1`), and nodes that take so many tasks each.
    pub fn start(licences: &str, cpus: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("slurm").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["state", "spool-conv1", "spool-conv2", "logs"] {
            fs::create_dir(at(name)).unwrap();
        }
        let key: Vec<u8> = fs::read("/proc/sys/kernel/random/uuid").unwrap().repeat(28);
        fs::write(at("munge.key"), &key[..1024.min(key.len())]).unwrap();
        fs::set_permissions(at("munge.key"), fs::Permissions::from_mode(0o600)).unwrap();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
        // Three ports for each cluster, of tests of this process and of others.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let base = 20_000 + std::process::id() % 1000 * 12 + NUMBER.fetch_add(1, Ordering::Relaxed) % 4 * 3;
        let dir = folder.path().display();
        let mut conf = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={base}\nAuthType=auth/munge\nAuthInfo=socket={dir}/munge.socket\n\
             CommunicationParameters=NoInAddrAny,NoCtldInAddrAny\nSlurmUser=root\nSlurmdUser=root\nStateSaveLocation={dir}/state\n\
             SlurmdSpoolDir={dir}/spool-%n\nSlurmctldPidFile={dir}/ctld.pid\nSlurmdPidFile={dir}/%n.pid\nSlurmctldLogFile={dir}/logs/ctld\n\
             SlurmdLogFile={dir}/logs/%n\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSelectType=select/cons_tres\n\
             SelectTypeParameters=CR_CPU\nSlurmdParameters=config_overrides\nReturnToService=2\nKillWait=30\nJobRequeue=1\nRequeueExit=75\n\
             MpiDefault=none\nJobCompType=jobcomp/filetxt\nJobCompLoc={dir}/done\nSlurmdTimeout=30\n\
             SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0\nLicenses={licences}\n"
        );
        for (number, name) in ["conv1", "conv2"].iter().enumerate() {
            let port = base + 1 + number as u32;
            conf.push_str(&format!("NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus}\n"));
        }
        conf.push_str("PartitionName=all Nodes=conv1,conv2 Default=YES MaxTime=INFINITE State=UP\n");
        fs::write(at("slurm.conf"), conf).unwrap();
        let munged = daemon(
            Command::new("munged")
                .arg("-F")
                .arg(format!("--key-file={dir}/munge.key"))
                .arg(format!("--socket={dir}/munge.socket"))
                .arg(format!("--pid-file={dir}/munge.pid"))
                .arg(format!("--log-file={dir}/logs/munge"))
                .arg(format!("--seed-file={dir}/munge.seed"))
                .arg("--force"),
        );
        wait("munged", || at("munge.socket").exists());
        let conf = at("slurm.conf");
        let controller = daemon(Command::new("slurmctld").args(["-D", "-f"]).arg(&conf));
        let node =
            |name: &str| (name.to_owned(), daemon(Command::new("slurmd").args(["-D", "-N", name, "-f"]).arg(&conf)));
        let nodes = ["conv1", "conv2"].map(node).into();
        let slurm = Self { folder, munged, controller, nodes };
        wait("the nodes", || slurm.ask("sinfo", &["-h", "-o", "%T %D"]).is_some_and(|text| text.trim() == "idle 2"));
        slurm
    }

    /// The configuration, for `SLURM_CONF`.
    pub fn conf(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    /// What a client says; `None` when it failed.
    pub fn ask(&self, program: &str, words: &[&str]) -> Option<String> {
        let output = Command::new(program).args(words).env("SLURM_CONF", self.conf()).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// Every task that the controller still knows.
    pub fn tasks(&self) -> Vec<Task> {
        let text = self.ask("squeue", &["-h", "-r", "-t", "all", "-o", "%i|%T|%R"]).unwrap_or_default();
        let task = |line: &str| {
            let mut parts = line.trim().split('|').map(str::to_owned);
            Some(Task { id: parts.next()?, state: parts.next()?, place: parts.next()? })
        };
        text.lines().filter_map(task).collect()
    }

    /// Waits until a condition on the tasks holds; what was pended until a later time is started soon.
    #[track_caller]
    pub fn wait_until(&self, what: &str, mut holds: impl FnMut(&[Task]) -> bool) {
        let began = Instant::now();
        let mut pended: HashMap<String, Instant> = HashMap::new();
        loop {
            let tasks = self.tasks();
            if holds(&tasks) {
                return;
            }
            let waits = |task: &&Task| task.state == "PENDING" && task.place.contains("BeginTime");
            pended.retain(|id, _| tasks.iter().filter(waits).any(|task| task.id == *id));
            for task in tasks.iter().filter(waits) {
                // A node takes a task that ended there in the same second for one that was revoked.
                if pended.entry(task.id.clone()).or_insert_with(Instant::now).elapsed() > SECONDS_APART {
                    self.ask("scontrol", &["update", &format!("JobId={}", task.id), "StartTime=now"]);
                }
            }
            assert!(began.elapsed() < PATIENCE, "{what}: {tasks:#?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Kills a node's daemon as a crash of the machine would, and tells the controller. What ran there runs on.
    pub fn lose(&mut self, name: &str) {
        let (_, node) = self.nodes.iter_mut().find(|(known, _)| known == name).unwrap();
        node.kill().unwrap();
        node.wait().unwrap();
        self.set_node(name, "DOWN");
    }

    /// Keeps new tasks away from a node, or lets them go there again.
    pub fn set_node(&self, name: &str, state: &str) {
        self.ask("scontrol", &["update", &format!("NodeName={name}"), &format!("State={state}"), "Reason=test"])
            .unwrap();
    }

    /// What the controller has logged.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("logs/ctld")).unwrap_or_default()
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        self.ask("scancel", &["--signal=KILL", "--full", "--user=root"]);
        self.ask("scancel", &["--user=root"]);
        for child in self.nodes.iter_mut().map(|(_, child)| child).chain([&mut self.controller, &mut self.munged]) {
            stop(child);
        }
        steps(self.folder.path());
    }
}

/// Ends the step daemons of a node that was lost: they have no parent that would.
fn steps(folder: &Path) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let is_ours = String::from_utf8_lossy(&environment).contains(&*folder.display().to_string());
        let is_step = fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.trim() == "slurmstepd");
        if is_ours && is_step {
            send(pid, Signal::KILL);
        }
    }
}

fn daemon(command: &mut Command) -> Child {
    let name = command.get_program().to_string_lossy().into_owned();
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("{name} (packages slurmctld, slurmd, slurm-client, munge): {error}"))
}

fn stop(child: &mut Child) {
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
    let began = Instant::now();
    while child.try_wait().is_ok_and(|status| status.is_none()) {
        if began.elapsed() > Duration::from_secs(20) {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[track_caller]
fn wait(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: not ready");
        std::thread::sleep(Duration::from_millis(100));
    }
}
