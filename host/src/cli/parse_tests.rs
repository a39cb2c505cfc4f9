//! Tests of the grammar: every form of cli.md, and refusals.

use std::path::PathBuf;

use serde_json::{Value, json};
use vmdk2kvm_plugin_api::Kind;

use super::super::arguments::EXIT_CODES;
use super::super::{Action, BatchAction, EventsTo, Output};
use super::*;
use crate::batch::{Asked, ExportTo, Task, Which};
use crate::config::{Command, Input, Request};

fn line(text: &str) -> Result<Invocation, Stop> {
    parse(std::iter::once("vmdk2kvm").chain(text.split_whitespace()), || Ok(Vec::new()))
}

fn ran(text: &str) -> (Request, Value) {
    let invocation = line(text).unwrap();
    let Action::Run(request) = invocation.action else { panic!("{text} runs nothing") };
    (request, Value::Object(invocation.layers.flags))
}

fn run(which: Which, task: Task) -> BatchAction {
    let asked = Asked { list: "jobs.toml".into(), limits: vec!["total=2".parse().unwrap()], ..Asked::default() };
    BatchAction::Run { asked, which, task }
}

#[test]
fn plugins_are_looked_at_only_when_the_grammar_does_not_do() {
    for (line, looked) in
        [("migrate web.vmx", false), ("doctor", false), ("migrate --format x", false), ("migrate --new", true)]
    {
        let asked = std::cell::Cell::new(false);
        let flags = || {
            asked.set(true);
            Ok(Vec::new())
        };
        let _ = parse(std::iter::once("vmdk2kvm").chain(line.split_whitespace()), flags);
        assert_eq!(asked.get(), looked, "{line}");
    }
}

/// A command line where a plugin of that kind has these flags.
fn flagged(text: &str, kind: &str, flags: Value) -> Result<Invocation, Stop> {
    let setting =
        |key: &str, word: &str| json!({"key": key, "type": word, "default": "", "doc": format!("what {key} is")});
    let settings = json!([
        setting("iso", "string"),
        setting("depth", "integer"),
        setting("deep", "boolean"),
        setting("more", "list")
    ]);
    let manifest = serde_json::from_value(
        json!({"schema": 1, "name": "probe", "version": "0.1.0", "api": "1.0.0", "summary": "x",
        "license": "MIT", "kinds": [kind], "settings": settings, "flags": flags}),
    )
    .unwrap();
    let flags = PluginFlag::of(&manifest);
    parse(std::iter::once("vmdk2kvm").chain(text.split_whitespace()), || Ok(flags))
}

#[test]
fn a_flag_of_a_plugin_is_a_setting_of_its_table() {
    let flags = json!([{"flag": "probe-iso", "key": "iso"}, {"flag": "depth", "key": "depth"}, {"flag": "deep", "key": "deep"},
        {"flag": "more", "key": "more"}]);
    let line = "migrate web.vmx --probe-iso no/such.iso --depth 3 --deep --more a --more b";
    let invocation = flagged(line, "fixer", flags.clone()).unwrap();
    let wanted = json!({"probe": {"iso": "no/such.iso", "depth": 3, "deep": true, "more": ["a", "b"]}});
    assert_eq!(invocation.layers.flags["plugin"], wanted);
    assert_eq!(invocation.layers.flags["source"], json!({"uri": "web.vmx"}));
    // A file that is there is named absolutely.
    let here = flagged("plan web.vmx --probe-iso Cargo.toml", "fixer", flags.clone()).unwrap();
    let absolute = std::env::current_dir().unwrap().join("Cargo.toml");
    assert_eq!(here.layers.flags["plugin"]["probe"]["iso"], json!(absolute));
    // A fixer has no part in `test`, a tester none in `plan`.
    for (line, kind) in [("test out --deep", "fixer"), ("plan web.vmx --deep", "tester")] {
        let stop = flagged(line, kind, flags.clone()).unwrap_err();
        assert!(stop.message.starts_with("unexpected argument '--deep' found"), "{}", stop.message);
    }
    flagged("test out --deep", "tester", flags).unwrap();
}

