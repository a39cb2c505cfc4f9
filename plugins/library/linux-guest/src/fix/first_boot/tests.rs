use vmdk2kvm_plugin_api::model::Change;

use super::*;
use crate::fixture::{self, MapGuest};

const SYSTEMD: (&str, &str) = ("/usr/lib/systemd/systemd", "");

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files: [(&str, &[u8]); 5] = [
            ("register.sh", b"#!/bin/sh\ntrue\n"),
            ("site.service", b"[Service]\nExecStart=/bin/true\n[Install]\nWantedBy = multi-user.target ../x.target\n"),
            ("agent.deb", b"!<arch>\n\xff"),
            ("latin.service", b"\xfc"),
            ("a b", b""),
        ];
        files.iter().for_each(|(name, content)| std::fs::write(folder.path().join(name), content).unwrap());
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn fixer() -> FirstBoot {
    FirstBoot { scripts: Vec::new(), units: Vec::new(), agent: GuestAgent::Leave }
}

fn plan(fixer: &FirstBoot, files: &[(&str, &str)]) -> Result<FixerPlan> {
    fixer.plan(&fixture::context(), &MapGuest::new(files))
}

fn targets(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.target.as_str()).collect()
}

#[test]
fn scripts_and_units_are_put_and_enabled() {
    let files = Files::new();
    let fixer =
        FirstBoot { scripts: vec![files.path("register.sh")], units: vec![files.path("site.service")], ..fixer() };
    let changes = plan(&fixer, &[SYSTEMD]).unwrap().changes;
    assert_eq!(
        targets(&changes),
        [
            "/var/lib/vmdk2kvm/first-boot/01-register.sh",
            "/usr/local/sbin/vmdk2kvm-first-boot",
            "/etc/systemd/system/vmdk2kvm-first-boot.service",
            "/etc/systemd/system/multi-user.target.wants/vmdk2kvm-first-boot.service",
            "/etc/systemd/system/site.service",
            "/etc/systemd/system/multi-user.target.wants/site.service",
        ]
    );
    assert!(matches!(&changes[0].action, Action::WriteFile { mode: Some(0o755), old_sha256: None, .. }));
    let Action::Symlink { to } = &changes[5].action else { panic!("no symlink") };
    assert_eq!(to, "/etc/systemd/system/site.service");
    // What is there already is not planned again.
    let unit = std::fs::read_to_string(files.path("site.service")).unwrap();
    let there = [
        SYSTEMD,
        ("/etc/systemd/system/site.service", &unit),
        ("/etc/systemd/system/multi-user.target.wants/site.service", ""),
    ];
    let fixer = FirstBoot { scripts: Vec::new(), ..fixer };
    assert_eq!(plan(&fixer, &there).unwrap().changes, []);
}

#[test]
fn the_agent_comes_where_it_is_missing() {
    let files = Files::new();
    let package = FirstBoot { agent: GuestAgent::Package(files.path("agent.deb")), ..fixer() };
    let found = plan(&package, &[SYSTEMD]).unwrap().changes;
    assert_eq!(
        targets(&found)[..2],
        ["/var/lib/vmdk2kvm/first-boot/qemu-guest-agent.deb", "/var/lib/vmdk2kvm/first-boot/00-guest-agent"]
    );
    let online = FirstBoot { agent: GuestAgent::FirstBoot, ..fixer() };
    assert_eq!(targets(&plan(&online, &[SYSTEMD]).unwrap().changes), targets(&found)[1..]);
    for there in ["/usr/sbin/qemu-ga", "/usr/bin/qemu-ga"] {
        assert_eq!(plan(&online, &[SYSTEMD, (there, "")]).unwrap(), FixerPlan::default());
    }
    assert_eq!(plan(&fixer(), &[]).unwrap(), FixerPlan::default());
}

#[test]
fn what_cannot_be_is_said_before_anything_is_done() {
    let files = Files::new();
    let scripts = |name: &str| FirstBoot { scripts: vec![files.path(name)], ..fixer() };
    let blocked = plan(&scripts("register.sh"), &[]).unwrap();
    assert_eq!((blocked.changes.len(), blocked.findings[0].severity), (0, Severity::Block));
    let message = |fixer: &FirstBoot| plan(fixer, &[SYSTEMD]).unwrap_err().message;
    assert!(message(&scripts("gone")).contains("gone cannot be read: No such file"));
    assert!(message(&scripts("a b")).ends_with("a b: this name cannot be one in the guest"));
    let units = FirstBoot { units: vec![files.path("latin.service")], ..fixer() };
    assert!(message(&units).ends_with("latin.service is not UTF-8"));
}
