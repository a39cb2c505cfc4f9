//! A plugin that stops in the stage that the environment names, until the run is cancelled or the test says `go`.
//!
//! It stands in for everything slow (a remote source, an appliance, a boot), so that a run can be interrupted in each stage within
//! milliseconds and always at the same place. Its sources are `slow:/path` of a raw disk; its guest has one file, whose content is a
//! megabyte of the disk; its boot test passes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod guest;
mod holds;
mod rate;
mod rounds;
mod source;

use std::path::PathBuf;
use std::time::Duration;

use vmdk2kvm_plugin_api::model::{
    Delivered, Evidence, Finding, FixerPlan, Link, OpenGuest, OsFamily, PlanContext, Severity, SourceRef, TestRequest,
    Verdict, VerdictKind, Way,
};
use vmdk2kvm_plugin_api::{
    Catalog, Fetcher, Fixer, Guest, Host, Inspector, Opened, Plugin, PluginError, Result, Tester, Transport,
};

/// The plugin.
#[derive(Clone)]
pub struct SlowStages {
    host: Host,
}

impl SlowStages {
    /// Stops here when the environment says so: `SLOW_STAGE` is the stage, `SLOW_GO` a file that ends the wait, and with `SLOW_DEAF` nothing else does.
    fn stop_in(&self, stage: &str) -> Result<()> {
        if std::env::var("SLOW_STAGE").as_deref() != Ok(stage) {
            return Ok(());
        }
        let go = std::env::var_os("SLOW_GO").map(PathBuf::from);
        self.host.progress("stopped", 0, 0);
        while !go.as_ref().is_some_and(|go| go.exists()) {
            if std::env::var_os("SLOW_DEAF").is_none() {
                self.host.check_cancelled()?;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Plugin for SlowStages {
    fn new(host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(self.clone()))
    }

    fn inspector(&self) -> Option<Box<dyn Inspector>> {
        Some(Box::new(self.clone()))
    }

    fn fixers(&self) -> Vec<Box<dyn Fixer>> {
        vec![Box::new(self.clone())]
    }

    fn tester(&self) -> Option<Box<dyn Tester>> {
        Some(Box::new(self.clone()))
    }
}

impl Fetcher for SlowStages {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        Ok(if source.uri.starts_with("slow:") { 100 } else { 0 })
    }

    fn carries(&self, way: &Way) -> Result<u32> {
        Ok(u32::from(way.scheme == "slow" || way.scheme == "slow-stream"))
    }

    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        Ok(Box::new(source::SlowSource::new(self, source)))
    }

    fn transport(&self, link: &Link) -> Result<Box<dyn Transport>> {
        Ok(Box::new(source::SlowSource::of_link(self, link)))
    }

    fn deliver(&self, link: &Link, folder: &str) -> Result<Delivered> {
        source::deliver(self, link, folder)
    }
}

impl Inspector for SlowStages {
    fn accepts(&self, _: &OpenGuest) -> Result<u32> {
        Ok(100)
    }

    fn open(&self, request: &OpenGuest) -> Result<Opened> {
        self.stop_in("inspect")?;
        if std::env::var_os("SLOW_OPEN_FAILS").is_some() {
            return Err(PluginError::missing("nothing here opens images"));
        }
        if request.socket_dir.is_empty() || request.socket_dir.len() > 70 {
            return Err(PluginError::defect(format!("{:?} is no folder for sockets", request.socket_dir)));
        }
        Ok(guest::open(self, &request.disks[0].path))
    }
}

impl Fixer for SlowStages {
    fn name(&self) -> String {
        "slow".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn plan(&self, _: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        self.stop_in("plan")?;
        let mut plan = guest::plan(guest)?;
        let settings: std::collections::BTreeMap<String, String> = self.host.settings()?;
        plan.findings.extend(settings.get("note").map(|note| Finding::new("slow-note", Severity::Info, note)));
        // What a guest has that is driven by virtio when it is fixed.
        plan.drives = vec!["virtio-blk".to_owned(), "virtio-net".to_owned()];
        plan.wants = std::env::var("SLOW_WANTS").into_iter().collect();
        Ok(plan)
    }
}

impl Tester for SlowStages {
    fn test(&self, request: &TestRequest) -> Result<Verdict> {
        self.stop_in("test")?;
        let mut up = std::env::var_os("SLOW_BOOT_FAILS").is_none();
        if let Ok(bus) = std::env::var("SLOW_BOOTS_ON") {
            up = request.machine.disks.iter().all(|disk| serde_json::json!(disk.bus) == bus.as_str());
        }
        std::fs::write(
            PathBuf::from(&request.evidence_dir).join("console.log"),
            if up { "login:\n" } else { "no login\n" },
        )
        .unwrap();
        // On each machine, or on one whose disks hang on this bus.
        let nothing = std::env::var("SLOW_BOOT_PROVES_NOTHING").is_ok_and(|on| {
            on == "1" || request.machine.disks.iter().all(|disk| serde_json::json!(disk.bus) == on.as_str())
        });
        let verdict = match up {
            _ if nothing => VerdictKind::Inconclusive,
            true => VerdictKind::Passed,
            false => VerdictKind::Failed,
        };
        Ok(Verdict::new(verdict, if up { "login-prompt" } else { "panic" }).with(|verdict| {
            verdict.evidence =
                vec![Evidence::new("console", "login:").with(|seen| seen.file = Some("console.log".into()))];
            verdict.accelerator = "tcg".into();
        }))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: SlowStages,
    name: "slow-stages",
    summary: "Stops in the stage that a test names",
    kinds: ["fetcher", "inspector", "fixer", "tester"],
    guests: ["linux"],
    capabilities: ["slow"],
    libraries: [],
    programs: [("qemu-io", "qemu-utils", "qemu-img")],
    settings: [("note", "string", "", "What its fixer notes in the plan")],
    flags: [("slow-note", "note")],
    preference: 50,
}