#[test]
fn help_shows_a_plugins_flags_under_its_name() {
    let flags = json!([{"flag": "probe-iso", "key": "iso"}, {"flag": "quiet", "key": "deep"}, {"flag": "format", "key": "iso"},
        {"flag": "B{ad", "key": "iso"}, {"flag": "orphan", "key": "nothing"}]);
    let stop = flagged("migrate --help", "converter", flags).unwrap_err();
    assert_eq!(stop.exit_code, 0);
    let (_, shown) = stop.text.split_once("Options of the plugin probe:").unwrap();
    assert!(shown.contains("--probe-iso <ISO>") && shown.contains("what iso is"), "{shown}");
    assert!(!shown.contains("orphan") && !shown.contains("B{ad") && !shown.contains("what deep is"), "{}", stop.text);
}

#[test]
fn the_folders_of_plugins_are_found_without_a_grammar() {
    let words =
        ["vmdk2kvm", "migrate", "x", "--new", "--plugin-dir", "p", "--plugin-dir=q", "-c", "a.toml", "--set", "a=b=c"];
    let layers = super::super::plugin_layers(words.map(Into::into));
    assert_eq!(layers.flags["plugins"], json!({"dirs": ["p", "q"]}));
    assert_eq!((layers.files, layers.sets), (vec![PathBuf::from("a.toml")], vec!["a=b=c".to_owned()]));
}

#[test]
fn the_grammar_is_sound() {
    grammar().debug_assert();
}

#[test]
fn commands_become_requests_and_flags_become_settings() {
    let source = |command| Request { command, input: Input::Source, plan_out: None };
    for (text, request, flags) in [
        ("migrate web.vmx", source(Command::Migrate), json!({"source": {"uri": "web.vmx"}})),
        (
            "migrate a.vmdk --disk b.vmdk --disk c.vmdk --vm web -o out --format raw --resize 1=+20G --compress --from inspect --until fix \
             --skip test --test none --target a --target b --keep-work --key all:file:/k --name web2 --work-dir w --plugin-dir p --log-level debug",
            source(Command::Migrate),
            json!({"source": {"uri": "a.vmdk", "disks": ["b.vmdk", "c.vmdk"], "vm": "web"}, "output": "out", "format": "raw", "resize": ["1=+20G"],
                "compress": true, "from": "inspect", "until": "fix", "skip": ["test"], "test": {"plugin": "none"}, "targets": ["a", "b"],
                "keep_work": true, "keys": ["all:file:/k"], "name": "web2", "work_dir": "w", "plugins": {"dirs": ["p"]},
                "log": {"level": "debug"}}),
        ),
        (
            "render out --target a",
            Request { command: Command::Render, input: Input::Result { dir: "out".into() }, plan_out: None },
            json!({"targets": ["a"]}),
        ),
        (
            "define out --connect far:///x --pool p --replace --network Old=new --network a=b=c --target a",
            Request { command: Command::Define, input: Input::Result { dir: "out".into() }, plan_out: None },
            json!({"define": {"connect": "far:///x", "pool": "p", "replace": true}, "targets": ["a"],
                "machine": {"networks": {"Old": "new", "a": "b=c"}}}),
        ),
        (
            "migrate far://h/web --password-file /p --transport far --snapshot --enable-cbt --power-off",
            source(Command::Migrate),
            json!({"source": {"uri": "far://h/web", "snapshot": true, "enable_cbt": true, "power_off": true},
                "secrets": {"password": {"file": "/p"}}, "plugins": {"transport": "far"}}),
        ),
        (
            "release out --password-file p",
            Request { command: Command::Release, input: Input::Result { dir: "out".into() }, plan_out: None },
            json!({"secrets": {"password": {"file": "p"}}}),
        ),
        (
            "migrate far://h/web --warm -o out",
            source(Command::Migrate),
            json!({"source": {"uri": "far://h/web"}, "warm": {"enabled": true}, "output": "out"}),
        ),
        (
            "cutover out --power-off --password-file p --test none --format raw",
            source(Command::Cutover),
            json!({"output": "out", "source": {"power_off": true}, "secrets": {"password": {"file": "p"}},
                "test": {"plugin": "none"}, "format": "raw"}),
        ),
        (
            "live-fix ssh://root@h --live --password-file p",
            source(Command::LiveFix),
            json!({"source": {"uri": "ssh://root@h", "live": true}, "secrets": {"password": {"file": "p"}}}),
        ),
        ("live-fix ssh://h --rollback", source(Command::RollBack), json!({"source": {"uri": "ssh://h"}})),
        ("inventory x.ova", source(Command::Inventory), json!({"source": {"uri": "x.ova"}})),
        ("inspect x --key u:file:k", source(Command::Inspect), json!({"source": {"uri": "x"}, "keys": ["u:file:k"]})),
        ("plan x --root UUID=1", source(Command::Plan), json!({"source": {"uri": "x"}, "root": "UUID=1"})),
        (
            "plan x --out plan.json",
            Request { command: Command::Plan, input: Input::Source, plan_out: Some("plan.json".into()) },
            json!({"source": {"uri": "x"}}),
        ),
        (
            "apply plan.json -o out --test qemu",
            Request { command: Command::Apply, input: Input::Plan { path: "plan.json".into() }, plan_out: None },
            json!({"output": "out", "test": {"plugin": "qemu"}}),
        ),
        (
            "flatten x -o out --format vhdx",
            source(Command::Flatten),
            json!({"source": {"uri": "x"}, "output": "out", "format": "vhdx"}),
        ),
        (
            "fix a.qcow2 b.qcow2 -o out",
            Request {
                command: Command::Fix,
                input: Input::Images { paths: vec!["a.qcow2".into(), "b.qcow2".into()] },
                plan_out: None,
            },
            json!({"output": "out"}),
        ),
        (
            "convert a.raw -o out --format vdi",
            Request { command: Command::Convert, input: Input::Images { paths: vec!["a.raw".into()] }, plan_out: None },
            json!({"output": "out", "format": "vdi"}),
        ),
        (
            "test out",
            Request { command: Command::Test, input: Input::Result { dir: "out".into() }, plan_out: None },
            json!({}),
        ),
    ] {
        assert_eq!(ran(text), (request, flags), "{text}");
    }
}

