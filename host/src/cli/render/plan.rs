//! `plan`: what would be changed, with diffs.

use vmdk2kvm_plugin_api::model::{Change, Plan};

use super::findings::findings;
use super::network::interfaces;
use crate::events::{escape, escape_lines};
use crate::report::WayRecord;

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const CYAN: &str = "\x1b[36m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// The plan; with colours only when `colour`, which is for terminals.
pub fn plan(plan: &Plan, colour: bool) -> String {
    let mut text = match plan.changes.len() {
        0 => format!("{}: nothing has to change\n", escape(&plan.vm.name)),
        1 => format!("{}: 1 change\n", escape(&plan.vm.name)),
        count => format!("{}: {count} changes\n", escape(&plan.vm.name)),
    };
    for change in &plan.changes {
        text.push('\n');
        text.push_str(&one(change, colour));
    }
    // A guest without disks, a plain folder, becomes no machine.
    if let Some(machine) = plan.machine.as_ref().filter(|machine| !machine.disks.is_empty()) {
        text.push_str("\nnew machine\n");
        for (label, value) in crate::machine::facts(machine) {
            text.push_str(&format!("     {label:<13} {}\n", escape(&value)));
        }
    }
    let rows = interfaces(&plan.inspection.network).render("     ");
    if !rows.is_empty() {
        text.push_str(&format!("\nnetwork of the guest\n{rows}"));
    }
    text.push_str(&findings(&plan.findings));
    text
}

/// By which way each disk was read, below the plan, and why not by a better one.
pub fn ways(ways: &[WayRecord]) -> String {
    let mut text = String::new();
    for way in ways {
        text.push_str(&format!("\n{}: {} by {}\n", escape(&way.disk), escape(&way.scheme), escape(&way.plugin)));
        if !way.reason.is_empty() {
            text.push_str(&format!("     because {}\n", escape(&way.reason)));
        }
        for reason in &way.refused {
            text.push_str(&format!("     not {}\n", escape(reason)));
        }
    }
    text
}

fn one(change: &Change, colour: bool) -> String {
    let paint = |ink: &str, text: &str| if colour { format!("{ink}{text}{PLAIN}") } else { text.to_owned() };
    let head = format!("{:<4} {} {}", change.id, change.action.kind(), change.target);
    let mut text = format!("{}\n", paint(BOLD, &escape(&head)));
    text.push_str(&format!("     {}\n", escape(&change.summary)));
    let weight = if change.critical { "" } else { " (not critical)" };
    text.push_str(&format!("     because {} [{}]{weight}\n", escape(&change.reason), escape(&change.fixer)));
    for line in change.diff.iter().flat_map(|diff| diff.lines()) {
        let shown = escape_lines(line);
        let ink = match line.as_bytes().first() {
            _ if line.starts_with("+++") || line.starts_with("---") => BOLD,
            Some(b'+') => GREEN,
            Some(b'-') => RED,
            Some(b'@') => CYAN,
            _ => "",
        };
        let shown = if ink.is_empty() { shown } else { paint(ink, &shown) };
        text.push_str(&format!("     {shown}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::{DiskBus, Firmware, Machine, MachineDisk};

    use super::*;

    fn document() -> Plan {
        serde_json::from_value(serde_json::json!({
            "schema": 1,
            "vm": {"schema": 1, "name": "web", "firmware": "bios", "cpus": {"count": 1, "sockets": 1, "cores_per_socket": 1},
                "memory_bytes": 1},
            "inspection": {"schema": 1, "os": {"family": "linux"}},
            "findings": [{"code": "x", "severity": "warn", "message": "odd"}],
            "changes": [{"id": "c1", "fixer": "fstab", "kind": "write_file", "content": {"text": "b\n"}, "old_sha256": null,
                "target": "/etc/fstab", "summary": "name the root by UUID", "reason": "by-path does not exist on KVM",
                "diff": "--- a\n+++ b\n@@ -1 +1 @@\n-a\u{1b}[2J\n+b\n same\n", "critical": false}]
        }))
        .unwrap()
    }

    #[test]
    fn a_plan_reads_as_changes_with_diffs() {
        assert_eq!(
            plan(&document(), false),
            "\
web: 1 change

c1   write_file /etc/fstab
     name the root by UUID
     because by-path does not exist on KVM [fstab] (not critical)
     --- a
     +++ b
     @@ -1 +1 @@
     -a\\x1b[2J
     +b
      same

warning: odd [x]
"
        );
    }

    #[test]
    fn the_way_of_each_disk_stands_below_the_plan() {
        let way = WayRecord {
            disk: "scsi0:0".into(),
            scheme: "far-stream".into(),
            plugin: "far 0.1.0".into(),
            reason: "it is near".into(),
            refused: vec!["far-disk: no plugin carries it".into()],
        };
        let text =
            "\nscsi0:0: far-stream by far 0.1.0\n     because it is near\n     not far-disk: no plugin carries it\n";
        assert_eq!(ways(&[way]), text);
    }

    #[test]
    fn the_new_machine_is_shown_when_it_has_disks() {
        let mut plan = document();
        let cpus = vmdk2kvm_plugin_api::model::Cpus::new(2, 1);
        let mut machine = Machine::new("web", Firmware::Uefi, cpus, 1 << 30);
        plan.machine = Some(machine.clone());
        assert!(!super::plan(&plan, false).contains("new machine"));
        machine.disks = vec![MachineDisk::new("qcow2", 4 << 30, DiskBus::Virtio)];
        plan.machine = Some(machine);
        let text = super::plan(&plan, false);
        assert!(text.contains("\nnew machine\n     Chipset       q35\n     Firmware      UEFI\n"), "{text}");
        assert!(text.contains("     Disk          1 on virtio, qcow2, 4.00 GiB\n"), "{text}");
    }

    #[test]
    fn the_network_of_the_guest_is_shown() {
        let mut plan = document();
        let network =
            serde_json::json!({"interfaces": [{"name": "v7", "kind": "vlan", "over": ["ens192"]}, {"name": "ens192"}]});
        plan.inspection.network = serde_json::from_value(network).unwrap();
        let text = super::plan(&plan, false);
        let rows = "     INTERFACE              MAC  ADDRESS\n     v7 (vlan over ens192)  -    -\n     ens192                 -    -\n";
        assert!(text.contains(&format!("\nnetwork of the guest\n{rows}")), "{text}");
    }

    #[test]
    fn colours_are_the_only_escapes() {
        let coloured = plan(&document(), true);
        assert!(coloured.contains("\x1b[32m+b\x1b[0m") && coloured.contains("\x1b[31m-a\\x1b[2J\x1b[0m"));
        let without = [RED, GREEN, CYAN, BOLD, PLAIN].iter().fold(coloured, |text, ink| text.replace(ink, ""));
        assert_eq!(without, plan(&document(), false));
    }
}
