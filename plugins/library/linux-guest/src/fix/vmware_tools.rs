//! What the old hypervisor left behind: its tools, and lines that load, configure or call them.
//!
//! Nothing of it is needed for the boot, but services of the old hypervisor fail, hold the clock, or keep the guest from
//! using the new one's devices.

use vmdk2kvm_plugin_api::model::{Action, Finding, FixerPlan, OsFamily, PlanContext, Severity};
use vmdk2kvm_plugin_api::{FileKind, Fixer, Guest, Result};

use crate::inspect::tools::Tools;
use crate::program::{RELABEL_ORDER, restore_labels, wants_labels};
use crate::textfile::{TextFile, Why, create, lines, map_lines};

/// The fixer of VMware's leftovers.
pub(super) struct VmwareTools;

/// Drivers of VMware's devices, under all names they ever had.
const DRIVERS: [&str; 17] = [
    "vmxnet",
    "vmxnet2",
    "vmxnet3",
    "vmw_pvscsi",
    "pvscsi",
    "vmw_balloon",
    "vmmemctl",
    "vmhgfs",
    "vmblock",
    "vmci",
    "vmw_vmci",
    "vsock",
    "vmw_vsock_vmci_transport",
    "vmsync",
    "mptspi",
    "mptsas",
    "buslogic",
];

/// A folder whose files are cleaned line by line.
struct Place {
    folder: &'static str,
    is_ours: fn(&str) -> bool,
    is_stale: fn(&str) -> bool,
    summary: &'static str,
    reason: &'static str,
}

const PLACES: [Place; 9] = [
    Place {
        folder: "/etc/modprobe.d",
        is_ours: |name| name.ends_with(".conf"),
        is_stale: stale_modprobe,
        summary: "module options of VMware's devices removed",
        reason: "they name drivers of devices that are gone, or forbid those of the new ones",
    },
    Place {
        folder: "/etc",
        is_ours: |name| name == "modules",
        is_stale: stale_module,
        summary: "modules of VMware's devices are not loaded",
        reason: "the devices are gone",
    },
    Place {
        folder: "/etc/modules-load.d",
        is_ours: |name| name.ends_with(".conf"),
        is_stale: stale_module,
        summary: "modules of VMware's devices are not loaded",
        reason: "the devices are gone",
    },
    Place {
        folder: "/etc/udev/rules.d",
        is_ours: |name| name.contains("vmware") || name.contains("open-vm-tools"),
        is_stale: |line| line.to_ascii_lowercase().contains("vmware"),
        summary: "udev rules for VMware's devices removed",
        reason: "the devices are gone",
    },
    Place {
        folder: "/etc/cron.d",
        is_ours: |_| true,
        is_stale: |line| ["vmware-toolbox-cmd", "vmware-rpctool", "vmtoolsd"].iter().any(|tool| line.contains(tool)),
        summary: "jobs of VMware Tools removed",
        reason: "they call tools that do nothing outside of VMware",
    },
    Place {
        folder: "/etc/apt",
        is_ours: |name| name == "sources.list",
        is_stale: |line| line.contains(TOOLS_REPOSITORY),
        summary: "VMware's package source removed",
        reason: "it holds VMware Tools only, and an update that does not reach it fails",
    },
    Place {
        folder: "/etc/zypp/repos.d",
        is_ours: |name| name.to_ascii_lowercase().contains("vmware-tools"),
        is_stale: |_| true,
        summary: "VMware's package source removed",
        reason: "it holds VMware Tools only, and an update that does not reach it fails",
    },
    Place {
        folder: "/etc/apt/sources.list.d",
        is_ours: |name| name.ends_with(".list"),
        is_stale: |line| line.contains(TOOLS_REPOSITORY),
        summary: "VMware's package source removed",
        reason: "it holds VMware Tools only, and an update that does not reach it fails",
    },
    Place {
        folder: "/etc/yum.repos.d",
        is_ours: |name| name.to_ascii_lowercase().contains("vmware-tools"),
        // The whole file is about one repository.
        is_stale: |_| true,
        summary: "VMware's package source removed",
        reason: "it holds VMware Tools only, and an update that does not reach it fails",
    },
];

/// Photon's own packages are on the same server, in other folders.
const TOOLS_REPOSITORY: &str = "packages.vmware.com/tools";

impl Fixer for VmwareTools {
    fn name(&self) -> String {
        "linux-vmware-tools".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        400
    }

    fn plan(&self, _context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        for place in &PLACES {
            for entry in guest.list(place.folder)?.into_iter().flatten() {
                if entry.kind != FileKind::File || !(place.is_ours)(&entry.name) {
                    continue;
                }
                let path = format!("{}/{}", place.folder, entry.name);
                let Some(file) = TextFile::read(guest, &path, &mut plan.findings)? else { continue };
                clean(place, &file, &mut plan);
            }
        }
        displays(guest, &mut plan)?;
        // Last: a removal takes the package's own configuration files along, which an edit would not find any more.
        let tools = Tools::find(guest)?;
        for (package, by) in &tools.needed {
            plan.findings.push(
                Finding::new("vmware-tools-needed", Severity::Info, format!("{package} stays, because {by} needs it"))
                    .hint(format!("remove {by} in the guest")),
            );
        }
        if let Some((manager, packages)) = tools.packages {
            let target = packages.join(" ");
            let summary = format!("{target} removed");
            let why = Why { summary: &summary, reason: "they do nothing outside of VMware", critical: false };
            plan.changes.push(why.change(Action::RemovePackages { manager, packages }, &target));
            relabel(guest, &mut plan)?;
        }
        if tools.tarball {
            tarball(guest, &mut plan)?;
        }
        Ok(plan)
    }
}