#[test]
fn other_commands_are_told_apart() {
    for (text, action) in [
        ("plugin list", Action::PluginList),
        ("plugin show local", Action::PluginShow { name: "local".into() }),
        ("plugin check x.so", Action::PluginCheck { file: "x.so".into(), sample: None }),
        ("plugin check x.so --sample s", Action::PluginCheck { file: "x.so".into(), sample: Some("s".into()) }),
        ("plugin new a --kind fixer", Action::PluginNew { name: "a".into(), kind: Kind::Fixer, api: None }),
        (
            "plugin new a --kind tester --api p",
            Action::PluginNew { name: "a".into(), kind: Kind::Tester, api: Some("p".into()) },
        ),
        ("plugin trust", Action::PluginTrust { files: vec![] }),
        ("plugin trust a.so b.so", Action::PluginTrust { files: vec!["a.so".into(), "b.so".into()] }),
        ("plugin untrust a.so", Action::PluginUntrust { files: vec!["a.so".into()] }),
        ("batch run jobs.toml --index 3 --limit total=2", Action::Batch(run(Which::Index(3), Task::Migrate))),
        (
            "batch run jobs.toml --only a --only b --limit total=2",
            Action::Batch(run(Which::Only { names: vec!["a".into(), "b".into()], groups: vec![] }, Task::Migrate)),
        ),
        ("batch run --dry-run --limit total=2 jobs.toml", Action::Batch(run(Which::All, Task::Plan))),
        (
            "batch cutover jobs.toml --group g --only a --window 90m --limit total=2",
            Action::Batch(run(
                Which::Only { names: vec!["a".into()], groups: vec!["g".into()] },
                Task::CutOver { window: Some(std::time::Duration::from_secs(5400)) },
            )),
        ),
        (
            "batch cutover jobs.toml --all --limit total=2",
            Action::Batch(run(Which::All, Task::CutOver { window: None })),
        ),
        (
            "batch status jobs.csv -o out",
            Action::Batch(BatchAction::Status {
                asked: Asked { list: "jobs.csv".into(), output: Some("out".into()), ..Asked::default() },
            }),
        ),
        (
            "batch export kubernetes jobs.csv --to k --image i",
            Action::Batch(BatchAction::Export {
                asked: Asked { list: "jobs.csv".into(), ..Asked::default() },
                to: ExportTo::Kubernetes { image: "i".into(), claim: "vmdk2kvm-output".into(), secret: None },
                folder: "k".into(),
            }),
        ),
        ("doctor", Action::Doctor),
        ("config show -c a.toml", Action::ConfigShow),
        ("config check", Action::ConfigCheck),
        ("completions bash", Action::Completions(clap_complete::Shell::Bash)),
        ("man", Action::Man { plugin: None }),
        ("man local", Action::Man { plugin: Some("local".into()) }),
    ] {
        assert_eq!(line(text).unwrap().action, action, "{text}");
    }
}

