//! What people see of a batch while it runs: on a terminal a line for each VM that runs and one for all, failures above them as they come;
//! elsewhere a line for whatever begins or ends.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::record::{Record, State};
use super::request::Show;
use crate::events::{Event, Stage, bytes, duration, escape};

/// How often the terminal is redrawn, per second.
const REDRAWS: u8 = 5;
/// Most lines of VMs; a terminal has no more, and the others are counted in the last one.
const LINES: usize = 30;

/// The screen.
pub(super) struct Screen {
    show: Show,
    bars: Option<(MultiProgress, ProgressBar)>,
    vms: HashMap<usize, Shown>,
    total: usize,
    done: usize,
    ready: usize,
    failed: usize,
}

struct Shown {
    bar: Option<ProgressBar>,
    name: String,
    stage: Option<Stage>,
    copying: bool,
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .map(|style| style.progress_chars("=> "))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A VM whose copy is counted, and one that does something else.
const COPY: &str = "{prefix:20!} {msg:8!} {bar:20} {binary_bytes:>11} of {binary_total_bytes} {binary_bytes_per_sec:>13} {eta:>4} left";
const PLAIN: &str = "{prefix:20!} {msg:8!} {elapsed}";
const ALL: &str = "{wide_msg} {elapsed}";

impl Screen {
    /// A screen for so many VMs.
    pub fn new(show: Show, total: usize) -> Self {
        let target = || ProgressDrawTarget::stderr_with_hz(REDRAWS);
        Self::on((show == Show::Screen).then(target), show, total)
    }

    fn on(target: Option<ProgressDrawTarget>, show: Show, total: usize) -> Self {
        let bars = target.map(|target| {
            let screen = MultiProgress::with_draw_target(target);
            let all = screen.add(ProgressBar::new_spinner().with_style(style(ALL)));
            all.enable_steady_tick(Duration::from_millis(500));
            (screen, all)
        });
        let screen = Self { show, bars, vms: HashMap::new(), total, done: 0, ready: 0, failed: 0 };
        screen.all();
        screen
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        match (&self.bars, self.show) {
            (Some((screen, _)), _) => _ = screen.println(text),
            // Nobody is left to tell when stderr is closed.
            (None, Show::Lines) => _ = writeln!(std::io::stderr(), "{text}"),
            _ => {}
        }
    }

    /// The run of a VM begins.
    pub fn started(&mut self, index: usize, name: &str, attempt: usize) {
        let again = if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
        let name = escape(name).into_owned();
        if self.bars.is_none() {
            self.say(&format!("{name}: started{again}"));
        }
        let shown = self.vms.values().filter(|vm| vm.bar.is_some()).count();
        let bar = self.bars.as_ref().filter(|_| shown < LINES).map(|(screen, all)| {
            let bar = ProgressBar::no_length().with_style(style(PLAIN)).with_prefix(format!("{name}{again}"));
            screen.insert_before(all, bar)
        });
        self.vms.insert(index, Shown { bar, name, stage: None, copying: false });
        self.all();
    }

    /// Something happened to a VM.
    pub fn event(&mut self, index: usize, event: &Event) {
        let Some(vm) = self.vms.get_mut(&index) else { return };
        match event {
            Event::StageStarted { stage, .. } => {
                vm.stage = Some(*stage);
                if let Some(bar) = &vm.bar {
                    bar.set_message(stage.to_string());
                }
            }
            Event::Progress { stage: Stage::Flatten, done_bytes, total_bytes, .. } if *total_bytes > 0 => {
                let Some(bar) = &vm.bar else { return };
                if !std::mem::replace(&mut vm.copying, true) {
                    bar.set_style(style(COPY));
                    bar.set_position(*done_bytes);
                    bar.reset_eta();
                }
                bar.set_length(*total_bytes);
                bar.set_position(*done_bytes);
            }
            Event::StageFinished { stage: Stage::Flatten, .. } if vm.copying => {
                vm.copying = false;
                if let Some(bar) = &vm.bar {
                    bar.set_style(style(PLAIN));
                }
            }
            _ => {}
        }
    }

