//! The recipe of the image for a cluster (`examples/kubernetes`) against what it is for: the Job that runs it, and the plugins that it holds. Its steps are run by
//! `full/image.rs`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use vmdk2kvm_tests::run;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(name)).unwrap()
}

fn lines(text: &str, begin: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix(begin)).map(str::to_owned).collect()
}

#[test]
fn the_image_is_run_as_the_job_says_and_finds_its_appliance() {
    let recipe = read("examples/kubernetes/Containerfile");
    let job = read("tests/kubernetes-job/job.yaml");
    let number = |name: &str| job.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(lines(&recipe, "USER "), [format!("{}:{}", number("runAsUser:"), number("runAsGroup:"))]);
    assert_eq!(lines(&recipe, "ENTRYPOINT "), ["[\"vmdk2kvm\"]"]);
    let made = lines(&read("examples/kubernetes/steps"), "appliance=");
    assert_eq!(lines(&recipe, "ENV "), [format!("LIBGUESTFS_PATH={}", made[0])]);
}

#[test]
fn every_step_of_the_script_is_one_of_the_image_in_its_order() {
    let steps = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/kubernetes/steps");
    let usage = Command::new(steps).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    let usage = String::from_utf8(usage.stderr).unwrap();
    let known: Vec<&str> =
        usage.lines().map(|line| line.strip_prefix("steps ").unwrap().split(' ').next().unwrap()).collect();
    let recipe = read("examples/kubernetes/Containerfile");
    let run: Vec<&str> =
        recipe.split("/recipe/steps ").skip(1).map(|rest| rest.split_whitespace().next().unwrap()).collect();
    assert_eq!((run.len(), run), (3, known));
}

#[test]
fn the_image_has_every_package_that_a_stock_plugin_needs() {
    let listed: BTreeSet<String> =
        read("examples/kubernetes/packages").lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let plugins = run(&["plugin", "list"]).expect(0).json;
    let mut missing = BTreeSet::new();
    for plugin in plugins["plugins"].as_array().unwrap() {
        let shown = run(&["plugin", "show", plugin["name"].as_str().unwrap()]).expect(0).json;
        let needs = ["programs", "libraries"].map(|kind| shown[kind].as_array().unwrap().clone()).concat();
        let packages = needs.iter().filter_map(|need| need["packages"]["deb"].as_str());
        // Every Debian has these.
        missing.extend(packages.filter(|name| !name.is_empty() && *name != "coreutils").map(str::to_owned));
    }
    assert!(missing.len() > 3, "{missing:?}");
    missing.retain(|name| !listed.contains(name));
    assert!(missing.is_empty(), "{missing:?}");
}
