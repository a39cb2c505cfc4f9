//! What a package leaves open: its configuration, and amounts that are properties.

use vmdk2kvm_local::ovf::Choices;
use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::VmSpec;

use crate::documents::{envelope, item, system};
use crate::support::Lab;

const OPTIONS: &str = "<DeploymentOptionSection><Info/><Configuration ovf:id=\"small\"/>\
    <Configuration ovf:id=\"large\" ovf:default=\"true\"/><Configuration ovf:id=\"huge\"/></DeploymentOptionSection>";
const PRODUCT: &str = "<ProductSection ovf:class=\"com.acme\" ovf:instance=\"1\"><Info/>\
    <Property ovf:key=\"disk\" ovf:type=\"uint32\" ovf:value=\"4\"><Value ovf:value=\"2\" ovf:configuration=\"small\"/>\
    <Value ovf:value=\"8\" ovf:configuration=\"huge other\"/></Property>\
    <Property ovf:key=\"memory\" ovf:type=\"uint32\"><Value ovf:value=\"512\"/></Property>\
    <Property ovf:key=\"cpus\" ovf:type=\"uint32\" ovf:value=\"\"/></ProductSection>";

/// A machine whose disk, memory and processors are properties, and that is bigger in the configuration `huge`.
fn ovf(quantity: &str) -> String {
    let disk =
        format!("<Disk ovf:diskId=\"d\" ovf:capacity=\"{quantity}\" ovf:capacityAllocationUnits=\"byte * 2^30\"/>");
    let hardware = [
        // The general item may come last.
        item(4, 2, "AllocationUnits=MB VirtualQuantity=4096").replace("<Item>", "<Item ovf:configuration=\"huge\">"),
        item(4, 2, "AllocationUnits=MB VirtualQuantity=${memory}"),
        item(17, 3, "HostResource=ovf:/disk/d"),
        item(17, 4, "AllocationUnits=byte_*_2^30 VirtualQuantity=1")
            .replace("<Item>", "<Item ovf:configuration=\"huge\">"),
    ];
    envelope("", &disk, &system("web", "Web", &hardware.concat()))
        .replacen("<VirtualSystem ", &format!("{OPTIONS}<VirtualSystem "), 1)
        .replacen("<VirtualHardwareSection>", &format!("{PRODUCT}<VirtualHardwareSection>"), 1)
}

fn choices(configuration: Option<&str>, properties: &[(&str, &str)]) -> Choices {
    let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Choices { configuration: configuration.map(str::to_owned), properties }
}

/// Capacities of the disks in GiB, and memory in MiB.
fn sizes(vm: &VmSpec) -> (Vec<u64>, u64) {
    (vm.disks.iter().map(|disk| disk.capacity_bytes >> 30).collect(), vm.memory_bytes >> 20)
}

fn described(quantity: &str, choices: Choices) -> (Lab, Result<VmSpec>) {
    let lab = Lab::choosing(choices);
    lab.file("web.ovf", ovf(quantity));
    let vm = lab.describe("web.ovf", None);
    (lab, vm)
}

#[test]
fn amounts_are_values_of_properties() {
    let vm = |quantity: &str, chosen| sizes(&described(quantity, chosen).1.unwrap());
    for name in ["${disk}", "${com.acme.disk.1}", "${ disk }"] {
        assert_eq!(vm(name, choices(None, &[])), (vec![4], 512), "{name}");
        assert_eq!(vm(name, choices(Some("small"), &[])), (vec![2], 512), "{name}");
        assert_eq!(vm(name, choices(Some("huge"), &[])), (vec![8, 1], 4096), "{name}");
        for set in ["disk", "com.acme.disk.1"] {
            assert_eq!(vm(name, choices(Some("huge"), &[(set, "16"), ("memory", "1")])), (vec![16, 1], 4096), "{name}");
        }
    }
    // A property that the package does not have can be given, too.
    assert_eq!(vm("${other}", choices(None, &[("other", "3")])), (vec![3], 512));
}

#[test]
fn properties_without_a_value_and_choices_that_do_not_exist_are_refused() {
    for (quantity, chosen, message, hint) in [
        (
            "${cpus}",
            choices(None, &[]),
            "DIR/web.ovf: the capacity of disk 'd' is that of the property 'cpus', which has no value",
            "give it one with --set plugin.local.properties.cpus=VALUE",
        ),
        (
            "${disk}",
            choices(None, &[("disk", "much")]),
            "DIR/web.ovf: disk 'd' has a capacity of 'much byte * 2^30', which is not an amount",
            "export the virtual machine again",
        ),
        (
            "1",
            choices(Some("tiny"), &[]),
            "DIR/web.ovf: it has no configuration 'tiny'",
            "its configurations are small, large, huge",
        ),
    ] {
        let (lab, vm) = described(quantity, chosen);
        let error = vm.unwrap_err();
        assert_eq!((lab.sentence(&error).as_str(), error.hint.as_deref()), (message, Some(hint)));
    }
    let lab = Lab::choosing(choices(Some("tiny"), &[]));
    lab.file("web.ovf", envelope("", "", &system("web", "Web", "")));
    let error = lab.describe("web.ovf", None).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("it has none at all: leave out plugin.local.configuration"));
}

#[test]
fn what_was_chosen_is_told_and_what_was_set_in_vain() {
    let told = |chosen| {
        let vm = described("1", chosen).1.unwrap();
        vm.findings.into_iter().map(|found| (found.code, found.message, found.hint)).collect::<Vec<_>>()
    };
    let finding = |code: &str, message: &str, hint: &str| (code.to_owned(), message.to_owned(), hint.to_owned());
    assert_eq!(
        told(choices(None, &[("disk", "1")])),
        [finding(
            "ovf-configuration-chosen",
            "the configuration 'large' of the OVF was chosen; it has small, large, huge",
            "choose another one with --set plugin.local.configuration=ID"
        )]
    );
    assert_eq!(told(choices(Some("large"), &[])), []);
    assert_eq!(
        told(choices(Some("large"), &[("disc", "1"), ("disk", "1")])),
        [finding(
            "ovf-property-unknown",
            "the OVF has no such property: disc",
            "its properties are com.acme.disk.1, com.acme.memory.1, com.acme.cpus.1"
        )]
    );
}
