//! Amounts and events in words, for everything that people read.

use super::{Event, escape};
use vmdk2kvm_plugin_api::model::Severity;

/// Bytes in binary units with three digits: `0 B`, `1.50 GiB`, `884 MiB`.
pub fn bytes(amount: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if amount < 1024 {
        return format!("{amount} B");
    }
    let mut value = amount as f64 / 1024.0;
    let mut unit = 0;
    // What would be shown as 1000 or more goes one unit up.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Seconds in words: `0.4 s`, `12 s`, `2 min 5 s`, `3 h 20 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        _ if seconds < 9.95 => format!("{:.1} s", seconds.max(0.0)),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A task with its disk: `copy disk 1`. Disks are counted from one, as in the names of the images.
pub(super) fn task(name: &str, disk: Option<u32>) -> String {
    match disk {
        Some(disk) => format!("{} disk {}", escape(name), u64::from(disk) + 1),
        None => escape(name).into_owned(),
    }
}

/// One event as one line, control characters escaped; `None` for progress, which each reporter shows its own way, and
/// for the run's begin and end, about which the program itself speaks.
pub(super) fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::StageStarted { stage, plugin } => match plugin {
            Some(plugin) => format!("{stage:<8} {}", escape(plugin)),
            None => format!("{stage}"),
        },
        Event::StageFinished { stage, status, seconds, bytes: amount, .. } => {
            let amount = if *amount == 0 { String::new() } else { format!(", {}", bytes(*amount)) };
            format!("{stage:<8} {} in {}{amount}", status.as_str(), duration(*seconds))
        }
        Event::RoundFinished { round, changed_bytes, moved_bytes, seconds } => {
            let (changed, moved) = (bytes(*changed_bytes), bytes(*moved_bytes));
            format!("round {round}: {changed} changed, {moved} moved in {}", duration(*seconds))
        }
        Event::Finding(finding) => {
            let word = match finding.severity {
                Severity::Info => "note",
                Severity::Block => "blocked",
                _ => "warning",
            };
            let hint = if finding.hint.is_empty() { String::new() } else { format!(" ({})", escape(&finding.hint)) };
            format!("{word}: {}{hint} [{}]", escape(&finding.message), escape(&finding.code))
        }
        Event::Log { level, target, plugin, message } => {
            let from = plugin.as_deref().unwrap_or(target);
            format!("{}: {}: {}", level.as_str(), escape(from), escape(message))
        }
        Event::Warning { message } => format!("warning: {}", escape(message)),
        Event::Progress { .. } | Event::RunStarted { .. } | Event::RunFinished { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{LogLevel, Stage, StageStatus};

    #[test]
    fn amounts_have_three_digits() {
        for (amount, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (926_941_184, "884 MiB"),
            (1_610_612_736, "1.50 GiB"),
            (1_073_741_823, "1.00 GiB"),
            (10_737_418_240, "10.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(amount), shown);
        }
        for (seconds, shown) in [
            (0.04, "0.0 s"),
            (9.94, "9.9 s"),
            (9.96, "10 s"),
            (59.4, "59 s"),
            (59.6, "1 min 0 s"),
            (125.0, "2 min 5 s"),
            (12_000.0, "3 h 20 min"),
            (-1.0, "0.0 s"),
        ] {
            assert_eq!(duration(seconds), shown);
        }
    }

    #[test]
    fn events_read_as_lines() {
        let log = |message: &str| Event::Log {
            level: LogLevel::Info,
            target: "x::y".into(),
            plugin: Some("local".into()),
            message: message.into(),
        };
        let finished = Event::StageFinished {
            stage: Stage::Convert,
            plugin: None,
            status: StageStatus::Done,
            seconds: 3.04,
            bytes: 1 << 30,
            round: None,
        };
        assert_eq!(line(&finished).unwrap(), "CONVERT  done in 3.0 s, 1.00 GiB");
        let started = Event::StageStarted { stage: Stage::Fetch, plugin: Some("local".into()) };
        assert_eq!(line(&started).unwrap(), "FETCH    local");
        assert_eq!(line(&log("a\x1b]0;x")).unwrap(), "info: local: a\\x1b]0;x");
    }
}
