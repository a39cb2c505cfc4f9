//! Tells the inventory agent of a site which platform it runs on.

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::{Action, Change, Finding, FixerPlan, OsFamily, PlanContext, Severity};
use vmdk2kvm_plugin_api::{Fixer, Guest, Host, Plugin, Result, export_plugin};

const PLATFORM: &str = "/etc/acme/platform";
const LICENCE: &str = "/etc/acme/licence";

/// The table `[plugin.acme-inventory]` of a job, and the fixer that it sets.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Inventory {
    platform: String,
}

impl Default for Inventory {
    fn default() -> Self {
        Self { platform: "kvm".to_owned() }
    }
}

impl Fixer for Inventory {
    fn name(&self) -> String {
        "acme-inventory".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        let Some(old) = guest.read_text(PLATFORM)? else { return Ok(plan) };
        let new = format!("{}\n", self.platform);
        if old != new {
            let write = Action::write_file(Some(old.as_bytes()), new);
            plan.changes.push(Change::new(write, PLATFORM, "inventory names the new platform", "it is billed by it"));
        }
        let (licence, uuid) = (guest.read_text(LICENCE)?, context.vm.uuid.as_deref());
        if licence.zip(uuid).is_some_and(|(licence, uuid)| !licence.contains(uuid)) {
            let message = format!("the licence in {LICENCE} is for another machine");
            plan.findings.push(Finding::new("acme-licence", Severity::Warn, message).hint("ask ACME for a new one"));
        }
        Ok(plan)
    }
}

struct Acme(Inventory);

impl Plugin for Acme {
    fn new(host: Host) -> Result<Self> {
        Ok(Self(host.settings()?))
    }

    fn fixers(&self) -> Vec<Box<dyn Fixer>> {
        vec![Box::new(self.0.clone())]
    }
}

export_plugin! {
    plugin: Acme,
    name: "acme-inventory",
    summary: "Tells the inventory agent of a site which platform it runs on",
    kinds: ["fixer"],
    guests: ["linux"],
    settings: [("platform", "string", "kvm", "what the agent is to report")],
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vmdk2kvm_plugin_api::model::Applied;
    use vmdk2kvm_plugin_api::{Entry, PluginError, Stat};

    use super::*;

    /// A guest that has these files and can only be read.
    struct Files(&'static [(&'static str, &'static str)]);

    impl Guest for Files {
        fn read(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>> {
            Ok(self.0.iter().find(|(name, _)| *name == path).map(|(_, text)| text.as_bytes().to_vec()))
        }
        fn stat(&self, path: &str) -> Result<Option<Stat>> {
            Err(PluginError::defect(path))
        }
        fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
            Err(PluginError::defect(path))
        }
        fn read_link(&self, path: &str) -> Result<String> {
            Err(PluginError::defect(path))
        }
        fn apply(&self, change: &Change) -> Result<Applied> {
            Err(PluginError::defect(&change.target))
        }
        fn close(&self) -> Result<()> {
            Ok(())
        }
    }

    fn plan(files: &'static [(&'static str, &'static str)]) -> FixerPlan {
        let context = json!({
            "vm": {"schema": 1, "name": "web", "uuid": "564d1b0e", "firmware": "bios", "memory_bytes": 1 << 30,
                "cpus": {"count": 1, "sockets": 1, "cores_per_socket": 1}},
            "inspection": {"schema": 1, "os": {"family": "linux", "distro": "debian"}},
        });
        Inventory::default().plan(&serde_json::from_value(context).unwrap(), &Files(files)).unwrap()
    }

    #[test]
    fn the_platform_is_named_once() {
        assert_eq!(plan(&[]), FixerPlan::default());
        assert_eq!(plan(&[(PLATFORM, "kvm\n")]), FixerPlan::default());
        let planned = plan(&[(PLATFORM, "vmware\n")]).changes;
        assert_eq!(planned[0].action, Action::write_file(Some(b"vmware\n"), "kvm\n"));
    }

    #[test]
    fn a_licence_for_another_machine_is_noticed() {
        assert!(plan(&[(PLATFORM, "kvm\n"), (LICENCE, "for 564d1b0e")]).findings.is_empty());
        assert_eq!(plan(&[(PLATFORM, "kvm\n"), (LICENCE, "for 1234")]).findings[0].code, "acme-licence");
    }
}
