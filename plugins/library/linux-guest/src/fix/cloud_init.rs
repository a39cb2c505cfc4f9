//! cloud-init: on another hypervisor it finds another data source or none, takes the VM for a new one, and makes host keys,
//! users and the network anew. The VM moves, it is not cloned, so it is told to keep what it knows.

use vmdk2kvm_plugin_api::model::{FixerPlan, OsFamily, PlanContext};
use vmdk2kvm_plugin_api::{Fixer, Guest, Result};

use crate::textfile::{Why, create};

/// The fixer of cloud-init's identity.
pub(super) struct CloudInit;

const OURS: &str = "/etc/cloud/cloud.cfg.d/99-vmdk2kvm.cfg";

impl Fixer for CloudInit {
    fn name(&self) -> String {
        "linux-cloud-init".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        310
    }

    fn live(&self) -> bool {
        true
    }

    fn plan(&self, _context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        let is_there = |path: &str| -> Result<bool> { Ok(guest.stat(path)?.is_some()) };
        // Only where it has set up this very VM before, and still runs.
        let has_run = is_there("/etc/cloud/cloud.cfg")? && is_there("/var/lib/cloud/instance")?;
        if has_run && !is_there("/etc/cloud/cloud-init.disabled")? && !is_there(OURS)? {
            let text = "# Written by vmdk2kvm: the machine has moved, it is no new one, and the network that was set up stays. Remove this\n\
                # file to let cloud-init look for its data source again.\n\
                manual_cache_clean: true\nnetwork:\n  config: disabled\n";
            let why = Why {
                summary: "cloud-init keeps the machine's identity and network",
                reason: "without its old data source it would take the machine for a new one and write its network anew",
                critical: false,
            };
            plan.changes.push(create(OURS, text, why));
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, MapGuest};

    #[test]
    fn only_where_it_has_run() {
        let ran = [("/etc/cloud/cloud.cfg", "x"), ("/var/lib/cloud/instance/obj.pkl", "x")];
        let plan = |files: &[(&str, &str)]| CloudInit.plan(&fixture::context(), &MapGuest::new(files)).unwrap().changes;
        assert_eq!(plan(&ran)[0].target, OURS);
        assert!(plan(&ran[..1]).is_empty());
        for more in ["/etc/cloud/cloud-init.disabled", OURS] {
            assert!(plan(&[&ran[..], &[(more, "")]].concat()).is_empty(), "{more}");
        }
    }
}
