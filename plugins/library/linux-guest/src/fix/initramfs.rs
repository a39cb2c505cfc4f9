//! Boot archives: the drivers of the new devices in every installed kernel's initramfs, and in what the next update makes.
//!
//! Appending is the usual way: it takes a second and runs nothing of the guest. What cannot be appended to is rebuilt.

mod overrides;
mod persist;

use vmdk2kvm_plugin_api::model::{
    Action, Content, Finding, FixerPlan, InitramfsTool, KernelInfo, OsFamily, PlanContext, Severity,
};
use vmdk2kvm_plugin_api::{ErrorKind, Fixer, Guest, Result};

use super::settings::InitramfsMode;
use crate::devices::Devices;
use crate::initramfs::{Compression, Contents, contents, has_driver};
use crate::inspect::drives;
use crate::kernel_version::major_minor;
use crate::textfile::Why;

/// The fixer of boot archives.
pub(super) struct Initramfs {
    pub mode: InitramfsMode,
}

/// What a boot from KVM's disks and its network need; what these depend on comes along.
pub(super) const DRIVERS: [&str; 4] = ["virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net"];
/// Without these the root filesystem does not appear.
const STORAGE: [&str; 3] = ["virtio_pci", "virtio_blk", "virtio_scsi"];

/// Rescue images with everything inside reach 200 MiB.
const IMAGE_LIMIT: u64 = 1 << 30;

const REASON: &str = "without virtio drivers in its initramfs the kernel does not find its root on KVM";

impl Fixer for Initramfs {
    fn name(&self) -> String {
        "linux-initramfs".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        900
    }

    fn live(&self) -> bool {
        true
    }

    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        let devices = Devices::of(context, guest)?;
        let files = overrides::Wanted::gather(guest, &devices, &mut plan.findings)?;
        let tool = persist::tool(guest)?;
        let mut lacking = Vec::new();
        let mut boot = FixerPlan::default();
        for kernel in &context.inspection.kernels {
            if !["virtio_blk", "virtio_scsi"].iter().any(|driver| has(kernel, driver)) {
                plan.findings.push(
                    Finding::new(
                        "kernel-without-virtio",
                        Severity::Warn,
                        format!("kernel {} has no virtio drivers at all", kernel.version),
                    )
                    .hint("boot a newer kernel, or give the VM an IDE or SATA disk and an e1000 card"),
                );
                continue;
            }
            if self.kernel(kernel, &files, tool, guest, &mut boot)? {
                lacking.push(kernel);
            }
        }
        // Configuration first: a rebuild reads it.
        let wanted: Vec<&str> = DRIVERS
            .into_iter()
            .filter(|driver| context.inspection.kernels.iter().any(|kernel| is_module(kernel, driver)))
            .collect();
        persist::plan(tool, &wanted, !lacking.is_empty(), guest, &mut plan)?;
        plan.changes.extend(boot.changes);
        plan.findings.extend(boot.findings);
        // What the kernels have is what they start with, once this plan is carried out.
        plan.drives = drives(&context.inspection.kernels, |kernel| &kernel.virtio.in_kernel);
        Ok(plan)
    }
}

