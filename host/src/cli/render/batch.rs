//! `batch`: what became of many VMs, how far they are, what was written for a cluster.

use super::findings::findings;
use super::table::{Table, heading};
use crate::batch::{BatchEnd, Estimate, Exported, State, Status, Totals};
use crate::events::{bytes, duration, escape};

/// The end of a batch: its totals, and whatever has no result. After a plan, every finding.
pub fn batch(end: &BatchEnd, estimate: Option<&Estimate>) -> String {
    let mut text = String::new();
    let mut table = Table::new(&["VM", "STATE", "CODE", "STAGE", "MESSAGE"]);
    for job in end.jobs.iter().filter(|job| job.state != State::Done) {
        let stage = job.error.as_ref().and_then(|error| error.stage).map(|stage| stage.to_string());
        let code = job.exit_code.map(|code| code.to_string()).unwrap_or_default();
        table.row([job.name.clone(), job.state.as_str().to_owned(), code, stage.unwrap_or_default(), job.message()]);
    }
    text.push_str(&table.render(""));
    if let Some(estimate) = estimate {
        for job in end.jobs.iter().filter(|job| !job.findings.is_empty()) {
            text.push_str(&heading(&escape(&job.name)));
            text.push_str(&findings(&job.findings));
        }
        text.push_str(&format!("\nplanned  {}\n{}", count(&end.totals), estimate.text()));
    } else {
        text.push_str(&format!("batch    {} in {}\n", count(&end.totals), duration(end.seconds)));
    }
    text
}

/// How far a batch is.
pub fn batch_status(status: &Status) -> String {
    let mut table = Table::new(&["VM", "STATE", "CODE", "STAGE", "COPIED", "SILENT", "MESSAGE"]);
    for job in &status.jobs {
        let copied = match (job.done_bytes, job.total_bytes) {
            (0, 0) => String::new(),
            (done, total) => format!("{} of {}", bytes(done), bytes(total)),
        };
        table.row([
            job.name.clone(),
            job.state.as_str().to_owned(),
            job.exit_code.map(|code| code.to_string()).unwrap_or_default(),
            job.stage.map(|stage| stage.to_string()).unwrap_or_default(),
            copied,
            job.silent_seconds.map(duration).unwrap_or_default(),
            job.message(),
        ]);
    }
    table.render("") + &format!("\n{}\n", count(&status.totals))
}

/// `7 of 12 done (2 before), 1 running, 3 failed`.
fn count(totals: &Totals) -> String {
    let mut text = format!("{} of {} done", totals.done, totals.total);
    if totals.already_done > 0 && totals.already_done < totals.done {
        text.push_str(&format!(" ({} before)", totals.already_done));
    }
    for (number, word) in [
        (totals.ready, "ready for cut-over"),
        (totals.running, "running"),
        (totals.lost, "lost"),
        (totals.waiting, "waiting"),
        (totals.failed, "failed"),
        (totals.skipped, "skipped"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {number} {word}"));
        }
    }
    text
}

/// What was written for a cluster.
pub fn exported(exported: &Exported) -> String {
    let mut text: String =
        exported.files.iter().map(|file| format!("{}\n", escape(&file.display().to_string()))).collect();
    if !exported.administrator.is_empty() {
        text.push_str("\nan administrator sets:\n");
        exported.administrator.iter().for_each(|line| text.push_str(&format!("    {}\n", escape(line))));
    }
    text + &format!("\nto start it: {}\n", escape(&exported.command))
}
