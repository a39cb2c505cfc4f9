//! What both readable reports say about a run in words, so that they say the same.

use vmdk2kvm_plugin_api::model::{PowerState, Severity, VerdictKind, VmSpec};

use super::pace::copied;
use super::{ChangeStatus, Containment, Report, RoundRecord, TestedMachine, WarmRecord, WayRecord};
use crate::events::{Phase, StageStatus, bytes, duration};
use crate::machine::{cpus, firmware};

/// How a run ended, for colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Odd,
    Bad,
}

impl Mood {
    /// The word of the style sheet.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Odd => "odd",
            Self::Bad => "bad",
        }
    }
}

/// How the run ended, in a few words.
pub(super) fn outcome(report: &Report) -> (Mood, String) {
    let test = report.test.as_ref().map(|test| test.verdict.verdict);
    match (&report.error, test) {
        (_, Some(VerdictKind::Failed)) => (Mood::Bad, "migrated, but the boot test failed".into()),
        (Some(error), _) => match error.stage {
            Some(stage) => (Mood::Bad, format!("failed in {stage}")),
            None => (Mood::Bad, "failed".into()),
        },
        (None, Some(VerdictKind::Passed)) => (Mood::Good, "migrated and booted".into()),
        (None, None) => (Mood::Odd, "done, not boot-tested".into()),
        (None, Some(_)) => (Mood::Odd, "migrated, but the boot test was inconclusive".into()),
    }
}

/// By which way the bytes of each disk came: disk, way with its reason, and the reasons against the better ones.
pub(super) fn ways(report: &Report) -> Vec<[String; 3]> {
    let because = |way: &WayRecord| if way.reason.is_empty() { String::new() } else { format!(": {}", way.reason) };
    let row = |way: &WayRecord| {
        [way.disk.clone(), format!("{} by {}{}", way.scheme, way.plugin, because(way)), way.refused.join("; ")]
    };
    report.ways.iter().map(row).collect()
}

/// The rounds of a warm migration: number, changed, moved, time, and which disks were copied in full.
pub(super) fn rounds(report: &Report) -> Vec<[String; 5]> {
    let row = |round: &RoundRecord| {
        let number =
            if round.last { format!("{} (after the shut-down)", round.round) } else { round.round.to_string() };
        let (changed, moved) = (bytes(round.changed_bytes), bytes(round.moved_bytes));
        [number, changed, moved, duration(round.seconds), round.full.join(", ")]
    };
    report.warm.iter().flat_map(|warm| &warm.rounds).map(row).collect()
}

/// What a cut-over left at the source, and how to go back.
fn after(warm: &WarmRecord) -> String {
    let left = warm.source.as_ref().map_or_else(
        || "its source could not be asked any more".to_owned(),
        |source| {
            let power = match source.power {
                PowerState::Off => "off",
                PowerState::On => "ON",
                PowerState::Suspended => "suspended",
                _ => "in a state that is not known",
            };
            let snapshots = source.snapshots.map_or_else(String::new, |count| match count {
                0 => " and has no snapshots".to_owned(),
                1 => " and has a snapshot".to_owned(),
                count => format!(" and has {count} snapshots"),
            });
            format!("it is {power}{snapshots}")
        },
    );
    format!("{left}; {} of it were compared with the images; {}", bytes(warm.verified_bytes), warm.rollback)
}

