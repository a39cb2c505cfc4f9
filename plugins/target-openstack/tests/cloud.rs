//! What a cloud would be told: the script with a fake of openstack, and every property against Nova's and Glance's table.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use vmdk2kvm_plugin_api::model::{CardNetwork, Clock, Machine, Render, Rendered};
use vmdk2kvm_plugin_api::{Plugin, Result};
use vmdk2kvm_plugin_testing::{FakeHost, Ran, Recorder, hostile, shapes};
use vmdk2kvm_target_openstack::{TARGET, TargetOpenstack};

fn render(machine: &Machine, options: Value) -> Result<Rendered> {
    let converter = TargetOpenstack::new(FakeHost::new().without_settings()).unwrap().converter().unwrap();
    converter.render(&Render::new(TARGET, machine.clone(), "we'b").with(|render| render.options = options))
}

fn codes(rendered: &Rendered) -> Vec<&str> {
    rendered.findings.iter().map(|finding| finding.code.as_str()).collect()
}

fn shape(name: &str) -> Machine {
    shapes().into_iter().find(|(shape, _)| *shape == name).unwrap().1
}

/// Nothing has a name of ours.
const FREE: (&str, i32) = ("nothing", 0);

/// Runs the script where nothing is yet, or where `taken` is there already.
fn run(machine: &Machine, options: Value, variables: &[(&str, &str)], (taken, code): (&str, i32)) -> Ran {
    let folder = tempfile::Builder::new().prefix("it's, \"$(folder)\"").tempdir().unwrap();
    for disk in &machine.disks {
        std::fs::write(folder.path().join(disk.image.rsplit('/').next().unwrap()), "").unwrap();
    }
    let rendered = render(machine, options).unwrap();
    let answer = format!(
        r#"case "$1 $2 ${{*: -1}}" in
        "volume show volume-"*) if [[ -e $RECORD.waited ]]; then echo available; else touch "$RECORD.waited"; echo creating; fi ;;
        *" show {taken}") echo "More than one exists with the name" >&2; exit {code} ;;
        *" delete "*) ;;
        *" show "*) exit 1 ;;
        *) echo "$1-${{*: -1}}" ;;
        esac"#
    );
    let recorder = Recorder::new(folder.path()).program("openstack", &answer);
    let variables = [variables, &[("PATIENCE", "0")]].concat();
    let ran = recorder.run((&rendered.files[0].name, &rendered.files[0].text), &variables, &[]);
    assert!(!folder.path().join("owned").exists(), "something was run");
    ran
}

#[test]
fn every_property_is_one_that_the_platform_takes() {
    let table: Value = serde_json::from_str(include_str!("properties.json")).unwrap();
    for (shape, machine) in shapes().into_iter().chain([("hostile", hostile())]) {
        let rendered = render(&machine, json!({})).unwrap();
        let properties: Value = serde_json::from_str(&rendered.files[1].text).unwrap();
        for (name, value) in properties.as_object().unwrap() {
            let known = table.get(name).unwrap_or_else(|| panic!("{shape}: {name} is unknown"));
            // Without a list any text is taken.
            let fits = known.as_array().is_none_or(|values| values.contains(value));
            assert!(fits, "{shape}: {name} cannot be {value}");
        }
        assert_eq!(properties["os_secure_boot"] == "required", machine.secure_boot, "{shape}");
    }
}

