//! A host for the tests, and requests to test with.

pub mod sector;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sector::{Output, Then, boot_sector};
use serde_json::{Value, json};
use tempfile::TempDir;
use vmdk2kvm_plugin_api::model::{FinalImage, TestRequest, Verdict};
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
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("disk, \"1\":a=b %s.raw");
        let mut bytes = vec![0; 1 << 20];
        bytes[..512].copy_from_slice(sector);
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

/// A test of one image with small limits.
pub fn request(folder: &Path, image: &Path, format: &str, size: u64) -> TestRequest {
    serde_json::from_value(json!({
        "vm": {
            "schema": 1, "name": "probe", "firmware": "bios",
            "cpus": { "count": 1, "sockets": 1, "cores_per_socket": 1 },
            "memory_bytes": 128 << 20,
            "nics": [{ "mac": "00:50:56:2a:77:01", "kind": "network" }, { "mac": null, "kind": "network" }],
        },
        "images": [FinalImage {
            path: image.to_str().unwrap().to_owned(), format: format.to_owned(), virtual_size: size
        }],
        "domain_xml": "",
        "evidence_dir": folder.join("boot"),
        "work_dir": folder.join("work, dir"),
        "timeout_seconds": 60,
    }))
    .unwrap()
}

pub fn tester(services: &FakeHost, mut settings: Value, request: &TestRequest) -> Result<Verdict> {
    if settings.get("accelerator").is_none() {
        settings["accelerator"] = json!("tcg");
    }
    QemuTest::new(services.host(settings))?.tester().unwrap().test(request)
}
