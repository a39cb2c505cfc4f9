//! Disks that get larger: a flat view with a hole behind its end. Everything after FLATTEN, the guest's appliance included, sees a disk of
//! the new size, and the source is none the wiser. What lies on the disk grows by changes of the plan, if at all.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{Action, GrownDisk, Plan, VmSpec};
use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, Extent, ExtentKind, Hints, PluginError, Result};

use super::flatten::FlatDisk;
use super::run::Run;
use crate::config::{Command, Resize};
use crate::events::{Stage, bytes, escape};

/// Grows the disks that are named.
pub(super) fn grow(run: &Run<'_>, resizes: &[Resize], vm: &mut VmSpec, disks: &mut [FlatDisk]) -> Result<()> {
    let usage = |message: String| PluginError::new(ErrorKind::Usage, message);
    for (at, resize) in resizes.iter().enumerate() {
        let named: Vec<usize> = (0..disks.len()).filter(|index| resize.is_of(index + 1, &disks[*index].name)).collect();
        let [index] = named[..] else {
            let count = if named.is_empty() { "no disk is" } else { "several disks are" };
            let known: Vec<_> = disks.iter().map(|disk| escape(&disk.name).into_owned()).collect();
            return Err(usage(format!("{count} called `{}`, to be resized", escape(&resize.disk)))
                .hint(format!("name it by its number, from 1: {}", known.join(", "))));
        };
        let disk = &mut disks[index];
        if resizes[..at].iter().any(|former| former.is_of(index + 1, &disk.name)) {
            return Err(usage(format!("{} is resized twice", escape(&disk.name))).hint("give one size for each disk"));
        }
        let now = disk.source.size();
        let size = resize.size.of(now);
        if size < now {
            let message = format!("{} has {} and cannot get {}", escape(&disk.name), bytes(now), bytes(size));
            return Err(usage(format!("{message}: a smaller disk would lose what lies behind its end"))
                .hint("give a larger size, or +SIZE to grow it; shrink it in the guest before it is migrated"));
        }
        if size > now {
            disk.grown_from = Some(now);
        }
        disk.source = Arc::new(Grown { source: Arc::clone(&disk.source), size });
        vm.disks[index].capacity_bytes = size;
    }
    if !wants_growth(run) {
        warn_of_each(run, disks);
    }
    Ok(())
}

/// Whether what lies on the disks is to grow with them.
fn wants_growth(run: &Run<'_>) -> bool {
    run.job.command == Command::Plan || run.job.wants(Stage::Fix)
}

/// The disks that grew, for the fixers.
pub(super) fn grown(disks: &[FlatDisk]) -> Vec<GrownDisk> {
    let grown = (0u32..)
        .zip(disks)
        .filter_map(|(index, disk)| Some(GrownDisk::new(index, disk.grown_from?, disk.source.size())));
    grown.collect()
}

/// Says so when a plan makes nothing on the larger disks larger. Why, is among its findings.
pub(super) fn warn(run: &Run<'_>, disks: &[FlatDisk], plan: &Plan) {
    let grows = plan.changes.iter().any(|change| matches!(change.action, Action::Grow { .. }));
    if !grows && wants_growth(run) {
        warn_of_each(run, disks);
    }
}

fn warn_of_each(run: &Run<'_>, disks: &[FlatDisk]) {
    for disk in disks {
        let Some(old) = disk.grown_from else { continue };
        let (name, old, new) = (escape(&disk.name), bytes(old), bytes(disk.source.size()));
        run.services.warn(format!("{name} grows from {old} to {new}, and what is on it keeps its size"));
    }
}

/// A disk with a hole behind its end.
struct Grown {
    source: Arc<dyn BlockSource>,
    size: u64,
}

impl BlockSource for Grown {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(PluginError::defect(format!("a read at offset {offset} ends past the end of a resized disk")));
        }
        let held = self.source.size().saturating_sub(offset).min(buffer.len() as u64) as usize;
        if held > 0 {
            return self.source.read_at(offset, &mut buffer[..held]);
        }
        buffer.fill(0);
        Ok(buffer.len())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let held = self.source.size().saturating_sub(offset).min(length);
        let mut extents = if held > 0 { self.source.extents(offset, held)? } else { Vec::new() };
        if held < length {
            extents.push(Extent::new(offset + held, length - held, ExtentKind::Hole));
        }
        Ok(extents)
    }

    fn hints(&self) -> Hints {
        self.source.hints()
    }
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::check_map;

    use super::super::zero_source::ZeroSource;
    use super::*;

    fn grown() -> Grown {
        Grown { source: Arc::new(ZeroSource(1000)), size: 4096 }
    }

    #[test]
    fn reads_and_maps_go_on_behind_the_end() {
        let disk = grown();
        for (offset, length, expected) in [(0, 512, 512), (512, 1024, 488), (1000, 24, 24), (2048, 2048, 2048)] {
            let mut buffer = vec![1; length];
            assert_eq!(disk.read_at(offset, &mut buffer).unwrap(), expected);
            assert!(buffer[..expected].iter().all(|byte| *byte == 0));
            check_map(&disk.extents(offset, length as u64).unwrap(), offset, length as u64).unwrap();
        }
        assert!(disk.read_at(4000, &mut [0; 97]).is_err());
    }
}
