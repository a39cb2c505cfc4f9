//! Tests a result without booting it: a BIOS disk whose first sector is no boot sector cannot come up.

use std::fs::File;
use std::io::Read;
use std::time::Instant;

use vmdk2kvm_plugin_api::model::{Evidence, TestRequest, Verdict, VerdictKind};
use vmdk2kvm_plugin_api::{Host, Plugin, PluginError, Result, Tester, export_plugin};

#[derive(Clone)]
struct MyPlugin {
    host: Host,
}

impl Tester for MyPlugin {
    fn test(&self, request: &TestRequest) -> Result<Verdict> {
        self.host.check_cancelled()?;
        let begin = Instant::now();
        let image = request.images.first().ok_or_else(|| PluginError::unusable("the machine has no disk"))?;
        let mut sector = [0; 512];
        File::open(&image.path)
            .and_then(|mut file| file.read_exact(&mut sector))
            .map_err(|error| PluginError::from_io(&image.path, &error))?;
        let up = sector.ends_with(&[0x55, 0xaa]);
        let (verdict, reason) = match up {
            true => (VerdictKind::Passed, "boot-sector"),
            false => (VerdictKind::Failed, "no-bootable-device"),
        };
        let detail = format!("the first sector ends in {:02x} {:02x}", sector[510], sector[511]);
        Ok(Verdict {
            schema: 1,
            verdict,
            reason: reason.into(),
            evidence: vec![Evidence { kind: "console".into(), detail, file: None }],
            seconds: begin.elapsed().as_secs_f64(),
            accelerator: String::new(),
        })
    }
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
    capabilities: ["bios"],
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
        let path = std::env::temp_dir().join(format!("my-plugin-{}.raw", std::process::id()));
        let mut disk = vec![0; 1024];
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(&path, disk).unwrap();
        let tester = MyPlugin { host: FakeHost::new().without_settings() };
        let verdict = tester.test(&sample::test_request(&path, 1024));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(verdict.unwrap().verdict, VerdictKind::Passed);
    }
}
