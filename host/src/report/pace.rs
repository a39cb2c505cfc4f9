//! How fast a run was: what took most of its time, and what would make that faster.

use super::{Report, StageRecord};
use crate::events::{Stage, bytes, duration};

/// Below this nobody wants to know, in seconds.
const SHORT: f64 = 2.0;

/// Parts of a run that are done one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Source,
    Copy,
    Guest,
    Images,
    Boot,
}

impl Part {
    const ALL: [Self; 5] = [Self::Source, Self::Copy, Self::Guest, Self::Images, Self::Boot];

    fn of(stage: Stage) -> Self {
        match stage {
            Stage::Fetch => Self::Source,
            Stage::Flatten => Self::Copy,
            Stage::Inspect | Stage::Plan | Stage::Fix => Self::Guest,
            Stage::Convert => Self::Images,
            Stage::Test => Self::Boot,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Source => "describing the source",
            Self::Copy => "copying",
            Self::Guest => "the guest's inspection and fixes",
            Self::Images => "making the images",
            Self::Boot => "the boot test",
        }
    }
}

/// What took most of the time, and what makes it faster where that is known; `None` where it was short.
pub(super) fn pace(report: &Report) -> Option<String> {
    let seconds = |part| {
        let of_part = report.stages.iter().filter(|stage| Part::of(stage.name) == part);
        of_part.map(|stage| stage.seconds).sum::<f64>()
    };
    let most = Part::ALL.into_iter().max_by(|one, other| seconds(*one).total_cmp(&seconds(*other)))?;
    let took = seconds(most);
    if took < SHORT {
        return None;
    }
    let mut text =
        format!("Most of the time went into {}: {} of {}.", most.words(), duration(took), duration(report.seconds));
    let emulated = report.accelerator.as_deref() == Some("tcg");
    match most {
        Part::Boot if emulated => {
            text.push_str(" This boot was emulated: where KVM works, it takes a fraction of that.")
        }
        Part::Guest if emulated => {
            text.push_str(
                " They run in an appliance, which was emulated: where KVM works, they take a fraction of that.",
            );
        }
        Part::Copy => {
            let rate = report.stages.iter().filter(|stage| stage.name == Stage::Flatten).filter_map(rate).next_back();
            text.push_str(&rate.map_or_else(String::new, |rate| format!(" The source gave {rate}.")));
            text.push_str(if report.source.uri.contains("://") {
                " A faster network to it makes this faster, or another of its ways."
            } else {
                " Faster storage makes this faster."
            });
        }
        _ => {}
    }
    if report.processors == Some(1) {
        text.push_str(
            " This machine has one processor: the copy and the guest's fixes run side by side only with more.",
        );
    }
    Some(text)
}

/// Bytes a second of a stage's copy, as far as it copied.
pub(super) fn rate(stage: &StageRecord) -> Option<String> {
    let copying = stage.phases.iter().find(|phase| phase.name == "copy").map_or(stage.seconds, |phase| phase.seconds);
    (stage.bytes > 0 && copying >= 0.1).then(|| format!("{}/s", bytes((stage.bytes as f64 / copying) as u64)))
}

/// Bytes that were copied, against those of the disks and those that the guest uses; `None` where nothing was copied in one go.
pub(super) fn copied(report: &Report) -> Option<String> {
    let copied: u64 = report.stages.iter().filter(|stage| stage.name == Stage::Flatten).map(|stage| stage.bytes).sum();
    if copied == 0 || report.warm.is_some() {
        return None;
    }
    let capacity: u64 = report.chain.iter().map(|chain| chain.capacity_bytes).sum();
    let used = used(report).map_or_else(String::new, |used| format!("; the guest's files take {}", bytes(used)));
    Some(format!("{} of {}{used}", bytes(copied), bytes(capacity)))
}

/// Bytes that the guest's filesystems have in use; `None` where the inspector did not ask. One that is mounted at several places counts once.
fn used(report: &Report) -> Option<u64> {
    let mut counted = Vec::new();
    let mut used = None;
    for mount in report.inspection.iter().flat_map(|inspection| &inspection.mounts) {
        if let (Some(bytes), false) = (mount.used_bytes, counted.contains(&&mount.device)) {
            counted.push(&mount.device);
            used = Some(used.unwrap_or(0u64).saturating_add(bytes));
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(accelerator: &str, uri: &str, seconds: [f64; 3]) -> Report {
        let stage = |name: &str, seconds: f64, bytes: u64| json!({"name": name, "status": "done", "seconds": seconds, "bytes": bytes});
        serde_json::from_value(json!({
            "schema": 1, "tool": {"name": "vmdk2kvm", "version": "0.1.0", "api": "1.0.0"}, "command": "migrate",
            "started": "", "finished": "", "seconds": 20.0, "accelerator": accelerator, "processors": 1,
            "vm": {"schema": 1, "name": "web", "firmware": "bios", "cpus": {"count": 1, "sockets": 1, "cores_per_socket": 1}, "memory_bytes": 1},
            "inspection": {"schema": 1, "os": {"family": "linux"}, "mounts": [
                {"device": "/dev/sda1", "mountpoint": "/", "fstype": "btrfs", "used_bytes": 1 << 20},
                {"device": "/dev/sda1", "mountpoint": "/home", "fstype": "btrfs", "used_bytes": 1 << 20},
                {"device": "/dev/sda2", "mountpoint": "/boot", "fstype": "ext4", "used_bytes": 1 << 20},
                {"device": "/dev/sda3", "mountpoint": "/srv", "fstype": "ext4"}]},
            "source": {"uri": uri, "disks": []}, "chain": [{"schema": 1, "capacity_bytes": 8 << 20, "links": []}], "findings": [], "changes": [],
            "images": [], "warnings": [], "converged": null, "test": null,
            "stages": [stage("flatten", seconds[0], 4 << 20), stage("fix", seconds[1], 0), stage("test", seconds[2], 0)],
        }))
        .unwrap()
    }

    #[test]
    fn what_took_longest_is_named_with_what_helps() {
        for (accelerator, uri, seconds, words) in [
            ("tcg", "web.vmx", [2.0, 3.0, 9.0], "the boot test: 9.0 s of 20 s. This boot was emulated"),
            (
                "tcg",
                "web.vmx",
                [2.0, 9.0, 3.0],
                "inspection and fixes: 9.0 s of 20 s. They run in an appliance, which was emulated",
            ),
            ("kvm", "web.vmx", [2.0, 3.0, 9.0], "the boot test: 9.0 s of 20 s. This machine has one processor"),
            ("kvm", "web.vmx", [8.0, 1.0, 1.0], "copying: 8.0 s of 20 s. The source gave 512 KiB/s. Faster storage"),
            ("kvm", "x://a/b", [8.0, 1.0, 1.0], "The source gave 512 KiB/s. A faster network"),
        ] {
            let text = pace(&report(accelerator, uri, seconds)).unwrap();
            assert!(text.contains(words), "{text}");
        }
        assert_eq!(pace(&report("kvm", "web.vmx", [1.0, 1.0, 1.0])), None);
    }

    #[test]
    fn what_was_copied_stands_beside_what_the_guest_uses() {
        let text = copied(&report("kvm", "web.vmx", [1.0, 1.0, 1.0])).unwrap();
        assert_eq!(text, "4.00 MiB of 8.00 MiB; the guest's files take 2.00 MiB");
    }
}
