//! What a batch will take: the scheduler itself runs through it, with a clock that costs nothing and with rates that were measured on those of
//! its VMs that are finished.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::record::{Records, State};
use super::rows::Batch;
use super::schedule::{Scheduler, Work};
use crate::events::{bytes, duration};

/// What a batch will take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// On how many finished VMs the rates were measured; 0: none is finished, and nothing can be said.
    pub measured: usize,
    /// What one copy moved in a second, in bytes.
    pub bytes_per_second: f64,
    /// What a VM took beside its copy, in seconds.
    pub seconds_beside: f64,
    /// VMs that are not done.
    pub open: usize,
    /// Those among them of which it is not known how large they are; they count as much as the others on average.
    pub unknown: usize,
    /// How long they will take, in seconds.
    pub seconds: f64,
    /// The key that decides it.
    pub limited_by: Option<String>,
}

/// Rates of one VM that runs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rates {
    bytes_per_second: f64,
    beside: f64,
}

/// Reckons.
pub(super) fn estimate(batch: &Batch) -> Estimate {
    let records = Records::of(&batch.dir);
    let (mut runs, mut open) = (Vec::new(), Vec::new());
    for vm in &batch.vms {
        let record = records.read(&vm.name);
        match record.as_ref().map(|record| (record.state, record)) {
            // What is left of it is small, and no measure of a whole copy.
            Some((State::Ready, _)) => {}
            Some((State::Done, record)) => runs.extend(record.attempts.last().and_then(|run| {
                (run.bytes > 0).then_some((run.bytes as f64, run.copy_seconds, run.finished? - run.started))
            })),
            _ => open.push(vm),
        }
    }
    let sum = |of: fn(&(f64, f64, f64)) -> f64| runs.iter().map(of).sum::<f64>();
    let rates = Rates {
        bytes_per_second: sum(|run| run.0) / sum(|run| run.1).max(0.001),
        beside: sum(|run| (run.2 - run.1).max(0.0)) / (runs.len().max(1) as f64),
    };
    let known: Vec<u64> = open.iter().filter_map(|vm| vm.bytes).collect();
    let average = known.iter().sum::<u64>() / (known.len().max(1) as u64);
    let work: Vec<Work> =
        open.iter().map(|vm| Work { keys: vm.keys.clone(), bytes: vm.bytes.unwrap_or(average) }).collect();
    let (seconds, limited_by) = if runs.is_empty() { (0.0, None) } else { reckon(batch, &work, rates) };
    Estimate {
        measured: runs.len(),
        bytes_per_second: if runs.is_empty() { 0.0 } else { rates.bytes_per_second },
        seconds_beside: rates.beside,
        open: open.len(),
        unknown: open.len() - known.len(),
        seconds,
        limited_by,
    }
}

fn reckon(batch: &Batch, work: &[Work], rates: Rates) -> (f64, Option<String>) {
    let takes =
        |work: &Work| Duration::from_secs_f64(rates.beside + work.bytes as f64 / rates.bytes_per_second.max(1.0));
    let mut scheduler = Scheduler::new(work, &batch.limits, batch.retries.clone());
    let (mut now, mut running) = (Duration::ZERO, Vec::<(Duration, usize)>::new());
    while !scheduler.is_over() {
        while let Some(index) = scheduler.next(now, |_| true) {
            running.push((now + takes(&work[index]), index));
        }
        let Some(first) = (0..running.len()).min_by_key(|at| running[*at]) else { break };
        let (end, index) = running.swap_remove(first);
        now = end;
        scheduler.ended(index, 0, now);
    }
    // A key's own work, as if it were alone.
    let mut keys: BTreeMap<&str, f64> = BTreeMap::new();
    for work in work {
        for key in &work.keys {
            if let Some(places) = batch.limits.of(key) {
                *keys.entry(key).or_default() += takes(work).as_secs_f64() / f64::from(places);
            }
        }
    }
    let all = work.iter().map(|work| takes(work).as_secs_f64()).sum::<f64>() / f64::from(batch.limits.total());
    keys.insert(super::limits::TOTAL, all);
    let most = keys.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(key, _)| key.to_owned());
    (now.as_secs_f64(), most)
}

impl Estimate {
    /// As text for people.
    pub fn text(&self) -> String {
        if self.measured == 0 {
            return "time    no VM of this batch is finished, so no rate was measured: migrate one with --only NAME\n"
                .to_owned();
        }
        let mut text = format!(
            "time    {} for {} VMs, at {} a second and {} beside, measured on {}",
            duration(self.seconds),
            self.open,
            bytes(self.bytes_per_second as u64),
            duration(self.seconds_beside),
            self.measured
        );
        if let Some(key) = &self.limited_by {
            let _ = write!(text, "; what limits it is {}", crate::events::escape(key));
        }
        if self.unknown > 0 {
            let _ = write!(text, "; the size of {} is not known", self.unknown);
        }
        text + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Limits;
    use super::super::list::Retries;
    use super::*;

    #[test]
    fn the_slowest_place_decides() {
        let mut limits = Limits::default();
        ["total=8", "host:a=1", "host:b=4"].iter().for_each(|text| limits.set(text.parse().unwrap()));
        let batch = Batch {
            label: String::new(),
            dir: Default::default(),
            limits,
            retries: Retries::default(),
            warnings: vec![],
            vms: vec![],
            defaults: None,
        };
        let work: Vec<Work> =
            (0..12).map(|n| Work { keys: vec![format!("host:{}", ["a", "b", "b"][n % 3])], bytes: 100 }).collect();
        let (seconds, key) = reckon(&batch, &work, Rates { bytes_per_second: 10.0, beside: 5.0 });
        // Four of 15 s, one after the other; the eight elsewhere go four at a time.
        assert_eq!((seconds.round(), key.as_deref()), (60.0, Some("host:a")));
    }
}
