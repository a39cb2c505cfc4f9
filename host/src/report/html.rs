//! report.html: one file that needs nothing else, readable by day and by night.

use base64::prelude::{BASE64_STANDARD, Engine};

use super::markup::Markup;
use super::pace::{pace, rate};
use super::summary::{change_mood, machine, marks, outcome, phases, severity, stage_mood};
use super::{ChangeRecord, ImageRecord, Report, table};
use crate::events::{bytes, duration};
use crate::machine::compare;

/// The page; `screenshot` is a PNG of the guest's screen.
pub(super) fn html(report: &Report, screenshot: Option<&[u8]>) -> String {
    let mut page = Markup::default();
    page.constant("<!doctype html>\n");
    page.tag("html", &[("lang", "en")], |page| {
        page.tag("head", &[], |head| {
            head.tag("meta", &[("charset", "utf-8")], |_| ());
            // Belt and braces: even if something slipped through, nothing would run or be fetched.
            let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
            head.tag("meta", &[("http-equiv", "Content-Security-Policy"), ("content", policy)], |_| ());
            head.tag("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")], |_| ());
            head.leaf("title", &[], &format!("{}: migration report", report.vm.name));
            head.tag("style", &[], |style| {
                style.constant(Markup::STYLE);
            });
        });
        page.tag("body", &[], |body| {
            head(body, report);
            stages(body, report);
            rounds(body, report);
            boot(body, report, screenshot);
            notes(body, report);
            machines(body, report);
            changes(body, &report.changes);
            images(body, &report.images);
            ways(body, report);
            source(body, report);
        });
    });
    page.constant("\n");
    page.finish()
}

fn head(body: &mut Markup, report: &Report) {
    let (mood, words) = outcome(report);
    body.tag("header", &[], |header| {
        header.leaf("h1", &[], &report.vm.name);
        header.leaf("span", &[("class", &format!("badge {}", mood.class()))], &words);
        let about = format!(
            "{} of {}, {}, {}, by {} {}",
            report.command,
            report.source.uri,
            report.started,
            duration(report.seconds),
            report.tool.name,
            report.tool.version
        );
        header.leaf("p", &[("class", "about")], &about);
    });
    if let Some(error) = &report.error {
        body.tag("div", &[("class", "error")], |area| {
            let place: Vec<String> =
                error.stage.map(|stage| stage.to_string()).into_iter().chain(error.plugin.clone()).collect();
            if !place.is_empty() {
                area.leaf("p", &[("class", "about")], &place.join(", "));
            }
            area.leaf("p", &[], &error.message);
            if let Some(hint) = &error.hint {
                area.leaf("p", &[], hint);
            }
        });
    }
    body.tag("div", &[("class", "marks")], |area| {
        for (label, text, mood) in marks(report) {
            area.tag("div", &[("class", &format!("mark {}", mood.class()))], |mark| {
                mark.leaf("span", &[("class", "label")], label).leaf("span", &[], &text);
            });
        }
    });
}

/// Stages overlap, so each bar begins where its stage began.
fn stages(body: &mut Markup, report: &Report) {
    if report.stages.is_empty() {
        return;
    }
    let last = report.stages.iter().map(|stage| stage.started_seconds + stage.seconds).fold(report.seconds, f64::max);
    let percent = |seconds: f64| (seconds / last.max(0.001) * 100.0).clamp(0.0, 100.0);
    body.leaf("h2", &[], "Stages");
    if let Some(pace) = pace(report) {
        body.leaf("p", &[], &pace);
    }
    table(body, "", &["Stage", "Plugin", "Status", "Time", "When", "Bytes", "Rate"], |rows| {
        for stage in &report.stages {
            let (start, width) = (percent(stage.started_seconds), percent(stage.seconds).max(0.4));
            let place = format!("margin-left:{:.2}%;width:{:.2}%", start.min(99.6), width.min(100.0 - start.min(99.6)));
            let mood = stage_mood(stage.status).class();
            rows.row(|row| {
                row.text("", &stage.name.to_string()).text("", stage.plugin.as_deref().unwrap_or("host"));
                row.text(mood, stage.status.as_str()).text("number", &duration(stage.seconds));
                row.cell(&[("class", "track")], |cell| {
                    cell.leaf("div", &[("class", &format!("bar {mood}")), ("style", &place)], "");
                    if !stage.phases.is_empty() {
                        cell.leaf("div", &[("class", "phases")], &phases(&stage.phases));
                    }
                });
                row.text("number", &if stage.bytes == 0 { String::new() } else { bytes(stage.bytes) });
                row.text("number", &rate(stage).unwrap_or_default());
            });
        }
    });
}

fn rounds(body: &mut Markup, report: &Report) {
    let rounds = super::summary::rounds(report);
    if rounds.is_empty() {
        return;
    }
    body.leaf("h2", &[], "Rounds");
    table(body, "", &["Round", "Changed", "Moved", "Time", "Copied in full"], |rows| {
        rounds.iter().for_each(|round| rows.row(|row| round.iter().for_each(|cell| _ = row.text("", cell))));
    });
}

fn boot(body: &mut Markup, report: &Report, screenshot: Option<&[u8]>) {
    let Some(test) = &report.test else { return };
    body.leaf("h2", &[], "Boot test");
    let plugin = format!("{}, {}", test.plugin, duration(test.verdict.seconds));
    body.leaf("p", &[("class", "about")], &plugin);
    body.tag("ul", &[], |list| {
        for evidence in &test.verdict.evidence {
            list.tag("li", &[], |item| {
                item.leaf("b", &[], &evidence.kind).text(": ").text(&evidence.detail);
            });
        }
    });
    if let Some(png) = screenshot {
        let data = format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png));
        body.tag("img", &[("class", "screen"), ("alt", "the guest's screen"), ("src", &data)], |_| ());
    }
}

