//! Tests of resolving layers: precedence, refusals as text, paths.

use std::path::Path;

use serde_json::json;

use super::*;
use vmdk2kvm_plugin_api::model::{CardNetwork, DiskBus};

use crate::config::{SecretSource, TargetFormat};
use crate::events::LogLevel;

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn flags(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn migrate() -> Request {
    Request { command: Command::Migrate, operand: Operand::Source, plan_out: None }
}

fn refusal(text: &str) -> (String, Option<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "job.toml", text);
    let error =
        settings(&Layers { files: vec![path.clone()], ..Layers::default() }, &Surroundings::default()).unwrap_err();
    assert_eq!(error.kind.exit_code(), 78);
    (error.message.replace(&path.display().to_string(), "job.toml"), error.hint)
}

#[test]
fn each_layer_wins_over_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let machine = write(
        dir.path(),
        "machine.toml",
        "name='machine'\nformat='raw'\n[test]\ntimeout_seconds=1\n[machine.networks]\nA='a'",
    );
    let user =
        write(dir.path(), "user.yaml", "name: user\nskip: [fix, test]\nmachine:\n  networks:\n    B: {bridge: br0}\n");
    let first = write(dir.path(), "first.toml", "name='first'\nskip=['test']\n[test]\ntimeout_seconds=2");
    let second = write(dir.path(), "second.toml", "name='second'\n[test]\nssh_port=22");
    let surroundings = Surroundings {
        files: vec![machine, user, dir.path().join("absent.toml")],
        variables: vec![
            ("VMDK2KVM_SET__NAME".into(), "environment".into()),
            ("VMDK2KVM_SET__LOG__LEVEL".into(), "debug".into()),
        ],
    };
    let mut layers = Layers { files: vec![first, second], ..Layers::default() };
    let resolved = settings(&layers, &surroundings).unwrap();
    assert_eq!(resolved.name.as_deref(), Some("environment"));
    assert_eq!(resolved.format, TargetFormat::Raw);
    assert_eq!(resolved.skip, [Stage::Test]);
    assert_eq!((resolved.test.timeout_seconds, resolved.test.ssh_port), (2, Some(22)));
    assert_eq!(resolved.log.level, LogLevel::Debug);
    assert_eq!(resolved.machine.networks["A"], CardNetwork::Network("a".into()));
    assert_eq!(resolved.machine.networks["B"], CardNetwork::Bridge("br0".into()));

    layers.sets = vec!["name=set".into(), "machine.disk_bus=virtio-scsi".into()];
    let resolved = settings(&layers, &surroundings).unwrap();
    assert_eq!(resolved.name.as_deref(), Some("set"));
    assert_eq!(resolved.machine.disk_bus, Some(DiskBus::VirtioScsi));
    layers.flags = flags(json!({"name": "flag"}));
    assert_eq!(settings(&layers, &surroundings).unwrap().name.as_deref(), Some("flag"));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    for (text, message) in [
        ("fromat = 'raw'", "unknown key `fromat` in job.toml; did you mean `format`?"),
        (
            "[test]\ntimeout_second = 5",
            "unknown key `test.timeout_second` in job.toml; did you mean `test.timeout_seconds`?",
        ),
        ("timeout_seconds = 5", "unknown key `timeout_seconds` in job.toml; did you mean `test.timeout_seconds`?"),
        ("[tset]\nplugin = 'qemu'", "unknown key `tset` in job.toml; did you mean `test`?"),
        ("banana = 1", "unknown key `banana` in job.toml"),
    ] {
        assert_eq!(refusal(text).0, message);
    }
    assert_eq!(refusal("banana = 1").1.as_deref(), Some("`vmdk2kvm man` lists every setting"));
}

#[test]
fn a_wrong_value_is_refused_by_file_and_key() {
    for (text, message) in [
        ("compress = 'yes'", "`compress` in job.toml must be true or false, not the text `yes`"),
        ("format = 'ova'", "`format` in job.toml must be one of qcow2, raw, vdi, vmdk, vhdx, not the text `ova`"),
        ("test = 5", "`test` in job.toml must be a table, not the number 5"),
        (
            "[test]\ntimeout_seconds = 0",
            "`test.timeout_seconds` in job.toml must be a whole number from 1 to 86400, not the number 0",
        ),
        (
            "[test]\ntimeout_seconds = -3",
            "`test.timeout_seconds` in job.toml must be a whole number from 1 to 86400, not the number -3",
        ),
        ("skip = ['fetch']", "`skip` in job.toml must be a list of some of fix, test, not the list [\"fetch\"]"),
        ("skip = [5]", "`skip` in job.toml must be a list of some of fix, test, not a list with the number 5"),
        ("name = ''", "`name` in job.toml must be a text, not an empty text"),
        ("keys = ['all:/k']", "`keys` in job.toml must be a list of SELECTOR:file:PATH, not the list [\"all:/k\"]"),
        ("[plugin]\nlocal = 1", "`plugin.local` in job.toml must be a table, not the number 1"),
        ("[target]\nlab = 1", "`target.lab` in job.toml must be a table, not the number 1"),
        ("[machine]\nclock = 'cet'", "`machine.clock` in job.toml must be one of utc, local, not the text `cet`"),
        (
            "[machine.networks]\n'VM Network' = 5",
            "`machine.networks.\"VM Network\"` in job.toml must be a network's name, { network = \"...\" } or { bridge = \"...\" }, not the number 5",
        ),
    ] {
        assert_eq!(refusal(text).0, message);
    }
    assert!(refusal("a = ").0.starts_with("job.toml: TOML parse error at line 1, column"));
}

