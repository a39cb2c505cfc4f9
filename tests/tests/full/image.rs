//! The image of `examples/kubernetes` without a container engine: its steps in a clean root, and a batch in there as the Job runs it, by a user without rights
//! who can write to its volumes alone, with the appliance that is built in.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use vmdk2kvm_tests::{binary, lab_files, outcome, private_folder};

/// A base system with the packages of the image, and the further steps in it. Words: the recipe, the base, the Debian packages, the root to be.
const BUILD: &str = r#"
set -eu
tar --zstd -xf "$2" -C "$4"
mkdir "$4/recipe" "$4/debs" "$4/batch" "$4/output"
cp "$1/packages" "$1/steps" "$4/recipe/"
cp "$3"/*.deb "$4/debs/"
mount -t proc proc "$4/proc"
chroot "$4" /recipe/steps appliance
chroot "$4" /recipe/steps program /debs
"#;

/// The Job's container. Words: the root, the folder of the batch, that of its results, and the program's.
const RUN: &str = r#"
set -eu
root=$1 batch=$2 output=$3
shift 3
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
mkdir "$root/dev/shm"
for device in null zero full random urandom; do : >"$root/dev/$device" && mount --bind "/dev/$device" "$root/dev/$device"; done
for scratch in tmp var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$root/$scratch"; done
mount --bind "$batch" "$root/batch"
mount --bind "$output" "$root/output"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/var/tmp LIBGUESTFS_PATH=/usr/lib/vmdk2kvm/appliance \
    chroot "$root" setpriv --reuid=1000 --regid=1000 --clear-groups --no-new-privs --bounding-set=-all "$@"
"#;

/// A shell in namespaces of its own: what it mounts goes with it.
fn apart(script: &str) -> Command {
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--pid", "--fork", "sh", "-c", script, "sh"]);
    shell
}

#[track_caller]
fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{}{said}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_steps_make_a_root_in_which_a_job_without_rights_migrates() {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let recipe = tree.join("examples/kubernetes");
    let packages = std::fs::read_to_string(recipe.join("packages")).unwrap();
    let packages = packages.lines().filter(|line| !line.starts_with('#'));
    let base = done(Command::new(tree.join("tests/lab/clean-root")).args(packages));
    let (debs, root) = (private_folder(), private_folder());
    let mut make = Command::new(tree.join("host/packaging/packages"));
    make.arg("deb").arg(debs.path()).env("BUILD", binary().parent().unwrap());
    done(make.envs([("DPKG_DEB_COMPRESSOR_TYPE", "gzip"), ("DPKG_DEB_COMPRESSOR_LEVEL", "1")]));
    // What authors build against is large, and no part of a run.
    let is_dev = |path: &Path| path.to_str().unwrap().contains("plugin-dev_");
    let made = std::fs::read_dir(debs.path()).unwrap().map(|entry| entry.unwrap().path());
    made.filter(|path| is_dev(path)).for_each(|path| std::fs::remove_file(path).unwrap());
    done(apart(BUILD).args([&recipe, Path::new(base.trim()), debs.path(), root.path()]));

    let guest = lab_files("bookworm-bios");
    let (batch, output) = (private_folder(), private_folder());
    done(Command::new("cp").arg("-r").arg(guest.folder.join("sparse")).arg(batch.path().join("web")));
    let list = "[defaults]\nskip = [\"test\"]\ninspect.reader = \"appliance\"\n[[vm]]\nsource = \"web/bookworm-bios.vmx\"\nname = \"web\"\n";
    std::fs::write(batch.path().join("jobs.toml"), list).unwrap();
    done(Command::new("chown").args(["-R", "1000:1000"]).args([batch.path(), output.path()]));
    let mut job = apart(RUN);
    job.args([root.path(), batch.path(), output.path()]);
    job.args(["vmdk2kvm", "--json", "batch", "run", "/batch/jobs.toml", "-o", "/output", "--index", "0"]);
    let ended = outcome(&job.output().unwrap()).expect(0);
    assert_eq!(ended.json["totals"]["done"], 1);
    let report = std::fs::read(output.path().join("web/report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let opened = report["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "inspect").unwrap();
    assert!(opened["plugin"].as_str().unwrap().starts_with("guestfs"), "{opened}");
    assert_eq!(report["converged"], true);
    assert!(report["changes"].as_array().unwrap().len() > 5);
}
