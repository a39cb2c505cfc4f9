//! `Phases`: what a stage spent its time on, derived from the tasks that it reported.
//!
//! A phase begins with the first report of a task and lasts until that has all its bytes, another task of the same stage reports, or the stage
//! ends. A task that comes back goes on with its phase.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Event, Reporter, Stage};

/// No stage has more phases than this; the time of further ones counts for the last.
const LIMIT: usize = 64;

/// A part of a stage's time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// The task, e.g. `mount`.
    pub name: String,
    /// Wall time in seconds, of all its parts together.
    pub seconds: f64,
}

/// Collects the phases of every stage. Clones collect together.
#[derive(Clone, Default)]
pub struct Phases {
    stages: Arc<Mutex<HashMap<Stage, Clock>>>,
}

/// The phases of one stage, in the order of their beginnings.
#[derive(Default)]
struct Clock {
    phases: Vec<Phase>,
    /// Index of the one that runs, and since when.
    running: Option<(usize, Instant)>,
}

impl Clock {
    fn enter(&mut self, task: &str, now: Instant) {
        if self.running.is_some_and(|(index, _)| self.phases[index].name == task) {
            return;
        }
        self.leave(now);
        let known = self.phases.iter().position(|phase| phase.name == task);
        let index = known.unwrap_or_else(|| {
            if self.phases.len() < LIMIT {
                self.phases.push(Phase { name: task.to_owned(), seconds: 0.0 });
            }
            self.phases.len() - 1
        });
        self.running = Some((index, now));
    }

    fn leave(&mut self, now: Instant) {
        if let Some((index, since)) = self.running.take() {
            self.phases[index].seconds += now.duration_since(since).as_secs_f64();
        }
    }
}

impl Phases {
    /// The phases of a stage that was over then.
    pub fn end(&self, stage: Stage, over: Instant) -> Vec<Phase> {
        let clock = self.stages.lock().unwrap_or_else(PoisonError::into_inner).remove(&stage);
        let mut clock = clock.unwrap_or_default();
        clock.leave(over);
        clock.phases
    }
}

impl Reporter for Phases {
    fn event(&mut self, event: &Event) {
        if let Event::Progress { stage, task, done_bytes, total_bytes, .. } = event {
            let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
            let (clock, now) = (stages.entry(*stage).or_default(), Instant::now());
            clock.enter(task, now);
            if *total_bytes > 0 && done_bytes >= total_bytes {
                clock.leave(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn progress(stage: Stage, task: &str) -> Event {
        Event::Progress { stage, task: task.into(), disk: None, done_bytes: 0, total_bytes: 0 }
    }

    #[test]
    fn a_phase_lasts_until_the_next_and_comes_back() {
        let begin = Instant::now();
        let mut clock = Clock::default();
        for (task, second) in [("write", 0), ("write", 1), ("rebuild", 3), ("write", 10)] {
            clock.enter(task, begin + Duration::from_secs(second));
        }
        clock.leave(begin + Duration::from_secs(14));
        let phase = |name: &str, seconds| Phase { name: name.into(), seconds };
        assert_eq!(clock.phases, [phase("write", 7.0), phase("rebuild", 7.0)]);
    }

    #[test]
    fn a_task_with_all_its_bytes_is_over() {
        let mut phases = Phases::default();
        for done_bytes in [1, 2] {
            let task = "copy".to_owned();
            phases.event(&Event::Progress { stage: Stage::Flatten, task, disk: None, done_bytes, total_bytes: 2 });
            let running = phases.stages.lock().unwrap()[&Stage::Flatten].running.is_some();
            assert_eq!(running, done_bytes < 2);
        }
        assert_eq!(phases.end(Stage::Flatten, Instant::now()).len(), 1);
    }

    #[test]
    fn a_stage_that_was_over_before_counts_no_longer() {
        let mut phases = Phases::default();
        let over = Instant::now() + Duration::from_secs(7);
        phases.event(&progress(Stage::Flatten, "copy"));
        let seconds = phases.end(Stage::Flatten, over)[0].seconds;
        assert!((6.0..=7.0).contains(&seconds), "{seconds}");
    }

    #[test]
    fn stages_that_overlap_have_their_own() {
        let mut phases = Phases::default();
        let events = [(Stage::Flatten, "copy"), (Stage::Inspect, "mount"), (Stage::Flatten, "copy")];
        events.iter().for_each(|(stage, task)| phases.event(&progress(*stage, task)));
        let names = |stage| phases.end(stage, Instant::now()).into_iter().map(|phase| phase.name).collect::<Vec<_>>();
        assert_eq!(names(Stage::Inspect), ["mount"]);
        assert_eq!(names(Stage::Flatten), ["copy"]);
        assert_eq!(names(Stage::Flatten), [""; 0], "they are told once");
    }

    #[test]
    fn more_tasks_than_anybody_reads_count_for_the_last() {
        let mut phases = Phases::default();
        (0..1000).for_each(|number| phases.event(&progress(Stage::Fix, &number.to_string())));
        let phases = phases.end(Stage::Fix, Instant::now());
        assert_eq!((phases.len(), phases[LIMIT - 1].name.as_str()), (LIMIT, "63"));
    }
}
