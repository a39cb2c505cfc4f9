//! Tells the agent of a guest that it runs on KVM now: rewrites one line of its configuration.

use vmdk2kvm_plugin_api::model::{Action, Change, FixerPlan, OsFamily, PlanContext};
use vmdk2kvm_plugin_api::{Fixer, Guest, Host, Plugin, Result, export_plugin};

/// What the agent reads.
const FILE: &str = "/etc/my-plugin.conf";

struct MyPlugin;

impl Fixer for MyPlugin {
    fn name(&self) -> String {
        "my-plugin".into()
    }
    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }
    fn plan(&self, _: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        let Some(text) = guest.read_text(FILE)? else { return Ok(plan) };
        let new = text.replace("platform=vmware", "platform=kvm");
        if new != text {
            let write = Action::write_file(Some(text.as_bytes()), new);
            plan.changes.push(Change::new(write, FILE, "agent knows that it is on KVM", "it asks for VMware else"));
        }
        Ok(plan)
    }
}

impl Plugin for MyPlugin {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }
    fn fixers(&self) -> Vec<Box<dyn Fixer>> {
        vec![Box::new(Self)]
    }
}

export_plugin! {
    plugin: MyPlugin,
    name: "my-plugin",
    summary: "Tells the agent of a guest that it runs on KVM",
    kinds: ["fixer"],
    guests: ["linux"],
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_testing::{MemoryGuest, Planned, conformance, sample};

    use super::*;

    #[test]
    fn rewrites_its_line_only() {
        let guest = MemoryGuest::new(&[(FILE, "# agent\nplatform=vmware\nlevel=3\n")]);
        let plan = MyPlugin.plan(&sample::linux(), &guest).unwrap();
        assert_eq!(plan.text(FILE), "# agent\nplatform=kvm\nlevel=3\n");
    }

    #[test]
    fn a_guest_without_the_agent_is_left_alone() {
        MyPlugin.plan(&sample::linux(), &MemoryGuest::default()).unwrap().assert_nothing();
    }

    #[test]
    fn keeps_the_promises_of_a_fixer() {
        let guest = MemoryGuest::new(&[(FILE, "platform=vmware\n")]);
        conformance::fixer(&MyPlugin, &sample::linux(), &guest).assert();
    }
}