fn notes(body: &mut Markup, report: &Report) {
    if !report.warnings.is_empty() {
        body.leaf("h2", &[], "Warnings");
        body.tag("ul", &[], |list| {
            for warning in &report.warnings {
                list.leaf("li", &[], warning);
            }
        });
    }
    if report.findings.is_empty() {
        return;
    }
    body.leaf("h2", &[], "Findings in the guest before it was fixed");
    body.tag("ul", &[], |list| {
        for finding in &report.findings {
            let (word, mood) = severity(finding.severity);
            list.tag("li", &[], |item| {
                item.leaf("b", &[("class", mood.class())], word).text(": ").text(&finding.message).text(" ");
                item.leaf("code", &[], &finding.code);
                if !finding.hint.is_empty() {
                    item.tag("br", &[], |_| ()).text(&finding.hint);
                }
            });
        }
    });
}

fn changes(body: &mut Markup, changes: &[ChangeRecord]) {
    if changes.is_empty() {
        return;
    }
    body.leaf("h2", &[], "Changes");
    for record in changes {
        let change = &record.change;
        body.tag("details", &[("open", "")], |details| {
            details.tag("summary", &[], |line| {
                let class = format!("badge small {}", change_mood(record.status).class());
                line.leaf("span", &[("class", &class)], record.status.as_str()).text(" ");
                line.leaf("code", &[], &change.target).text(" ").text(&change.summary);
            });
            let kind = if change.critical { "critical" } else { "not critical" };
            let about = format!("{} by {}, {kind}: {}", change.action.kind(), change.fixer, change.reason);
            details.leaf("p", &[("class", "about")], &about);
            if !record.detail.is_empty() {
                details.leaf("pre", &[], &record.detail);
            }
            if let Some(diff) = &change.diff {
                details.tag("pre", &[("class", "diff")], |pre| diff.lines().for_each(|line| diff_line(pre, line)));
            }
        });
    }
}

fn diff_line(pre: &mut Markup, line: &str) {
    let class = match line.as_bytes().first() {
        _ if line.starts_with("+++") || line.starts_with("---") => "file",
        Some(b'+') => "plus",
        Some(b'-') => "minus",
        Some(b'@') => "hunk",
        _ => "same",
    };
    pre.leaf("span", &[("class", class)], line).text("\n");
}

fn images(body: &mut Markup, images: &[ImageRecord]) {
    if images.is_empty() {
        return;
    }
    body.leaf("h2", &[], "Images");
    table(body, "", &["File", "Format", "Stored", "Size", "SHA-256 of the file", "SHA-256 of the content"], |rows| {
        for image in images {
            rows.row(|row| {
                row.text("name", &image.path).text("", &image.format);
                row.text("number", &bytes(image.bytes)).text("number", &bytes(image.virtual_size));
                row.text("digest", image.sha256.as_deref().unwrap_or("-"));
                row.text("digest", image.content_sha256.as_deref().unwrap_or("-"));
            });
        }
    });
}

fn source(body: &mut Markup, report: &Report) {
    if report.source.disks.is_empty() {
        return;
    }
    body.leaf("h2", &[], "Source");
    table(body, "", &["Disk", "Chain", "Files", "Before", "After"], |rows| {
        for (index, disk) in report.source.disks.iter().enumerate() {
            let links = report.chain.get(index).map(|chain| &chain.links[..]).unwrap_or_default();
            let formats: Vec<&str> = links.iter().map(|link| link.format.as_str()).collect();
            rows.row(|row| {
                row.text("name", &disk.name).text("name", &formats.join(" on "));
                row.text("files", &disk.files.join("\n"));
                row.text("digest", &disk.before).text("digest", disk.after.as_deref().unwrap_or("-"));
            });
        }
    });
}

/// The new machine beside the old one; the old one alone where there is no other.
fn machines(body: &mut Markup, report: &Report) {
    let Some(new) = &report.machine else { return facts(body, "Machine", &machine(&report.vm)) };
    body.leaf("h2", &[], "New machine");
    table(body, "", &["Part", "Old", "New", ""], |rows| {
        for part in compare(&report.vm, new) {
            let (class, word) = if part.changed { ("name changed", "changed") } else { ("name", "") };
            rows.row(|row| {
                row.text("", &part.label).text("name", &part.old).text(class, &part.new).text("about", word);
            });
        }
    });
    targets(body, report);
}

fn targets(body: &mut Markup, report: &Report) {
    body.tag("ul", &[], |list| {
        for target in &report.targets {
            list.tag("li", &[], |item| {
                item.leaf("b", &[], &target.name).text(": ").text(&target.files.join(", "));
                item.text(&format!(" ({})", target.plugin));
            });
        }
    });
}

fn ways(body: &mut Markup, report: &Report) {
    let ways = super::summary::ways(report);
    if ways.is_empty() {
        return;
    }
    body.leaf("h2", &[], "How the bytes came");
    table(body, "", &["Disk", "Way", "Why no better one"], |rows| {
        ways.iter().for_each(|way| rows.row(|row| way.iter().for_each(|cell| _ = row.text("name", cell))));
    });
}

fn facts(body: &mut Markup, title: &str, facts: &[(&str, String)]) {
    body.leaf("h2", &[], title);
    body.tag("dl", &[], |list| {
        for (label, value) in facts {
            list.leaf("dt", &[], label).leaf("dd", &[], value);
        }
    });
}
