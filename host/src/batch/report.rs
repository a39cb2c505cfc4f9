//! The reports of a batch: `batch.json`, `batch.md`, `batch.html`.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::record::State;
use super::rows::Batch;
use super::summary::{BatchEnd, Job};
use crate::events::{bytes, duration, escape};
use crate::journal::write_file;
use crate::report::{self, Cells, Markup};

/// Sorts the table by the column whose head is clicked.
const SORT: &str = include_str!("sort.js");

/// Writes all three, each in place of that of a former run.
pub(super) fn write(batch: &Batch, end: &BatchEnd) -> Result<()> {
    let mut json = serde_json::to_string_pretty(end)
        .map(|json| crate::events::safe_json(&json))
        .map_err(|error| PluginError::defect(format!("the report is no JSON: {error}")))?;
    json.push('\n');
    write_file(&batch.dir.join("batch.html"), html(end).as_bytes())?;
    write_file(&batch.dir.join("batch.md"), markdown(end).as_bytes())?;
    // Last: what programs wait for.
    write_file(&batch.dir.join("batch.json"), json.as_bytes())
}

/// The totals in one line.
pub(super) fn totals(end: &BatchEnd) -> String {
    let totals = &end.totals;
    let mut text = format!("{} of {} done", totals.done, totals.total);
    for (count, word) in [
        (totals.already_done, "of them before"),
        (totals.ready, "ready for cut-over"),
        (totals.failed, "failed"),
        (totals.skipped, "skipped"),
        (totals.waiting, "not started"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {word}");
        }
    }
    text
}

/// What is shown of a VM in both reports: seconds of its runs, what limited the last one, what went wrong.
struct Shown {
    seconds: f64,
    limited_by: String,
    message: String,
    link: Option<String>,
}

impl Shown {
    fn of(job: &Job) -> Self {
        let runs = job.attempts.iter().filter_map(|run| Some(run.finished? - run.started));
        let last = job.attempts.last();
        let link = (job.state == State::Done).then(|| {
            let path = format!("{}/report.html", job.output);
            // Below the batch's folder a link is relative, and the folder can be moved.
            crate::uri::escape(path.as_bytes())
        });
        Self {
            seconds: runs.sum(),
            limited_by: last.and_then(|run| run.limited_by.clone()).unwrap_or_default(),
            message: job.message(),
            link,
        }
    }

    fn state(job: &Job) -> String {
        match (job.state, job.exit_code) {
            (State::Done, _) if job.already_done => "done before".to_owned(),
            (State::Failed, Some(code)) => format!("failed ({code})"),
            (state, _) => state.as_str().to_owned(),
        }
    }
}

fn markdown(end: &BatchEnd) -> String {
    let cell =
        |text: &str| escape(text).replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('`', "'");
    let mut text = format!(
        "# Batch {}\n\n{}, exit code {}, in {}, from {}.\n\n",
        cell(&end.list),
        totals(end),
        end.exit_code,
        duration(end.seconds),
        end.started
    );
    for warning in &end.warnings {
        let _ = writeln!(text, "- {}", cell(warning));
    }
    text.push_str("\n| VM | state | runs | time | copied | limited by | message |\n|---|---|---|---|---|---|---|\n");
    for job in &end.jobs {
        let shown = Shown::of(job);
        let name = cell(&job.name);
        let name = shown.link.as_ref().map_or(name.clone(), |link| format!("[{name}]({link})"));
        let copied: u64 = job.attempts.iter().map(|run| run.bytes).sum();
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {} |",
            Shown::state(job),
            job.attempts.len(),
            duration(shown.seconds),
            bytes(copied),
            cell(&shown.limited_by),
            cell(&shown.message)
        );
    }
    text
}

fn html(end: &BatchEnd) -> String {
    let mut page = Markup::default();
    page.constant("<!doctype html>\n");
    page.tag("html", &[("lang", "en")], |page| {
        page.tag("head", &[], |head| {
            head.tag("meta", &[("charset", "utf-8")], |_| ());
            // The one script that may run is the one that this program wrote.
            let script = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, Sha256::digest(SORT.as_bytes()));
            let policy = format!("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{script}'");
            head.tag("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy)], |_| ());
            head.tag("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")], |_| ());
            head.leaf("title", &[], &format!("batch {}", end.list));
            head.tag("style", &[], |style| {
                style.constant(Markup::STYLE);
            });
        });
        page.tag("body", &[], |body| {
            body.tag("header", &[], |header| {
                let mood = if end.exit_code == 0 { "good" } else { "bad" };
                header.leaf("h1", &[], &end.list);
                header.leaf("span", &[("class", &format!("badge {mood}"))], &totals(end));
                let about = format!("{}, {}, exit code {}", end.started, duration(end.seconds), end.exit_code);
                header.leaf("p", &[("class", "about")], &about);
            });
            if !end.warnings.is_empty() {
                body.leaf("h2", &[], "Warnings");
                body.tag("ul", &[], |list| end.warnings.iter().for_each(|warning| _ = list.leaf("li", &[], warning)));
            }
            table(body, end);
            body.tag("script", &[], |script| {
                script.constant(SORT);
            });
        });
    });
    page.constant("\n");
    page.finish()
}

