//! A host for the tests, and requests to test with.

pub mod painted;
pub mod sector;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sector::{Output, Then, boot_sector};
use serde_json::{Value, json};
use tempfile::TempDir;
use vmdk2kvm_plugin_api::model::{
    Card, CardModel, Cpus, DiskBus, Firmware, Machine, MachineDisk, TestRequest, Verdict,
};
use vmdk2kvm_plugin_api::{Plugin, Result};
use vmdk2kvm_plugin_testing::FakeHost;
use vmdk2kvm_qemu_test::QemuTest;

/// A folder with an image, and a request to test it.
pub struct Bench {
    pub folder: TempDir,
    pub image: PathBuf,
    pub request: TestRequest,
}

impl Bench {
    /// A guest that is nothing but a boot sector, under an awkward name.
    pub fn new(output: Output, text: &[u8], then: Then) -> Self {
        Self::of(&boot_sector(output, text, then))
    }

    pub fn of(sector: &[u8; 512]) -> Self {
        Self::holding(sector)
    }

    /// A disk that begins with these bytes.
    pub fn holding(content: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("disk, \"1\":a=b %s.raw");
        let mut bytes = vec![0; 1 << 20];
        bytes[..content.len()].copy_from_slice(content);
        std::fs::write(&image, bytes).unwrap();
        std::fs::set_permissions(&image, std::fs::Permissions::from_mode(0o400)).unwrap();
        let request = request(folder.path(), &image, "raw", 1 << 20);
        Self { folder, image, request }
    }

    /// Runs the test under translation, so that it is the same everywhere.
    pub fn test(&self) -> Verdict {
        self.tester(&FakeHost::new(), json!({})).unwrap()
    }

    pub fn tester(&self, services: &FakeHost, settings: Value) -> Result<Verdict> {
        let before = std::fs::read(&self.image).unwrap();
        let verdict = tester(services, settings, &self.request);
        assert!(before == std::fs::read(&self.image).unwrap(), "the image was written to");
        let left: Vec<_> = std::fs::read_dir(&self.request.work_dir).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        verdict
    }

    pub fn console(&self) -> String {
        std::fs::read_to_string(Path::new(&self.request.evidence_dir).join("console.log")).unwrap()
    }
}

/// A test of an overlay of one image with small limits.
pub fn request(folder: &Path, image: &Path, format: &str, size: u64) -> TestRequest {
    let machine = Machine::new("probe", Firmware::Bios, Cpus::new(1, 1), 128 << 20).with(|machine| {
        machine.disks = vec![MachineDisk::new("qcow2", size, DiskBus::Virtio).with(|disk| {
            disk.image = overlay(folder, image, format).to_str().unwrap().to_owned();
            disk.serial = Some("disk1".to_owned());
            disk.boot_order = Some(1);
        })];
        let card = Card::new(CardModel::Virtio);
        machine.cards = vec![card.clone().with(|card| card.mac = Some("00:50:56:2a:77:01".to_owned())), card];
    });
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let (evidence, work) = (text(folder.join("boot")), text(folder.join("work, dir")));
    TestRequest::new(machine, evidence, work, text(folder.join("s"))).with(|request| request.timeout_seconds = 60)
}

/// A throw-away overlay, as the host makes it; a folder has as many as are asked for.
fn overlay(folder: &Path, image: &Path, format: &str) -> PathBuf {
    let overlays = folder.join("over,lays");
    std::fs::create_dir_all(&overlays).unwrap();
    let number = std::fs::read_dir(&overlays).unwrap().count();
    let overlay = overlays.join(format!("test-{number}.qcow2"));
    let made = std::process::Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", format, "-b"])
        // A bare name could be taken for a protocol.
        .args([image, &overlay])
        .output()
        .expect("qemu-img is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    overlay
}

pub fn tester(services: &FakeHost, mut settings: Value, request: &TestRequest) -> Result<Verdict> {
    if settings.get("accelerator").is_none() {
        settings["accelerator"] = json!("tcg");
    }
    QemuTest::new(services.host(settings))?.tester().unwrap().test(request)
}
