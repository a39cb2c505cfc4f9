//! report.md: the same for mail, tickets and terminals.

use super::Report;
use super::pace::{pace, rate};
use super::summary::{machine, marks, outcome, phases, rounds, severity, ways};
use crate::events::{bytes, duration, escape, escape_lines};
use crate::machine::compare;

/// The document.
pub(super) fn markdown(report: &Report) -> String {
    let mut text = format!("# {}: {}\n\n", plain(&report.vm.name), outcome(report).1);
    text.push_str(&format!(
        "{} of {}, {}, {}, by {} {}\n\n",
        plain(&report.command),
        code(&report.source.uri),
        report.started,
        duration(report.seconds),
        report.tool.name,
        report.tool.version
    ));
    if let Some(error) = &report.error {
        let plugin = error.plugin.as_deref().map(|plugin| format!(" ({})", plain(plugin))).unwrap_or_default();
        text.push_str(&format!("**Error{plugin}: {}**\n\n", plain(&error.message)));
        if let Some(hint) = &error.hint {
            text.push_str(&format!("{}\n\n", plain(hint)));
        }
    }
    for (label, value, _) in marks(report) {
        text.push_str(&format!("- {label}: {}\n", plain(&value)));
    }
    table(
        &mut text,
        "Stages",
        &["Stage", "Plugin", "Status", "Time", "Bytes", "Rate"],
        report.stages.iter().map(|stage| {
            let amount = if stage.bytes == 0 { String::new() } else { bytes(stage.bytes) };
            let plugin = plain(stage.plugin.as_deref().unwrap_or("host"));
            let (status, rate) = (stage.status.as_str().into(), rate(stage).unwrap_or_default());
            vec![stage.name.to_string(), plugin, status, duration(stage.seconds), amount, rate]
        }),
    );
    if let Some(pace) = pace(report) {
        text.push_str(&format!("\n{pace}\n"));
    }
    for stage in report.stages.iter().filter(|stage| !stage.phases.is_empty()) {
        text.push_str(&format!("\n{}: {}\n", stage.name, plain(&phases(&stage.phases))));
    }
    if let Some(test) = &report.test {
        text.push_str(&format!("\n## Boot test\n\n{}, {}\n\n", plain(&test.plugin), duration(test.verdict.seconds)));
        for evidence in &test.verdict.evidence {
            let file = evidence.file.as_deref().map(|file| format!(" ({})", code(file))).unwrap_or_default();
            text.push_str(&format!("- {}: {}{file}\n", plain(&evidence.kind), plain(&evidence.detail)));
        }
    }
    if !report.warnings.is_empty() {
        text.push_str("\n## Warnings\n\n");
        for warning in &report.warnings {
            text.push_str(&format!("- {}\n", plain(warning)));
        }
    }
    if !report.findings.is_empty() {
        text.push_str("\n## Findings in the guest before it was fixed\n\n");
        for finding in &report.findings {
            let hint = if finding.hint.is_empty() { String::new() } else { format!(" ({})", plain(&finding.hint)) };
            let word = severity(finding.severity).0;
            text.push_str(&format!("- {word}: {}{hint} {}\n", plain(&finding.message), code(&finding.code)));
        }
    }
    table(
        &mut text,
        "Rounds",
        &["Round", "Changed", "Moved", "Time", "Copied in full"],
        rounds(report).into_iter().map(|row| row.iter().map(|cell| plain(cell)).collect()),
    );
    if !report.changes.is_empty() {
        text.push_str("\n## Changes\n");
    }
    for record in &report.changes {
        let change = &record.change;
        text.push_str(&format!("\n### {} ({})\n\n", code(&change.target), record.status.as_str()));
        let (summary, reason, fixer) = (plain(&change.summary), plain(&change.reason), plain(&change.fixer));
        text.push_str(&format!("{summary}, because {reason} ({} by {fixer})\n", change.action.kind()));
        if !record.detail.is_empty() {
            text.push_str(&block("", &record.detail));
        }
        if let Some(diff) = &change.diff {
            text.push_str(&block("diff", diff));
        }
    }
    table(
        &mut text,
        "Images",
        &["File", "Format", "Stored", "Size", "SHA-256 of the file"],
        report.images.iter().map(|image| {
            let digest = image.sha256.as_deref().map(code).unwrap_or_default();
            vec![code(&image.path), image.format.clone(), bytes(image.bytes), bytes(image.virtual_size), digest]
        }),
    );
    table(
        &mut text,
        "Source",
        &["Disk", "Before", "After"],
        report.source.disks.iter().map(|disk| {
            vec![code(&disk.name), code(&disk.before), disk.after.as_deref().map(code).unwrap_or_default()]
        }),
    );
    table(
        &mut text,
        "How the bytes came",
        &["Disk", "Way", "Why no better one"],
        ways(report).into_iter().map(|[disk, way, refused]| vec![code(&disk), plain(&way), plain(&refused)]),
    );
    if let Some(new) = &report.machine {
        table(
            &mut text,
            "New machine",
            &["Part", "Old", "New", ""],
            compare(&report.vm, new).into_iter().map(|part| {
                let word = if part.changed { "changed" } else { "" };
                vec![part.label.clone(), plain(&part.old), plain(&part.new), word.to_owned()]
            }),
        );
        text.push('\n');
        for target in &report.targets {
            let files: Vec<String> = target.files.iter().map(|file| code(file)).collect();
            text.push_str(&format!("- {}: {} ({})\n", plain(&target.name), files.join(", "), plain(&target.plugin)));
        }
    }
    if report.machine.is_none() {
        text.push_str("\n## Machine\n\n");
        for (label, value) in machine(&report.vm) {
            text.push_str(&format!("- {label}: {}\n", plain(&value)));
        }
    }
    text
}

fn table(text: &mut String, title: &str, headings: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    text.push_str(&format!("\n## {title}\n\n| {} |\n|{}\n", headings.join(" | "), "---|".repeat(headings.len())));
    for row in rows {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
}

/// Text that Markdown takes for text.
fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in escape(text).chars() {
        if "\\`*_{}[]<>#|~&".contains(letter) {
            safe.push('\\');
        }
        safe.push(letter);
    }
    safe
}

/// Text in a code span; what would end the span or a table's cell is replaced.
fn code(text: &str) -> String {
    format!("`{}`", escape(text).replace('`', "'").replace('|', "¦"))
}

/// Lines in a code block whose fence is longer than any inside.
fn block(language: &str, text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("\n{fence}{language}\n{}\n{fence}\n", escape_lines(text.trim_end_matches('\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(plain("<b>[a](b) | *x*\n"), "\\<b\\>\\[a\\](b) \\| \\*x\\*\\\\n");
        assert_eq!(code("a`|b"), "`a'¦b`");
        assert_eq!(block("diff", "+```\n+x\x1b\n"), "\n````diff\n+```\n+x\\x1b\n````\n");
    }
}