/// What must be known about the run: label, value, mood.
pub(super) fn marks(report: &Report) -> Vec<(&'static str, String, Mood)> {
    let mut marks = Vec::new();
    if let Some(test) = &report.test {
        let (word, mood) = match test.verdict.verdict {
            VerdictKind::Passed => ("", Mood::Good),
            VerdictKind::Failed => ("", Mood::Bad),
            _ => ("inconclusive: ", Mood::Odd),
        };
        let lesser = (test.machine == TestedMachine::Lesser).then_some("lesser machine");
        let accelerator = Some(test.verdict.accelerator.as_str()).filter(|word| !word.is_empty());
        let how: Vec<&str> = accelerator.into_iter().chain(lesser).collect();
        let how = if how.is_empty() { String::new() } else { format!(" ({})", how.join(", ")) };
        marks.push(("Boot test", format!("{word}{}{how}", test.verdict.reason), mood));
    }
    if let Some(converged) = report.converged {
        let (text, mood) = if converged {
            ("planning again gives nothing", Mood::Good)
        } else {
            ("planning again gives changes", Mood::Bad)
        };
        marks.push(("Converged", text.into(), mood));
    }
    let looked = !report.source.disks.is_empty() && report.source.disks.iter().all(|disk| disk.after.is_some());
    let (text, mood) = match (report.source.is_unchanged(), looked) {
        (false, _) => ("CHANGED during the run", Mood::Bad),
        (true, true) => ("unchanged, by the fingerprints of its files", Mood::Good),
        (true, false) if report.source.frozen => ("could not change: it was held", Mood::Good),
        (true, false) => ("not looked at again", Mood::Odd),
    };
    let verified = (looked || report.source.frozen) && report.source.disks.iter().all(|disk| disk.verified);
    let verified = if verified { "; its data is what its manifest says" } else { "" };
    let held = match report.source.held.as_slice() {
        [] => String::new(),
        took => format!("; while it was read it was held by {}", took.join(", ")),
    };
    marks.push(("Source", format!("{text}{verified}{held}"), mood));
    if let Some(warm) = report.warm.as_ref().filter(|warm| !warm.rollback.is_empty()) {
        let is_off = warm.source.as_ref().is_some_and(|source| source.power == PowerState::Off);
        marks.push(("Old machine", after(warm), if is_off { Mood::Good } else { Mood::Odd }));
    }
    if let Some(Containment { contained, reason }) = &report.containment {
        let (word, mood) = if *contained { ("yes", Mood::Good) } else { ("no", Mood::Odd) };
        marks.push(("Contained", format!("{word}: {reason}"), mood));
    }
    if !report.changes.is_empty() {
        let done = count(report, &[ChangeStatus::Done, ChangeStatus::Unchanged]);
        let mood = match count(report, &[ChangeStatus::Failed]) {
            0 if done == report.changes.len() => Mood::Good,
            0 => Mood::Odd,
            _ => Mood::Bad,
        };
        marks.push(("Changes", format!("{done} of {}", report.changes.len()), mood));
    }
    if let Some(copied) = copied(report) {
        marks.push(("Copied", copied, Mood::Good));
    }
    if !report.images.is_empty() {
        let stored: u64 = report.images.iter().map(|image| image.bytes).sum();
        let seen: u64 = report.images.iter().map(|image| image.virtual_size).sum();
        let count = report.images.len();
        let text = format!("{count} image{}, {} for {}", if count == 1 { "" } else { "s" }, bytes(stored), bytes(seen));
        marks.push(("Result", text, Mood::Good));
    }
    marks
}

fn count(report: &Report, statuses: &[ChangeStatus]) -> usize {
    report.changes.iter().filter(|change| statuses.contains(&change.status)).count()
}

/// The old machine in facts, where there is no new one.
pub(super) fn machine(vm: &VmSpec) -> Vec<(&'static str, String)> {
    let nic = |nic: &vmdk2kvm_plugin_api::model::Nic| {
        [nic.mac.as_deref(), nic.model.as_deref(), nic.network.as_deref()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut facts = vec![
        ("Name", vm.name.clone()),
        ("UUID", vm.uuid.clone().unwrap_or_default()),
        ("Firmware", firmware(vm.firmware, vm.secure_boot).to_owned()),
        ("Processors", cpus(vm.cpus)),
        ("Memory", bytes(vm.memory_bytes)),
        ("TPM", if vm.tpm { "yes".to_owned() } else { String::new() }),
        ("Guessed", vm.guessed.join(", ")),
    ];
    facts.extend(vm.nics.iter().map(|card| ("Network card", nic(card))));
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

/// The word for a severity.
pub(super) const fn severity(severity: Severity) -> (&'static str, Mood) {
    match severity {
        Severity::Info => ("note", Mood::Good),
        Severity::Block => ("blocked", Mood::Bad),
        _ => ("warning", Mood::Odd),
    }
}

/// What a stage's time went to: `launch 8.2 s, mount 0.2 s`.
pub(super) fn phases(phases: &[Phase]) -> String {
    let words = phases.iter().map(|phase| format!("{} {}", phase.name, duration(phase.seconds)));
    words.collect::<Vec<_>>().join(", ")
}

/// The mood of a stage's end.
pub(super) const fn stage_mood(status: StageStatus) -> Mood {
    match status {
        StageStatus::Done | StageStatus::Unchanged => Mood::Good,
        StageStatus::Skipped => Mood::Odd,
        StageStatus::Failed => Mood::Bad,
    }
}

/// The mood of a change's end.
pub(super) const fn change_mood(status: ChangeStatus) -> Mood {
    match status {
        ChangeStatus::Done | ChangeStatus::Unchanged => Mood::Good,
        ChangeStatus::NotDone => Mood::Odd,
        ChangeStatus::Failed => Mood::Bad,
    }
}