/// Takes the stale lines out of a file, and the file away when nothing else is in it.
fn clean(place: &Place, file: &TextFile, plan: &mut FixerPlan) {
    let is_stale = |line: &str| is_active(line) && (place.is_stale)(line);
    if !file.lines().any(|line| is_stale(line.body)) {
        return;
    }
    let why = Why { summary: place.summary, reason: place.reason, critical: false };
    let is_left = |line: &str| is_active(line) && !is_stale(line) && !is_cron_setting(place, line);
    if !file.lines().any(|line| is_left(line.body))
        && !["/etc/modules", "/etc/apt/sources.list"].contains(&file.path.as_str())
    {
        plan.changes.push(file.remove(why));
        return;
    }
    let text: String =
        lines(&file.text).filter(|line| !is_stale(line.body)).flat_map(|line| [line.body, line.ending]).collect();
    plan.changes.extend(file.rewrite(&text, why));
}

fn is_active(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// `PATH=...`, `MAILTO=...` in a cron file do nothing alone.
fn is_cron_setting(place: &Place, line: &str) -> bool {
    place.folder == "/etc/cron.d"
        && line
            .split_once('=')
            .is_some_and(|(key, _)| key.trim().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

fn is_old_driver(name: &str) -> bool {
    let name = name.replace('-', "_").to_ascii_lowercase();
    DRIVERS.contains(&name.as_str())
}

fn stale_module(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(is_old_driver)
}

fn stale_modprobe(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["alias", _, driver, ..] => is_old_driver(driver),
        ["options" | "install" | "remove" | "softdep", driver, ..] => is_old_driver(driver),
        _ => super::driver_bans::is_ban(line),
    }
}

/// X's driver of VMware's display, which ends X where the display is another: the general one in its place.
fn displays(guest: &dyn Guest, plan: &mut FixerPlan) -> Result<()> {
    let folder = "/etc/X11/xorg.conf.d";
    let mut paths = vec!["/etc/X11/xorg.conf".to_owned()];
    paths.extend(guest.list(folder)?.into_iter().flatten().map(|entry| format!("{folder}/{}", entry.name)));
    for path in paths.iter().filter(|path| path.ends_with(".conf") || path.ends_with("xorg.conf")) {
        let Some(file) = TextFile::read(guest, path, &mut plan.findings)? else { continue };
        let text = map_lines(&file.text, |line| {
            let mut words = line.split_whitespace();
            let is_driver = words.next().is_some_and(|word| word.eq_ignore_ascii_case("driver"));
            (is_driver && words.next() == Some("\"vmware\"")).then(|| line.replacen("vmware", "modesetting", 1))
        });
        let why = Why {
            summary: "X uses its general display driver",
            reason: "with VMware's driver X does not start on another display",
            critical: false,
        };
        plan.changes.extend(file.rewrite(&text, why));
    }
    Ok(())
}

/// Where the labels of what a package manager touches cannot be restored, the system gives them anew at its first boot.
fn relabel(guest: &dyn Guest, plan: &mut FixerPlan) -> Result<()> {
    if wants_labels(guest)? && restore_labels(guest)?.is_none() && guest.stat(RELABEL_ORDER)?.is_none() {
        let why = Why {
            summary: "SELinux relabels the files at the first boot, which restarts once",
            reason: "removing packages offline leaves files without labels",
            critical: false,
        };
        plan.changes.push(create(RELABEL_ORDER, "", why));
    }
    Ok(())
}

/// An installation by VMware's script: what starts it goes, the rest stays where it is.
fn tarball(guest: &dyn Guest, plan: &mut FixerPlan) -> Result<()> {
    let starters = [
        "/etc/init.d/vmware-tools",
        "/etc/init.d/vmware-tools-thinprint",
        "/etc/systemd/system/vmware-tools.service",
        "/etc/systemd/system/vmware-tools-thinprint.service",
        "/etc/xdg/autostart/vmware-user.desktop",
        "/etc/pam.d/vmtoolsd",
    ];
    let why =
        Why { summary: "VMware Tools do not start", reason: "they do nothing outside of VMware", critical: false };
    for path in starters {
        if let Some(file) = TextFile::read(guest, path, &mut plan.findings)? {
            plan.changes.push(file.remove(why));
        }
    }
    for folder in
        ["rc0.d", "rc2.d", "rc3.d", "rc4.d", "rc5.d", "rc6.d", "rcS.d", "systemd/system/multi-user.target.wants"]
    {
        for entry in guest.list(&format!("/etc/{folder}"))?.into_iter().flatten() {
            if entry.kind == FileKind::Symlink && entry.name.contains("vmware-tools") {
                plan.changes
                    .push(why.change(Action::Remove { old_sha256: None }, &format!("/etc/{folder}/{}", entry.name)));
            }
        }
    }
    plan.findings.push(
        Finding::new(
            "vmware-tools-tarball",
            Severity::Info,
            "VMware Tools were installed by VMware's script and are only disabled",
        )
        .hint("run vmware-uninstall-tools.pl in the guest"),
    );
    Ok(())
}

#[cfg(test)]
mod tests;