fn table(body: &mut Markup, end: &BatchEnd) {
    let runs = || end.jobs.iter().flat_map(|job| &job.attempts);
    let first = runs().map(|run| run.started).fold(f64::INFINITY, f64::min);
    let last = runs().filter_map(|run| run.finished).fold(first, f64::max);
    let percent = |moment: f64| ((moment - first) / (last - first).max(0.001) * 100.0).clamp(0.0, 99.6);
    body.leaf("h2", &[], "Virtual machines");
    let headings = ["VM", "State", "Runs", "Time", "Copied", "Limited by", "When it ran", "Message"];
    report::table(body, "vms", &headings, |rows| {
        end.jobs.iter().for_each(|job| rows.row(|row| cells(row, job, last, &percent)))
    });
}

/// A VM's row. `last` is when the last run ended; `percent` tells where a moment lies between the first and the last one.
fn cells(row: &mut Cells<'_>, job: &Job, last: f64, percent: &dyn Fn(f64) -> f64) {
    let shown = Shown::of(job);
    let copied: u64 = job.attempts.iter().map(|run| run.bytes).sum();
    let mood = match job.state {
        State::Done => "good",
        State::Failed | State::Lost => "bad",
        _ => "odd",
    };
    let number = |value: f64| format!("{value:.3}");
    row.cell(&[("class", "name")], |cell| match &shown.link {
        Some(link) => _ = cell.leaf("a", &[("href", link)], &job.name),
        None => _ = cell.text(&job.name),
    });
    row.text(mood, &Shown::state(job));
    let mut sorted =
        |by: &str, text: &str| _ = row.cell(&[("class", "number"), ("data-sort", by)], |cell| _ = cell.text(text));
    let runs = job.attempts.len().to_string();
    sorted(&runs, &runs);
    sorted(&number(shown.seconds), &duration(shown.seconds));
    sorted(&copied.to_string(), &bytes(copied));
    row.text("name", &shown.limited_by);
    let begin = job.attempts.first().map_or(f64::MAX, |run| run.started);
    row.cell(&[("class", "track"), ("data-sort", &number(begin))], |cell| {
        for run in &job.attempts {
            let (start, end) = (percent(run.started), percent(run.finished.unwrap_or(last)));
            let place = format!("margin-left:{start:.2}%;width:{:.2}%", (end - start).max(0.4));
            let mood = if run.exit_code == Some(0) { "good" } else { "bad" };
            cell.leaf("div", &[("class", &format!("bar {mood}")), ("style", &place)], "");
        }
    });
    row.text("name", &shown.message);
}

#[cfg(test)]
mod tests {
    use super::super::record::Attempt;
    use super::super::summary::{SCHEMA, Totals};
    use super::*;
    use crate::report::Tool;

    fn job(name: &str, state: State, code: Option<u8>) -> Job {
        let run = Attempt {
            started: 10.0,
            finished: Some(20.0),
            exit_code: code,
            limited_by: Some("host:a".into()),
            ..Attempt::default()
        };
        serde_json::from_value(serde_json::json!({
            "name": name, "source": "x", "output": name, "state": state, "exit_code": code, "keys": [], "attempts": [run],
            "warnings": [], "findings": [],
            "error": code.filter(|code| *code > 0).map(|code| serde_json::json!({"code": code, "kind": "x", "message": "a|b <i>`x`",
                "hint": null, "stage": null, "plugin": null}))
        }))
        .unwrap()
    }

    fn end() -> BatchEnd {
        let jobs = vec![job("web", State::Done, Some(0)), job("<b>", State::Failed, Some(65))];
        BatchEnd {
            schema: SCHEMA,
            tool: Tool::this(),
            list: "jobs.toml".into(),
            started: "s".into(),
            finished: "f".into(),
            seconds: 12.0,
            exit_code: 82,
            totals: Totals::of(&jobs),
            warnings: vec!["w".into()],
            jobs,
        }
    }

    #[test]
    fn both_readable_reports_show_each_vm_with_what_limited_it_and_link_its_report() {
        let (page, text) = (html(&end()), markdown(&end()));
        for shown in [
            "<a href=\"web/report.html\">web</a>",
            "&lt;b&gt;",
            "host:a",
            "failed (65)",
            "1 of 2 done, 1 failed",
            "data-sort=\"10.000\"",
        ] {
            assert!(page.contains(shown), "{shown}\n{page}");
        }
        assert!(!page.contains("<b>"));
        assert!(text.contains("| [web](web/report.html) | done | 1 | 10 s | 0 B | host:a |  |"), "{text}");
        assert!(text.contains("a\\|b &lt;i>'x'"), "{text}");
    }

    #[test]
    fn the_only_script_that_may_run_is_the_one_in_the_page() {
        let page = html(&end());
        let script = page.split("<script>").nth(1).unwrap().split("</script>").next().unwrap();
        let digest = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, Sha256::digest(script.as_bytes()));
        assert!(page.contains(&format!("script-src &#39;sha256-{digest}&#39;")), "{digest}");
    }
}
