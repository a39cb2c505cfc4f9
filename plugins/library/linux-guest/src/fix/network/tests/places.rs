//! Where pins are written: what udev reads, and nothing else.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::{Entry, FileKind, Guest, PluginError, Result, Stat};

use super::*;

/// Files, and links by their targets.
struct Linked(MapGuest, BTreeMap<String, String>);

impl Guest for Linked {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        match self.1.get(path) {
            Some(_) => Ok(Some(Stat::new(FileKind::Symlink, 0, 0o777))),
            None => self.0.stat(path),
        }
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.1.get(path) {
            Some(to) if to == "/dev/null" => Err(PluginError::unusable(format!("{path} is no file"))),
            Some(to) => self.0.read(to, limit),
            None => self.0.read(path, limit),
        }
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        let mut entries = self.0.list(path)?.unwrap_or_default();
        let links = self.1.keys().filter_map(|link| link.strip_prefix(&format!("{path}/")));
        entries.extend(links.map(|name| Entry::new(name.to_owned(), FileKind::Symlink)));
        Ok((!entries.is_empty()).then_some(entries))
    }

    fn read_link(&self, path: &str) -> Result<String> {
        self.1.get(path).cloned().ok_or_else(|| PluginError::unusable(format!("{path} is no symlink")))
    }

    fn apply(&self, _change: &vmdk2kvm_plugin_api::model::Change) -> Result<vmdk2kvm_plugin_api::model::Applied> {
        Err(PluginError::defect("this guest is only read"))
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// Where the only card's pin goes; the codes of the findings where there is none.
fn place(files: &[(&str, &str)], links: &[(&str, &str)]) -> String {
    let links = links.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    let mut guest = Linked(MapGuest::new(&[files, &[ONE]].concat()), links);
    let plan = NetworkNames.plan(&fixture::context(), &guest).unwrap();
    let Some(change) = plan.changes.first() else {
        return plan.findings.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>().join(" ");
    };
    assert_eq!((plan.changes.len(), plan.findings.len()), (1, 0), "{:?}", plan.findings);
    let Action::WriteFile { content: Content::Text(text), .. } = &change.action else { panic!() };
    guest.0.0.insert(change.target.clone(), text.clone().into_bytes());
    assert!(NetworkNames.plan(&fixture::context(), &guest).unwrap().changes.is_empty(), "planning again gives changes");
    change.target.clone()
}

const OURS: &str = "/etc/systemd/network/10-vmdk2kvm-ens192.link";
const NULL: &str = "/dev/null";

#[test]
fn links_come_before_what_else_may_name_the_card() {
    let link = |path, text| place(&[&SYSTEMD[..], &[(path, text)]].concat(), &[]);
    let zero = "/etc/systemd/network/00-vmdk2kvm-ens192.link";
    for (path, text, expected) in [
        ("/usr/lib/systemd/network/99-default.link", "[Match]\nOriginalName=*\n[Link]\nNamePolicy=slot\n", OURS),
        ("/etc/systemd/network/05-all.link", "[Match]\nOriginalName=*\n[Link]\nWakeOnLan=off\n", zero),
        ("/usr/lib/systemd/network/10-a.link", "[Match]\nType=ether\n[Link]\nWakeOnLan=off\n", zero),
        (
            "/etc/systemd/network/00-all.link",
            "[Match]\nOriginalName=*\n[Link]\nWakeOnLan=off\n",
            "/etc/systemd/network/00-00-vmdk2kvm-ens192.link",
        ),
        ("/etc/systemd/network/!.link", "[Match]\nOriginalName=*\n[Link]\nWakeOnLan=off\n", RULES),
        ("/etc/systemd/network/05-wlan.link", "[Match]\nType=wlan\n[Link]\nWakeOnLan=off\n", OURS),
        ("/etc/systemd/network/05-old.link", "[Match]\nDriver=vmxnet3\n[Link]\nWakeOnLan=off\n", OURS),
        ("/etc/systemd/network/05-x.link", "[Match]\nMACAddress=00:50:56:00:00:09\n[Link]\nWakeOnLan=off\n", OURS),
    ] {
        assert_eq!(link(path, text), expected, "{path}");
    }
}

#[test]
fn a_place_that_is_taken_is_left_for_another() {
    for (links, expected) in [
        (&[(OURS, NULL)][..], "/etc/systemd/network/00-vmdk2kvm-ens192.link"),
        (&[("/etc/systemd/network", NULL)], RULES),
        (&[("/etc/udev/rules.d/80-net-setup-link.rules", NULL)], RULES),
        (
            &[("/etc/udev/rules.d/80-net-setup-link.rules", NULL), (RULES, NULL)],
            "/etc/udev/rules.d/70-vmdk2kvm-net.rules",
        ),
        (&[("/etc/systemd/network", NULL), ("/etc/udev/rules.d", NULL)], "nic-name-unpinned"),
    ] {
        assert_eq!(place(&SYSTEMD, links), expected, "{links:?}");
    }
    // A folder where the file is due.
    let folder = (&format!("{OURS}/x")[..], "");
    assert_eq!(place(&[&SYSTEMD[..], &[folder]].concat(), &[]), "/etc/systemd/network/00-vmdk2kvm-ens192.link");
    let folder = (&format!("{RULES}/x")[..], "");
    assert_eq!(place(&[OLD_UDEV, folder], &[]), "/etc/udev/rules.d/70-vmdk2kvm-net.rules");
    assert_eq!(place(&[OLD_UDEV, (RULES, "")], &[]), RULES);
}

#[test]
fn without_udev_nothing_is_written() {
    assert_eq!(place(&[], &[]), "nic-name-unpinned");
}
