//! What a run left behind, in a few lines; the whole is in the report's own files.

use std::path::Path;

use crate::events::{bytes, duration, escape};
use crate::report::Report;

/// The result of a command that leaves images in `dir`.
pub fn report(report: &Report, dir: &Path) -> String {
    let mut text = String::new();
    if let Some(warm) = &report.warm {
        for round in &warm.rounds {
            let (number, changed, moved) = (round.round, bytes(round.changed_bytes), bytes(round.moved_bytes));
            text.push_str(&format!(
                "round {number:<2} {changed} changed, {moved} moved in {}\n",
                duration(round.seconds)
            ));
        }
        if let Some(next) = &warm.next {
            text.push_str(&format!("next     {}\n", escape(next)));
        }
    }
    for image in &report.images {
        let path = escape(&dir.join(&image.path).to_string_lossy()).into_owned();
        text.push_str(&format!(
            "image    {path} ({}, {} of {})\n",
            image.format,
            bytes(image.bytes),
            bytes(image.virtual_size)
        ));
    }
    if !report.changes.is_empty() {
        let converged = match report.converged {
            Some(true) => ", nothing is left to do",
            Some(false) => "; not settled: after the fixes, more would still change",
            None => "",
        };
        text.push_str(&format!("changes  {}{converged}\n", report.changes.len()));
    }
    if let Some(test) = &report.test {
        let verdict = format!("{:?}", test.verdict.verdict).to_lowercase();
        text.push_str(&format!(
            "boot     {verdict}: {} after {}\n",
            escape(&test.verdict.reason),
            duration(test.verdict.seconds)
        ));
    }
    for target in &report.targets {
        if let Some(file) = target.files.first() {
            let path = dir.join(file);
            text.push_str(&format!("{:<8} {}\n", escape(&target.name), escape(&path.to_string_lossy())));
        }
    }
    if dir.join("report.html").is_file() && !report.images.is_empty() {
        text.push_str(&format!("report   {}\n", escape(&dir.join("report.html").to_string_lossy())));
    }
    text
}