    /// The run of a VM ended, and this is known of it; `after`: it is tried again then.
    pub fn ended(&mut self, index: usize, record: &Record, after: Option<Duration>) {
        let Some(vm) = self.vms.remove(&index) else { return };
        if let Some(bar) = &vm.bar {
            bar.finish_and_clear();
        }
        let code = record.exit_code.unwrap_or(0);
        match (record.error.as_ref().map(|error| &error.message), after) {
            (None, _) => {
                let ready = record.state == State::Ready;
                *(if ready { &mut self.ready } else { &mut self.done }) += 1;
                if self.bars.is_none() {
                    let copied = bytes(record.attempts.last().map_or(0, |run| run.bytes));
                    let what = if ready { "ready for its cut-over" } else { "done" };
                    self.say(&format!("{}: {what}, {copied} copied", vm.name));
                }
            }
            (Some(error), Some(after)) => {
                let after = duration(after.as_secs_f64());
                self.say(&format!("{}: {} ({code}); again in {after}", vm.name, escape(error)));
            }
            (Some(error), None) => {
                self.failed += 1;
                let stage = vm.stage.map_or_else(String::new, |stage| format!("{stage}: "));
                self.say(&format!("{}: failed ({code}): {stage}{}", vm.name, escape(error)));
            }
        }
        self.all();
    }

    /// A VM that is over without a run of its own.
    pub fn settled(&mut self, done: bool) {
        *(if done { &mut self.done } else { &mut self.failed }) += 1;
        self.all();
    }

    fn all(&self) {
        let Some((_, all)) = &self.bars else { return };
        let (running, total) = (self.vms.len(), self.total);
        let waiting = total.saturating_sub(self.done + self.ready + self.failed + running);
        let ready = if self.ready > 0 { format!("{} ready, ", self.ready) } else { String::new() };
        all.set_message(format!(
            "{} of {total} done, {ready}{running} running, {waiting} waiting, {} failed",
            self.done, self.failed
        ));
    }

    /// Takes the lines away.
    pub fn clear(&mut self) {
        for vm in self.vms.values() {
            if let Some(bar) = &vm.bar {
                bar.finish_and_clear();
            }
        }
        if let Some((_, all)) = &self.bars {
            all.finish_and_clear();
        }
    }
}

impl Drop for Screen {
    /// A bar that is left on the screen would swallow what is said below it.
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::paper::Paper;

    #[test]
    fn each_vm_that_runs_has_a_line_and_failures_stay() {
        let paper = Paper::default();
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(paper.clone()), 255);
        let mut screen = Screen::on(Some(target), Show::Screen, 5);
        screen.settled(true);
        screen.started(0, "web\x1b[2J", 1);
        screen.started(1, "db", 2);
        screen.event(0, &Event::StageStarted { stage: Stage::Flatten, plugin: None });
        let copied = |done| Event::Progress {
            stage: Stage::Flatten,
            task: "copy".into(),
            disk: Some(0),
            done_bytes: done,
            total_bytes: 4 << 30,
        };
        screen.event(0, &copied(1 << 30));
        let error = vmdk2kvm_plugin_api::PluginError::unusable("no route\x07");
        let error = Some(crate::events::ErrorDocument::new(&error, None));
        screen.ended(1, &Record { exit_code: Some(65), error, ..Record::default() }, None);
        std::thread::sleep(Duration::from_millis(600));
        let seen = paper.0.lock().unwrap().clone();
        for part in [
            "db: failed (65): no route\\x07",
            "web\\x1b[2J",
            "FLATTEN",
            "1.00 GiB of 4.00 GiB",
            "1 of 5 done, 1 running, 2 waiting, 1 failed",
        ] {
            assert!(seen.contains(part), "{part}\n{seen}");
        }
        screen.clear();
        assert!(screen.vms.values().all(|vm| vm.bar.as_ref().is_none_or(ProgressBar::is_finished)));
    }
}