impl Initramfs {
    /// Plans for one kernel; whether drivers are missing.
    fn kernel(
        &self,
        kernel: &KernelInfo,
        wanted: &overrides::Wanted<'_>,
        tool: Option<InitramfsTool>,
        guest: &dyn Guest,
        plan: &mut FixerPlan,
    ) -> Result<bool> {
        let modules: Vec<&str> = DRIVERS.into_iter().filter(|driver| is_module(kernel, driver)).collect();
        let Some(path) = kernel.initramfs.as_deref() else {
            let needs = modules.iter().any(|driver| STORAGE.contains(driver) && *driver != "virtio_scsi");
            if needs {
                rebuild(kernel, None, &modules, tool, plan);
            }
            return Ok(needs);
        };
        let inside =
            match guest.read(path, IMAGE_LIMIT).and_then(|image| image.map(|image| contents(&image)).transpose()) {
                Ok(Some(inside)) => inside,
                Ok(None) => {
                    rebuild(kernel, Some(path), &modules, tool, plan);
                    return Ok(true);
                }
                Err(error) if error.kind == ErrorKind::Unusable => {
                    plan.findings.push(
                        Finding::new("initramfs-unreadable", Severity::Warn, format!("{path}: {}", error.message))
                            .hint(error.hint.unwrap_or_default()),
                    );
                    if self.mode != InitramfsMode::Append {
                        rebuild(kernel, Some(path), &modules, tool, plan);
                    }
                    return Ok(true);
                }
                Err(error) => return Err(error.context(path)),
            };
        let missing: Vec<&str> =
            modules.iter().copied().filter(|driver| !has_driver(&inside, &kernel.version, driver)).collect();
        let lacks = missing.iter().any(|driver| STORAGE.contains(driver));
        let can_append = can_append(kernel, &inside);
        let append = match self.mode {
            InitramfsMode::Append => true,
            InitramfsMode::Auto => can_append || tool.is_none(),
            InitramfsMode::Rebuild => tool.is_none(),
        };
        // Which names of cards a rebuilt archive has is its tool's business: asking for them would rebuild it for ever.
        let has_card = modules.contains(&"virtio_net") && (lacks || !missing.contains(&"virtio_net"));
        let files = wanted.missing(&inside, has_card && append);
        if !lacks && files.is_empty() {
            return Ok(false);
        }
        if !append {
            rebuild(kernel, Some(path), &modules, tool, plan);
        } else if can_append {
            extend(kernel, path, if lacks { modules } else { Vec::new() }, files, plan);
        } else {
            plan.findings.push(
                Finding::new(
                    "initramfs-cannot-be-extended",
                    if lacks { Severity::Block } else { Severity::Warn },
                    format!("kernel {} would not read what is appended to {path}", kernel.version),
                )
                .hint("let the guest rebuild it: --set plugin.linux-fixes.initramfs=rebuild"),
            );
        }
        Ok(lacks)
    }
}

/// Whether the kernel has the driver, as a module or built in.
fn has(kernel: &KernelInfo, driver: &str) -> bool {
    kernel.virtio.in_kernel.iter().any(|own| own == driver)
}

fn is_module(kernel: &KernelInfo, driver: &str) -> bool {
    has(kernel, driver) && !kernel.virtio.built_in.iter().any(|own| own == driver)
}

/// Whether the kernel reads what stands behind this archive. Before 5.8 it stumbled over the zeros behind an LZ4 stream (commit
/// 2c484419efc0, "lib/decompress_unlz4.c: correctly handle zero-padding around initrds").
fn can_append(kernel: &KernelInfo, inside: &Contents) -> bool {
    let old = major_minor(&kernel.version).is_some_and(|version| version < (5, 8));
    inside.junk_at.is_none() && !(old && inside.compression.last() == Some(&Compression::Lz4))
}

fn extend(kernel: &KernelInfo, path: &str, drivers: Vec<&str>, files: Vec<(String, Content)>, plan: &mut FixerPlan) {
    let summary = if drivers.is_empty() {
        format!("initramfs of {} gets new configuration", kernel.version)
    } else {
        format!("initramfs of {} gets {}", kernel.version, drivers.join(", "))
    };
    let reason = if drivers.is_empty() { "it still names the old machine's devices" } else { REASON };
    let why = Why { summary: &summary, reason, critical: !drivers.is_empty() };
    let action = Action::ExtendInitramfs {
        kernel: kernel.version.clone(),
        drivers: drivers.into_iter().map(str::to_owned).collect(),
        files,
    };
    plan.changes.push(why.change(action, path));
}

fn rebuild(
    kernel: &KernelInfo,
    path: Option<&str>,
    drivers: &[&str],
    tool: Option<InitramfsTool>,
    plan: &mut FixerPlan,
) {
    let version = &kernel.version;
    let Some(tool) = tool else {
        plan.findings.push(
            Finding::new(
                "initramfs-without-tool",
                Severity::Block,
                format!("kernel {version} needs another initramfs, and the guest has no tool that makes one"),
            )
            .hint("install the distribution's initramfs tool in the guest, or boot another kernel"),
        );
        return;
    };
    let path = path.map_or_else(|| persist::default_path(tool, version), str::to_owned);
    let summary = format!("initramfs of {version} rebuilt with virtio drivers");
    let action = Action::RebuildInitramfs {
        kernel: version.clone(),
        tool,
        drivers: drivers.iter().map(|driver| (*driver).to_owned()).collect(),
    };
    plan.changes.push(Why { summary: &summary, reason: REASON, critical: true }.change(action, &path));
}

#[cfg(test)]
mod tests;