#[test]
fn common_options_stand_before_and_behind_the_command() {
    let output = Output {
        json: true,
        events: Some(EventsTo::Stdout),
        log_file: Some("log".into()),
        quiet: true,
        no_progress: true,
    };
    let options =
        "--json --events - --log-file log -q --no-progress -c a.toml --config b.yaml --set name=x --set a.b=1";
    for text in [format!("{options} doctor"), format!("doctor {options}")] {
        let invocation = line(&text).unwrap();
        assert_eq!(invocation.output, output);
        assert_eq!(invocation.layers.files, [PathBuf::from("a.toml"), "b.yaml".into()]);
        assert_eq!(invocation.layers.sets, ["name=x", "a.b=1"]);
    }
    assert_eq!(line("doctor --events e").unwrap().output.events, Some(EventsTo::File("e".into())));
}

#[test]
fn usage_errors_are_one_sentence_and_exit_with_2() {
    for (text, message) in [
        ("migrat x", "unrecognized subcommand 'migrat'"),
        ("apply plan.json", "the following required arguments were not provided: --output <DIR>"),
        (
            "migrate x --format ova",
            "invalid value 'ova' for '--format <FORMAT>' [possible values: qcow2, raw, vdi, vmdk, vhdx]",
        ),
        (
            "migrate x --until boot",
            "invalid value 'boot' for '--until <STAGE>' [possible values: fetch, flatten, inspect, plan, fix, convert, test]",
        ),
        ("migrate x --skip inspect", "invalid value 'inspect' for '--skip <STAGE>' [possible values: fix, test]"),
        (
            "migrate x --key all:/k",
            "invalid value 'all:/k' for '--key <SELECTOR:file:PATH>': `all:/k` is not SELECTOR:file:PATH",
        ),
        ("define x --network lan", "invalid value 'lan' for '--network <OLD=NEW>': it is not OLD=NEW"),
        ("migrate x --set name", "invalid value 'name' for '--set <KEY=VALUE>': there is no `=` between key and value"),
        (
            "plugin new a --kind teleporter",
            "invalid value 'teleporter' for '--kind <KIND>': no kind is called `teleporter`; the kinds are fetcher, flattener, inspector, fixer, converter, tester",
        ),
        (
            "batch cutover jobs.toml --all --window 90",
            "invalid value '90' for '--window <TIME>': a number and s, m or h, such as 90m",
        ),
        (
            "batch cutover jobs.toml",
            "the following required arguments were not provided: <--all|--index <N>|--only <NAME>|--group <GROUP>>",
        ),
        ("inspect x -o out", "unexpected argument '-o' found"),
    ] {
        let stop = line(text).unwrap_err();
        assert_eq!((stop.exit_code, stop.message.as_str()), (2, message), "{text}");
    }
}

#[test]
fn help_ends_with_the_exit_codes_of_the_contract() {
    use vmdk2kvm_plugin_api::ErrorKind as K;
    let help = line("--help").unwrap_err();
    assert_eq!(help.exit_code, 0);
    assert!(help.text.trim_end().ends_with("130  interrupted"), "{}", help.text);
    let of_kinds = [
        K::Defect,
        K::Usage,
        K::Unusable,
        K::Missing,
        K::Output,
        K::Io,
        K::Temporary,
        K::Auth,
        K::Config,
        K::TestFailed,
        K::Blocked,
        K::Interrupted,
    ];
    let mut codes: Vec<u8> = std::iter::once(0).chain(of_kinds.map(K::exit_code)).collect();
    // That of a batch, which is no error of one kind.
    codes.insert(codes.len() - 1, 82);
    assert_eq!(EXIT_CODES.iter().map(|(code, _)| *code).collect::<Vec<_>>(), codes);
}
