//! The hostile corpus: files made by code, given to the whole program, each with the exit code and the sentence it must be answered with, and a hint.
//!
//! Whatever the file: no file under a final name, nothing read of what lies outside of the source's folder, an end in time, bounded memory.
//! The files of a format come from that plugin's own tests; what is here beside them is what only the whole program can show.
//!
//! Requires qemu-img and qemu-io (Debian: qemu-utils), zip (zip), gzip, xz (xz-utils), timeout (coreutils), and prlimit (util-linux).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod case;
mod disks;
mod hints;
mod machines;
mod made_by;
mod names;
mod packages;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use case::Case;

/// The fewest files that the corpus may have.
const FEWEST: usize = 150;

#[test]
fn every_hostile_file_is_answered_with_its_sentence() {
    let cases: Vec<Case> = [disks::all(), packages::all(), machines::all(), names::all()].concat();
    let total = cases.len();
    let mut formats = BTreeMap::<_, usize>::new();
    for case in &cases {
        *formats.entry(case.format).or_default() += 1;
    }
    let (cases, wrong, by_inventory) = (Mutex::new(cases.into_iter()), Mutex::new(Vec::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = cases.lock().unwrap().next();
                    let Some(case) = next else { return };
                    match case.check() {
                        Ok(seen) => _ = by_inventory.fetch_add(usize::from(seen), Ordering::Relaxed),
                        Err(complaint) => wrong.lock().unwrap().push(complaint),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {total}:\n{}", wrong.len(), wrong.join("\n"));
    for (format, count) in formats {
        println!("{format:16} {count:4} files refused");
    }
    println!("{total} files refused by flatten, {} of them by inventory", by_inventory.into_inner());
    assert!(total >= FEWEST, "{total} files");
}
