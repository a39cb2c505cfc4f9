//! Two machines on one shared folder whose locks are kept for each machine alone, as those of some network file systems are: the folder is mounted
//! twice, and a lock taken through one mount is not seen through the other. The journal's generation is all that keeps them apart.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::{Path, PathBuf};
use std::process::Command;

use vmdk2kvm_tests::{Many, contents};

/// A folder as another machine has it mounted.
struct Mount(PathBuf);

impl Mount {
    fn of(shared: &Path, at: PathBuf) -> Self {
        std::fs::create_dir(&at).unwrap();
        let options = "attr_timeout=0,entry_timeout=0,negative_timeout=0";
        let mounted = Command::new("bindfs").args(["-o", options]).args([shared, &at]).status();
        assert!(mounted.expect("bindfs (package bindfs)").success());
        Self(at)
    }

    /// `batch run` of the one VM, with its result in this mount.
    fn run(&self, many: &Many) -> Command {
        let mut command = many.room.command(&["batch", "run"]);
        command.arg(many.room.path("jobs.toml")).args(["--index", "0", "-o"]).arg(self.0.join("out"));
        command
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn of_two_writers_that_see_no_lock_of_each_other_one_commits() {
    for stage in ["flatten", "fix", "convert"] {
        let many = Many::new(1);
        many.list("[defaults]\nskip = [\"test\"]", &Many::plain(1));
        let shared = many.room.path("shared");
        std::fs::create_dir(&shared).unwrap();
        let (here, there) = (Mount::of(&shared, many.room.path("here")), Mount::of(&shared, many.room.path("there")));
        // Here it hears of nothing until the other has ended.
        let mut deaf = here.run(&many);
        deaf.env("SLOW_DEAF", "1");
        let first = if stage == "convert" {
            let mut running = many.room.stop_in(stage, deaf);
            // The stage says that it has come here before it starts its program.
            running.wait_until("its program", |run| run.process("sleep 1000000").is_some());
            running.stop("sleep 1000000");
            running
        } else {
            many.room.stop_in(stage, deaf)
        };
        let second = many.room.run(there.run(&many)).expect(0);
        assert_eq!(second.json["jobs"][0]["state"], "done");
        let result = |path: &str| contents(&shared.join("out").join(path));
        let made = result("vm0");
        assert!(made.contains_key("vm0-disk1.qcow2") && made.contains_key("report.json"), "{made:?}");
        if stage == "convert" {
            first.kill("sleep 1000000");
        }
        many.room.go();
        let late = first.end();
        // Of the last one it was its program that was ended, which is an I/O error.
        assert!(
            [73, 75].contains(&late.code) || (stage == "convert" && late.code == 74),
            "{stage}: {}\n{:#}",
            late.stderr,
            late.json
        );
        assert_eq!(result("vm0"), made, "the late one has changed nothing, stopped in {stage}");
        // And whoever comes next finds it done.
        let again = many.room.run(there.run(&many)).expect(0);
        assert_eq!(again.json["totals"]["already_done"], 1);
    }
}
