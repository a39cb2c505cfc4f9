//! What `batch export` writes: every field that decides how a cluster treats a VM, words that a shell takes as they were given, and nothing secret.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::Many;

const HEAD: &str = "[limits]\ntotal = 3\n\"host:a\" = 2\n\"host:b\" = 1";

fn keyed(count: usize) -> Vec<(String, String)> {
    (0..count).map(|index| (format!("vm{index}"), format!("keys = [\"host:{}\"]", ["a", "b"][index % 2]))).collect()
}

fn export(many: &Many, cluster: &str, more: &[&str]) -> vmdk2kvm_tests::Outcome {
    let to = many.room.path("it's here");
    let mut words = vec!["--to", to.to_str().unwrap()];
    words.extend(more);
    many.room.run(many.command(&["export", cluster], &words))
}

fn read(many: &Many, name: &str) -> String {
    fs::read_to_string(many.room.path("it's here").join(name)).unwrap()
}

/// The documents of a manifest, as Python's own reader of YAML has them.
fn documents(many: &Many) -> Vec<Value> {
    let program = "import json,sys,yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let output =
        Command::new("python3").args(["-c", program]).arg(many.room.path("it's here/job.yaml")).output().unwrap();
    assert!(output.status.success(), "python3-yaml: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn slurm_gets_an_array_for_each_set_of_keys() {
    let many = Many::new(3);
    many.list(HEAD, &keyed(3));
    let exported = export(&many, "slurm", &["--set", "machine.networks.\"VM's\"=lan"]).expect(0);
    assert_eq!(exported.json["administrator"], json!(["RequeueExit=75", "Licenses=host-a:2,host-b:1"]));
    let script = read(&many, "array-1.sh");
    for line in [
        "#SBATCH --licenses=host-a:1",
        "#SBATCH --array=0-1%2",
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        "#SBATCH --signal=B:TERM@120",
        "rows=(0 2)",
    ] {
        assert!(script.lines().any(|seen| seen == line), "{line}\n{script}");
    }
    assert!(read(&many, "array-2.sh").contains("rows=(1)"));
    assert!(read(&many, "submit.sh").ends_with("sbatch array-1.sh\nsbatch array-2.sh\n"));
    // What a shell makes of it: a stand-in for the program, which says what it was given.
    let path = many.room.path("it's here/array-1.sh");
    let said =
        Command::new("bash").arg(path).env("VMDK2KVM", "printf").env("SLURM_ARRAY_TASK_ID", "1").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "batch", "printf takes the first word as its format");
    let script = script.replace("exec \"${VMDK2KVM:-vmdk2kvm}\"", "printf '%s\\n'");
    let said = Command::new("bash").args(["-c", &script]).env("SLURM_ARRAY_TASK_ID", "1").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let words: Vec<&str> = said.lines().collect();
    let list = many.room.path("jobs.toml");
    assert_eq!(words[..3], ["batch", "run", list.to_str().unwrap()]);
    assert!(words.ends_with(&["--set", "machine.networks.\"VM's\"=lan", "--index", "2"]), "{words:?}");
}

#[test]
fn more_tasks_than_an_array_takes_become_several() {
    let many = Many::new(1);
    let vms: Vec<(String, String)> = (0..2001).map(|index| (format!("vm{index}"), String::new())).collect();
    many.list("", &vms);
    let exported = export(&many, "slurm", &[]).expect(0);
    assert_eq!(exported.json["files"].as_array().unwrap().len(), 4);
    assert!(read(&many, "array-1.sh").contains("#SBATCH --array=0-999%"));
    assert!(
        read(&many, "array-3.sh").contains("#SBATCH --array=0-0%") && read(&many, "array-3.sh").contains("rows=(2000)")
    );
}

#[test]
fn kubernetes_gets_an_indexed_job_that_retries_what_may_be_cured() {
    let many = Many::new(4);
    many.list(HEAD, &keyed(4));
    export(&many, "kubernetes", &["--image", "registry.example/vmdk2kvm:1", "--secret", "vcenter"]).expect(0);
    let documents = documents(&many);
    let [map, job] = &documents[..] else { panic!("{documents:#?}") };
    assert_eq!(map["data"]["jobs.toml"].as_str().unwrap(), fs::read_to_string(many.room.path("jobs.toml")).unwrap());
    let spec = &job["spec"];
    for (member, value) in [
        ("completionMode", json!("Indexed")),
        ("completions", json!(4)),
        ("parallelism", json!(3)),
        ("backoffLimitPerIndex", json!(3)),
        ("maxFailedIndexes", json!(4)),
        ("podReplacementPolicy", json!("Failed")),
    ] {
        assert_eq!(spec[member], value, "{member}");
    }
    assert_eq!(
        spec["podFailurePolicy"]["rules"],
        json!([
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailIndex", "onExitCodes": {"containerName": "vmdk2kvm", "operator": "In", "values": [1, 2, 65, 69, 73, 77, 78, 80, 81]}},
        ])
    );
    let pod = &spec["template"]["spec"];
    assert_eq!((&pod["restartPolicy"], &pod["automountServiceAccountToken"]), (&json!("Never"), &json!(false)));
    assert_eq!(pod["terminationGracePeriodSeconds"], 120);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0];
    assert_eq!(
        container["securityContext"],
        json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
    );
    assert_eq!(
        container["args"],
        json!([
            "batch",
            "run",
            "/batch/jobs.toml",
            "-o",
            "/output",
            "--limit-dir",
            "/output/.vmdk2kvm-places",
            "--index",
            "$(JOB_COMPLETION_INDEX)"
        ])
    );
    let secret = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "secrets").unwrap();
    assert_eq!(secret["secret"], json!({"secretName": "vcenter", "defaultMode": 0o400}));
}

#[test]
fn the_manifest_is_the_one_that_the_api_servers_own_code_was_shown() {
    let many = Many::new(0);
    let of_tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes-job");
    fs::copy(of_tests.join("jobs.toml"), many.room.path("jobs.toml")).unwrap();
    export(&many, "kubernetes", &["--image", "registry.example/vmdk2kvm:1", "--secret", "vcenter"]).expect(0);
    // `tests/platforms` holds this file against it.
    assert_eq!(read(&many, "job.yaml"), fs::read_to_string(of_tests.join("job.yaml")).unwrap());
}

#[test]
fn nothing_secret_is_written_down() {
    let many = Many::new(1);
    many.list("", &keyed(1));
    let settings = many.room.path("site.toml");
    fs::write(&settings, "[plugin.x]\npassword = \"hunter2\"\n").unwrap();
    for (cluster, more) in [
        ("slurm", vec!["--set", "plugin.x.token=hunter2"]),
        ("kubernetes", vec!["--image", "x", "-c", settings.to_str().unwrap()]),
    ] {
        let refused = export(&many, cluster, &more).expect(78);
        assert!(refused.message().ends_with("holds a secret, which an export never does"), "{}", refused.message());
        assert!(!refused.stderr.contains("hunter2") && !refused.json.to_string().contains("hunter2"));
        assert!(!many.room.path("it's here").exists());
    }
}
