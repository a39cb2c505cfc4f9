//! Tests a result without booting it: a BIOS disk whose first sector is no boot sector cannot come up.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use vmdk2kvm_plugin_api::model::{Evidence, MachineDisk, TestRequest, Verdict, VerdictKind};
use vmdk2kvm_plugin_api::{Host, Plugin, PluginError, Result, Tester, export_plugin};

#[derive(Clone)]
struct MyPlugin {
    host: Host,
}

impl Tester for MyPlugin {
    fn test(&self, request: &TestRequest) -> Result<Verdict> {
        self.host.check_cancelled()?;
        let begin = Instant::now();
        let boots = |disk: &&MachineDisk| disk.boot_order == Some(1);
        let disk = request.machine.disks.iter().find(boots);
        let disk = disk.ok_or_else(|| PluginError::unusable("the machine boots from no disk"))?;
        let sector = first_sector(disk, &Path::new(&request.work_dir).join("sector"))?;
        let (verdict, reason) = match sector.ends_with(&[0x55, 0xaa]) {
            true => (VerdictKind::Passed, "boot-sector"),
            false => (VerdictKind::Failed, "no-bootable-device"),
        };
        let detail = format!("the first sector ends in {:02x?}", &sector[510..]);
        Ok(Verdict::new(verdict, reason).with(|verdict| {
            verdict.evidence.push(Evidence::new("console", detail));
            verdict.seconds = begin.elapsed().as_secs_f64();
        }))
    }
}

/// The first sector of a disk, whatever format its image has.
fn first_sector(disk: &MachineDisk, copy: &Path) -> Result<[u8; 512]> {
    let mut dd = Command::new("qemu-img");
    dd.args(["dd", "-f", &disk.format, "-O", "raw", "bs=512", "count=1", &format!("if={}", disk.image)]);
    let done = dd.arg(format!("of={}", copy.display())).output();
    let done = done.map_err(|error| PluginError::from_io("qemu-img", &error))?;
    if !done.status.success() {
        return Err(PluginError::unusable(format!("{}: {}", disk.image, String::from_utf8_lossy(&done.stderr).trim())));
    }
    let sector = std::fs::read(copy).map_err(|error| PluginError::from_io(copy.display(), &error))?;
    sector.try_into().map_err(|_| PluginError::unusable(format!("{}: it has no whole sector", disk.image)))
}

impl Plugin for MyPlugin {
    fn new(host: Host) -> Result<Self> {
        Ok(Self { host })
    }
    fn tester(&self) -> Option<Box<dyn Tester>> {
        Some(Box::new(self.clone()))
    }
}

export_plugin! {
    plugin: MyPlugin,
    name: "my-plugin",
    summary: "Looks for a boot sector",
    kinds: ["tester"],
    guests: [],
    capabilities: ["bios"],
    libraries: [],
    programs: [("qemu-img", "qemu-utils", "qemu-img")],
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_testing::{FakeHost, conformance, sample};

    use super::*;

    #[test]
    fn keeps_the_promises_of_a_tester() {
        let fake = FakeHost::new();
        conformance::tester(&MyPlugin { host: fake.without_settings() }, &fake).assert();
    }

    #[test]
    fn a_boot_sector_passes() {
        let folder = std::env::temp_dir().join(format!("my-plugin-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("work")).unwrap();
        let mut disk = vec![0; 1024];
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(folder.join("disk.raw"), disk).unwrap();
        let tester = MyPlugin { host: FakeHost::new().without_settings() };
        let verdict = tester.test(&sample::test_request(&folder.join("disk.raw"), 1024));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(verdict.unwrap().verdict, VerdictKind::Passed);
    }
}
