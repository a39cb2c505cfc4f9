//! Events as progress bars on a terminal: a line for each stage that runs, below it a bar for each task and disk, and above all of them lines
//! for what is finished.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::beside::Beside;
use super::show::{line, task};
use super::{Event, Reporter, Stage};

/// How often the terminal is redrawn, per second.
const REDRAWS: u8 = 10;

/// Progress bars on stderr.
pub struct Bars {
    screen: MultiProgress,
    logs: bool,
    beside: Beside,
    stages: HashMap<Stage, StageBar>,
    tasks: HashMap<(Stage, String, Option<u32>), ProgressBar>,
}

/// A stage's own line: what it is, and behind that the task without bytes that it is at.
struct StageBar {
    bar: ProgressBar,
    text: String,
    /// The lowest line of the stage: the next task's goes below it.
    lowest: ProgressBar,
}

impl Bars {
    /// Draws on stderr. Log lines are left out unless `logs`: they may go to a file instead.
    pub fn stderr(logs: bool) -> Self {
        Self::on(ProgressDrawTarget::stderr_with_hz(REDRAWS), logs)
    }

    fn on(target: ProgressDrawTarget, logs: bool) -> Self {
        let screen = MultiProgress::with_draw_target(target);
        Self { screen, logs, beside: Beside::default(), stages: HashMap::new(), tasks: HashMap::new() }
    }

    fn stage_started(&mut self, stage: Stage, text: String) {
        let bar = self.screen.add(ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {msg} {elapsed:.dim}"));
        bar.set_message(text.clone());
        bar.enable_steady_tick(Duration::from_millis(250));
        let lowest = bar.clone();
        if let Some(former) = self.stages.insert(stage, StageBar { bar, text, lowest }) {
            former.bar.finish_and_clear();
        }
        self.say_what_is_waited_for();
    }

    fn stage_finished(&mut self, stage: Stage) {
        if let Some(of_stage) = self.stages.remove(&stage) {
            of_stage.bar.finish_and_clear();
        }
        self.tasks.retain(|(of, _, _), bar| {
            if *of == stage {
                bar.finish_and_clear();
            }
            *of != stage
        });
    }

    fn progress(&mut self, stage: Stage, name: &str, disk: Option<u32>, done: u64, total: u64) {
        if done == 0 && total == 0 {
            if let Some(StageBar { bar, text, .. }) = self.stages.get(&stage) {
                bar.set_message(format!("{text}: {}", task(name, disk)));
            }
            return;
        }
        let key = (stage, name.to_owned(), disk);
        let of_stage = self.stages.get_mut(&stage);
        let bar = self.tasks.entry(key).or_insert_with(|| {
            let bar = match of_stage {
                Some(StageBar { lowest, .. }) => {
                    *lowest = self.screen.insert_after(lowest, ProgressBar::no_length());
                    lowest.clone()
                }
                None => self.screen.add(ProgressBar::no_length()),
            };
            bar.set_prefix(format!("{stage:<8} {}", task(name, disk)));
            // What a former run did says nothing about the rate of this one.
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        if total > 0 && bar.length() != Some(total) {
            bar.set_length(total);
            bar.set_style(style(
                "  {prefix:21} {wide_bar} {binary_bytes:>11} of {binary_total_bytes} {binary_bytes_per_sec:>13} {eta:>4} left",
            ));
        } else if total == 0 && bar.length().is_none() {
            bar.set_style(style("  {prefix:21} {binary_bytes:>11} {binary_bytes_per_sec:>13}"));
        }
        bar.set_position(done);
        if is_full(bar) {
            self.say_what_is_waited_for();
        }
    }

    /// A full bar counts no time that is left: it says what the stage waits for.
    fn say_what_is_waited_for(&self) {
        for ((stage, _, _), bar) in self.tasks.iter().filter(|(_, bar)| is_full(bar)) {
            let goes_on = self.tasks.iter().any(|((of, _, _), bar)| of == stage && !is_full(bar));
            let waits = (!goes_on).then(|| self.beside.waits_for(*stage)).flatten();
            bar.set_style(style("  {prefix:21} {binary_total_bytes:>11} {msg}"));
            bar.set_message(waits.map_or_else(|| "done".to_owned(), |what| format!("done; {what}")));
        }
    }

    fn clear(&mut self) {
        for (_, of_stage) in self.stages.drain() {
            of_stage.bar.finish_and_clear();
        }
        for (_, bar) in self.tasks.drain() {
            bar.finish_and_clear();
        }
    }
}

/// Whether a task has all its bytes.
fn is_full(bar: &ProgressBar) -> bool {
    bar.length().is_some_and(|length| length > 0 && bar.position() >= length)
}

/// The templates are constants of this file and a test draws each; a wrong one would show as the default bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .map(|style| style.progress_chars("=> "))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Reporter for Bars {
    fn event(&mut self, event: &Event) {
        let beside = self.beside.take(event);
        match event {
            Event::StageStarted { stage, .. } => {
                self.stage_started(*stage, line(event).unwrap_or_default() + &beside);
            }
            Event::Progress { stage, task, disk, done_bytes, total_bytes } => {
                self.progress(*stage, task, *disk, *done_bytes, *total_bytes);
                return;
            }
            Event::StageFinished { stage, .. } => self.stage_finished(*stage),
            Event::RunFinished { .. } => self.clear(),
            Event::Log { .. } if !self.logs => return,
            _ => {}
        }
        if !matches!(event, Event::StageStarted { .. }) {
            if let Some(text) = line(event) {
                let _ = self.screen.println(text);
            }
        }
    }
}

impl Drop for Bars {
    /// A bar that is left on the screen would swallow the error message below it.
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
#[path = "bars_tests.rs"]
mod tests;
