//! `Beside`: which stages run at once, and what one that has done all its work still waits for.

use super::{Event, Stage};

/// The stages that run, in the order of their beginnings.
#[derive(Default)]
pub(super) struct Beside {
    running: Vec<Stage>,
}

impl Beside {
    /// Takes an event. Of a stage that begins: the others that run, as the end of its line; else nothing.
    pub fn take(&mut self, event: &Event) -> String {
        match event {
            Event::StageStarted { stage, .. } => {
                self.running.retain(|running| running != stage);
                let others: Vec<String> = self.running.iter().map(Stage::to_string).collect();
                self.running.push(*stage);
                if others.is_empty() { String::new() } else { format!(", beside {}", others.join(", ")) }
            }
            Event::StageFinished { stage, .. } => {
                self.running.retain(|running| running != stage);
                String::new()
            }
            _ => String::new(),
        }
    }

    /// What a stage that has nothing more to do waits for; `None`: for nobody.
    pub fn waits_for(&self, stage: Stage) -> Option<&'static str> {
        let waits = self.running.iter().any(|other| *other != stage && (Stage::Inspect..=Stage::Fix).contains(other));
        waits.then_some("waiting for the guest's fixes")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::events::StageStatus;

    /// So much of a disk of 4 MiB is copied.
    pub(in crate::events) fn copied(disk: u32, done_bytes: u64) -> Event {
        let (stage, task, disk) = (Stage::Flatten, "copy".to_owned(), Some(disk));
        Event::Progress { stage, task, disk, done_bytes, total_bytes: 4 << 20 }
    }

    #[test]
    fn stages_that_run_at_once_are_named_and_waited_for() {
        let started = |stage| Event::StageStarted { stage, plugin: None };
        let finished = |stage| Event::StageFinished {
            stage,
            plugin: None,
            status: StageStatus::Done,
            seconds: 1.0,
            bytes: 0,
            round: None,
        };
        let mut beside = Beside::default();
        assert_eq!(beside.take(&started(Stage::Flatten)), "");
        assert_eq!(beside.waits_for(Stage::Flatten), None);
        assert_eq!(beside.take(&started(Stage::Inspect)), ", beside FLATTEN");
        assert_eq!(beside.waits_for(Stage::Flatten), Some("waiting for the guest's fixes"));
        assert_eq!(beside.take(&finished(Stage::Inspect)), "");
        assert_eq!(beside.waits_for(Stage::Flatten), None);
        assert_eq!(beside.take(&started(Stage::Fix)), ", beside FLATTEN");
        assert_eq!(beside.take(&finished(Stage::Flatten)), "");
        assert_eq!(beside.take(&started(Stage::Convert)), ", beside FIX");
    }
}
