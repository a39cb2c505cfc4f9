//! Tools of hypervisors that the guest left before VMware: VirtualBox, Parallels, Xen, Hyper-V. Their services are disabled, as
//! `systemctl disable` and its forerunners do it; the files stay, so that they can be enabled again.

use vmdk2kvm_plugin_api::model::{Action, FixerPlan, OsFamily, PlanContext};
use vmdk2kvm_plugin_api::{FileKind, Fixer, Guest, Result};

use crate::textfile::Why;

/// The fixer of other hypervisors' tools.
pub(super) struct OtherTools;

/// Names of their services, in the packages of their makers and of the distributions.
const SERVICES: [&str; 23] = [
    "vboxadd",
    "vboxadd-service",
    "vboxadd-x11",
    "vboxservice",
    "vboxguest",
    "virtualbox-guest-additions",
    "virtualbox-guest-utils",
    "virtualbox-guest-x11",
    "prltoolsd",
    "prltools_updater",
    "parallels-tools",
    "xe-daemon",
    "xe-guest-utilities",
    "xe-linux-distribution",
    "hypervkvpd",
    "hypervvssd",
    "hypervfcopyd",
    "hv-kvp-daemon",
    "hv-vss-daemon",
    "hv-fcopy-daemon",
    "hv_kvp_daemon",
    "hv_vss_daemon",
    "hv_fcopy_daemon",
];

/// Whether a folder of this name holds links of enabled services.
type Holds = fn(&str) -> bool;

/// Folders of whose folders some hold the links of enabled services.
const PLACES: [(&str, Holds); 4] = [
    ("/etc/systemd/system", |name| name.ends_with(".wants") || name.ends_with(".requires")),
    ("/etc", is_runlevel),
    ("/etc/rc.d", is_runlevel),
    ("/etc/runlevels", |_| true),
];

impl Fixer for OtherTools {
    fn name(&self) -> String {
        "linux-other-tools".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        410
    }

    fn plan(&self, _context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        for (place, is_ours) in PLACES {
            let folders = guest.list(place)?.into_iter().flatten();
            for folder in folders.filter(|entry| entry.kind == FileKind::Dir && is_ours(&entry.name)) {
                let folder = format!("{place}/{}", folder.name);
                for entry in guest.list(&folder)?.into_iter().flatten() {
                    let Some(service) = service(&entry.name).filter(|_| entry.kind == FileKind::Symlink) else {
                        continue;
                    };
                    let summary = format!("{service} is not started");
                    let why = Why {
                        summary: &summary,
                        reason: "it belongs to a hypervisor that the guest left before, and fails or does nothing on KVM",
                        critical: false,
                    };
                    plan.changes
                        .push(why.change(Action::Remove { old_sha256: None }, &format!("{folder}/{}", entry.name)));
                }
            }
        }
        Ok(plan)
    }
}

/// `rc3.d`, `rcS.d`.
fn is_runlevel(name: &str) -> bool {
    name.strip_prefix("rc").and_then(|rest| rest.strip_suffix(".d")).is_some_and(|level| level.len() == 1)
}

/// The service that a link starts or stops: `vboxadd.service`, `S30vboxadd`, or its own name.
fn service(link: &str) -> Option<&'static str> {
    let name = link.strip_suffix(".service").unwrap_or(link);
    let ordered = name
        .strip_prefix(['S', 'K'])
        .filter(|rest| rest.len() > 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_digit()))
        .map(|rest| &rest[2..]);
    SERVICES.into_iter().find(|service| *service == name || ordered == Some(service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_services() {
        for (link, expected) in [
            ("vboxadd.service", Some("vboxadd")),
            ("S30vboxadd-service", Some("vboxadd-service")),
            ("K05prltoolsd", Some("prltoolsd")),
            ("virtualbox-guest-additions", Some("virtualbox-guest-additions")),
            ("S3vboxadd", None),
            ("S30\u{fc}vboxadd", None),
            ("ssh.service", None),
            ("vboxadd.socket", None),
        ] {
            assert_eq!(service(link), expected, "{link}");
        }
        assert!(is_runlevel("rc3.d") && is_runlevel("rcS.d") && !is_runlevel("rc.d") && !is_runlevel("rc.local.d"));
    }
}