#[test]
fn a_file_that_is_named_must_be_there_and_say_what_it_is() {
    let layers = Layers { files: vec!["/nonexistent/job.toml".into()], ..Layers::default() };
    let error = settings(&layers, &Surroundings::default()).unwrap_err();
    assert_eq!(error.message, "/nonexistent/job.toml: there is no such file");
    let layers = Layers { files: vec!["job.ini".into()], ..Layers::default() };
    let error = settings(&layers, &Surroundings::default()).unwrap_err();
    assert_eq!(error.message, "job.ini: the ending does not say whether this is TOML or YAML");
}

#[test]
fn paths_in_a_file_are_relative_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        "output='out'\nkeys=['all:file:k']\n[source]\nuri='web.vmx'\ndisks=['/abs/b.vmdk']\n[plugins]\ndirs=['p']";
    let path = write(dir.path(), "job.toml", text);
    let layers = Layers { files: vec![path], ..Layers::default() };
    let job = resolve(&migrate(), &layers, &Surroundings::default()).unwrap();
    let source = job.source().unwrap();
    assert_eq!(source.uri, dir.path().join("web.vmx").to_string_lossy());
    assert_eq!(source.extra_disks, ["/abs/b.vmdk"]);
    assert_eq!(job.output, Some(dir.path().join("out")));
    assert_eq!(job.keys, [KeySource { selector: "all".into(), file: dir.path().join("k") }]);
    assert_eq!(job.plugins.dirs, [dir.path().join("p")]);
}

#[test]
fn a_secret_has_one_place_and_never_a_value() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = |file: &str, more: Value| {
        let path = write(dir.path(), "job.toml", &format!("source.uri = 'x'\n{file}"));
        let layers = Layers { files: vec![path], flags: flags(more), ..Layers::default() };
        resolve(&migrate(), &layers, &Surroundings::default()).map(|job| job.secrets)
    };
    let places = "[secrets]\npassword.file = 'p'\ntoken.env = 'TOKEN'\ncert.credential = 'vc-cert'\n";
    let found = secrets(places, json!({})).unwrap();
    assert_eq!(found["password"], SecretSource::File(dir.path().join("p")));
    assert_eq!(found["token"], SecretSource::Env("TOKEN".into()));
    assert_eq!(found["cert"], SecretSource::Credential("vc-cert".into()));
    // Another layer's place replaces the first one and is not merged with it.
    let found = secrets("[secrets]\npassword.env = 'P'\n", json!({"secrets": {"password": {"file": "/p"}}})).unwrap();
    assert_eq!(found["password"], SecretSource::File("/p".into()));

    let wanted = "be { file = \"...\" }, { env = \"...\" } or { credential = \"...\" }";
    for value in
        ["'hunter2'", "{}", "{ value = 'hunter2' }", "{ file = 'a', env = 'b' }", "{ credential = '../hunter2' }"]
    {
        let error = secrets(&format!("[secrets]\npassword = {value}\n"), json!({})).unwrap_err();
        assert!(error.message.ends_with(&format!("must {wanted}")), "{}", error.message);
        assert!(error.message.starts_with("`secrets.password` in ") && !error.message.contains("hunter2"));
        assert_eq!(error.hint.as_deref(), Some("a secret itself never stands in a settings file"));
    }
    let error = secrets("[secrets]\n'key:all'.file = 'k'\n", json!({})).unwrap_err();
    assert!(error.message.contains("have a name of letters, digits"), "{}", error.message);
}

#[test]
fn a_job_is_complete_and_survives_json() {
    let layers = Layers {
        flags: flags(json!({"source": {"uri": "web.vmx"}, "test": {"plugin": "qemu"}, "targets": ["a", "b", "a"],
            "target": {"a": {"zone": 1}}})),
        ..Layers::default()
    };
    let job = resolve(&migrate(), &layers, &Surroundings::default()).unwrap();
    assert_eq!(job.source().unwrap().uri, "web.vmx");
    assert_eq!(job.output, Some(std::env::current_dir().unwrap()));
    // Which plugin that is, the registry knows.
    assert_eq!(job.test.plugin.as_deref(), Some("qemu"));
    assert_eq!((job.targets.as_slice(), &job.target["a"]["zone"]), (&["a".to_owned(), "b".to_owned()][..], &json!(1)));
    assert!(Stage::ALL.iter().all(|stage| job.wants(*stage)));
    let text = serde_json::to_string(&job).unwrap();
    assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
}

#[test]
fn stages_follow_the_command_and_the_options() {
    let wanted = |value: Value| {
        let mut value = flags(value);
        value.insert("source".into(), json!({"uri": "x"}));
        let layers = Layers { flags: value, ..Layers::default() };
        let job = resolve(&migrate(), &layers, &Surroundings::default())?;
        Ok::<_, PluginError>(
            Stage::ALL.into_iter().filter(|stage| job.wants(*stage)).map(Stage::as_str).collect::<Vec<_>>(),
        )
    };
    assert_eq!(wanted(json!({"until": "plan"})).unwrap(), ["fetch", "flatten", "inspect", "plan"]);
    let without_test = ["fetch", "flatten", "inspect", "plan", "fix", "convert"];
    assert_eq!(wanted(json!({"test": {"plugin": "none"}})).unwrap(), without_test);
    assert_eq!(wanted(json!({"skip": ["test", "test"]})).unwrap(), without_test);
    let error = wanted(json!({"from": "test", "until": "plan"})).unwrap_err();
    assert_eq!(
        (error.kind.exit_code(), error.message.as_str()),
        (2, "the run cannot begin with test and end with plan")
    );
}

#[test]
fn a_missing_source_is_a_usage_error() {
    let error = resolve(&migrate(), &Layers::default(), &Surroundings::default()).unwrap_err();
    assert_eq!((error.kind.exit_code(), error.message.as_str()), (2, "migrate needs a SOURCE"));
}
