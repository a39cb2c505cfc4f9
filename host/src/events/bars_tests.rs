//! Draws on a terminal that only keeps what was written.

use super::*;
use crate::events::StageStatus;
use crate::events::beside::tests::copied;
use crate::events::paper::Paper;

#[test]
fn every_task_has_a_bar_and_the_end_leaves_only_lines() {
    let paper = Paper::default();
    let mut bars = Bars::on(ProgressDrawTarget::term_like_with_hz(Box::new(paper.clone()), 255), false);
    let progress = |disk, done_bytes, total_bytes| Event::Progress {
        stage: Stage::Convert,
        task: "copy\x1b[2J".into(),
        disk,
        done_bytes,
        total_bytes,
    };
    bars.event(&Event::StageStarted { stage: Stage::Convert, plugin: Some("qemu-img".into()) });
    let step = "check".to_owned();
    bars.event(&Event::Progress { stage: Stage::Convert, task: step, disk: None, done_bytes: 0, total_bytes: 0 });
    bars.event(&progress(Some(0), 1 << 20, 4 << 20));
    bars.event(&progress(Some(1), 1 << 20, 4 << 20));
    bars.event(&progress(None, 1 << 20, 0));
    assert_eq!((bars.stages.len(), bars.tasks.len()), (1, 3));
    bars.event(&Event::StageFinished {
        stage: Stage::Convert,
        plugin: None,
        status: StageStatus::Done,
        seconds: 1.0,
        bytes: 4 << 20,
        round: None,
    });
    assert_eq!((bars.stages.len(), bars.tasks.len()), (0, 0));
    drop(bars);
    let text = paper.0.lock().unwrap().clone();
    assert!(text.contains("CONVERT  qemu-img: check"), "{text}");
    assert!(text.contains("CONVERT  copy\\x1b[2J disk 1"), "{text}");
    assert!(text.contains("1.00 MiB of 4.00 MiB"), "{text}");
    assert!(text.contains("CONVERT  done in 1.0 s, 4.00 MiB"), "{text}");
}

#[test]
fn a_full_bar_says_what_it_waits_for_and_stands_below_its_stage() {
    let paper = Paper::default();
    let mut bars = Bars::on(ProgressDrawTarget::term_like_with_hz(Box::new(paper.clone()), 255), false);
    let started = |stage| Event::StageStarted { stage, plugin: Some("lab".into()) };
    bars.event(&started(Stage::Flatten));
    bars.event(&copied(0, 4 << 20));
    bars.event(&copied(1, 1 << 20));
    assert_eq!(bars.tasks[&(Stage::Flatten, "copy".to_owned(), Some(0))].message(), "done");
    bars.event(&started(Stage::Inspect));
    bars.event(&copied(1, 4 << 20));
    for bar in bars.tasks.values() {
        assert_eq!(bar.message(), "done; waiting for the guest's fixes");
        bar.tick();
    }
    // Before the end clears it.
    let text = paper.0.lock().unwrap().clone();
    let place = |words: &str| text.rfind(words).unwrap_or_else(|| panic!("{words}: {text}"));
    let stage = place("INSPECT  lab, beside FLATTEN");
    assert!(place("copy disk 1") < stage && place("copy disk 2") < stage, "{text}");
}