#[test]
fn everything_is_made_but_the_server() {
    let machine = shape("data-disk-first");
    let ran = run(&machine, json!({"storage": {"2": "ssd"}, "flavor": "m1 small"}), &[("NETWORK", "a b")], FREE);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let made: Vec<String> = ran.lines().into_iter().filter(|line| line.contains(" create ")).collect();
    assert!(made[0].starts_with(
        "openstack image create -f value -c id --private --container-format bare --disk-format qcow2 --file "
    ));
    assert!(
        made[0].contains(" --property hw_disk_bus=virtio ") && made[0].ends_with(" -- web-server-disk1"),
        "{}",
        made[0]
    );
    assert_eq!(
        made[1],
        "openstack volume create -f value -c id --image image-web-server-disk1 --size 1 -- web-server-disk1"
    );
    assert_eq!(
        made[3],
        "openstack volume create -f value -c id --image image-web-server-disk2 --size 1 --type ssd --bootable -- web-server-disk2"
    );
    assert_eq!(
        made[4],
        "openstack port create -f value -c id --network a b --mac-address 52:54:00:12:34:01 -- web-server-port1"
    );
    assert_eq!(made.len(), 5, "{made:?}");
    assert!(!ran.lines().iter().any(|line| line.contains("server create")), "{ran:?}");
    let command = " openstack server create --flavor m1\\ small \
        --block-device uuid=volume-web-server-disk1\\,source_type=volume\\,destination_type=volume\\,disk_bus=virtio\\,boot_index=1 \
        --block-device uuid=volume-web-server-disk2\\,source_type=volume\\,destination_type=volume\\,disk_bus=virtio\\,boot_index=0 \
        --port port-web-server-port1 --property name=Web\\ server -- web-server\n";
    assert_eq!(ran.stdout, command);
}

#[test]
fn hostile_texts_stay_words() {
    let ran = run(&hostile(), json!({}), &[("NETWORK", "n")], FREE);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.lines().iter().any(|line| line.contains("--mac-address")), "{ran:?}");
    // What is printed is a command that the shell reads as one again.
    let counting = format!("openstack() {{ echo $#; }};{}", ran.stdout);
    let output = std::process::Command::new("bash").args(["-c", &counting]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "12\n", "{}", ran.stdout);
}

#[test]
fn what_is_there_is_not_replaced() {
    for (taken, code) in [("web-server-disk2", 0), ("web-server-port1", 1)] {
        let ran = run(&shape("windows"), json!({}), &[("NETWORK", "n")], (taken, code));
        assert_eq!(ran.code, Some(73), "{ran:?}");
        assert!(ran.stderr.contains(&format!(" named {taken} already")), "{}", ran.stderr);
        assert!(!ran.lines().iter().any(|line| line.contains(" create ")), "{ran:?}");
    }
    let ran = run(&shape("bios"), json!({}), &[], FREE);
    assert_eq!((ran.code, ran.calls.len()), (Some(64), 0), "{ran:?}");
    let ran = run(&shape("bios"), json!({"networks": {"*": "lan"}}), &[], FREE);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn what_nova_cannot_express_is_said() {
    let codes_of = |machine: &Machine| {
        let options = json!({"networks": {"*": "lan"}, "storage": {"*": "ssd"}});
        codes(&render(machine, options).unwrap()).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let lost = |rest: &[&str]| {
        let usual = ["target-lost-uuid", "target-lost-serial", "target-lost-drive"].map(str::to_owned);
        usual.into_iter().chain(rest.iter().map(|code| (*code).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(codes_of(&shape("bios")), lost(&[]));
    assert!(codes_of(&shape("several-cards")).contains(&"target-lost-card-model".to_owned()));
    let windows = codes_of(&shape("windows"));
    assert!(
        windows.contains(&"target-larger-disk".to_owned()) && windows.contains(&"target-needs-key-manager".to_owned())
    );
    assert!(!windows.contains(&"target-lost-clock".to_owned()), "{windows:?}");
    let local = shape("bios").with(|machine| machine.clock = Clock::Local);
    assert_eq!(codes_of(&local), lost(&["target-lost-clock"]));
    // A bridge of a host is no network of a cloud.
    let bridged = shape("bios").with(|machine| machine.cards[0].network = Some(CardNetwork::Bridge("br0".to_owned())));
    assert!(codes(&render(&bridged, json!({})).unwrap()).contains(&"network-unmapped"));
}
