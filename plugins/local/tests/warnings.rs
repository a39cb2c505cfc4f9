//! What is told in the log and does not stop a run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Debug;
use std::path::Path;
use std::sync::{Arc, Mutex};

use vmdk2kvm_local::Local;
use vmdk2kvm_plugin_api::model::SourceRef;
use vmdk2kvm_plugin_api::tracing::{self, Event, Metadata, Subscriber, field, span};
use vmdk2kvm_plugin_api::{Fetcher, Result};

/// Collects the messages of warnings.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl field::Visit for Log {
    fn record_debug(&mut self, field: &field::Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// What describing the source warns of, its folder written as `DIR`.
fn warnings(path: &Path) -> Vec<String> {
    let log = Log::default();
    let source = SourceRef::new(path.to_str().unwrap());
    let described: Result<_> =
        tracing::subscriber::with_default(log.clone(), || Local::default().catalog(&source)?.describe());
    described.unwrap();
    let folder = path.parent().unwrap().to_str().unwrap();
    log.0.lock().unwrap().iter().map(|message| message.replace(folder, "DIR")).collect()
}

#[test]
fn what_is_odd_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let file = |name: &str, content: &[u8]| {
        std::fs::write(root.join(name), content).unwrap();
        root.join(name)
    };
    file("a.vmdk", b"# Disk DescriptorFile\n");
    let vmx =
        file("web.vmx", b"scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.vmdk\"\nethernet0.fileName = \"x\"\n");
    assert_eq!(warnings(&vmx), Vec::<String>::new());

    std::fs::create_dir(root.join("a.vmdk.lck")).unwrap();
    assert_eq!(
        warnings(&vmx),
        ["DIR/a.vmdk.lck exists: the virtual machine may be running, and its disks may change while they are read"]
    );

    let trap = file("trap.raw", b"QFI\xfb\0\0\0\x03");
    assert_eq!(
        warnings(&trap),
        [
            "DIR/trap.raw: it begins like a qcow2 image and is read as raw, because its name says so; if that is wrong, rename it"
        ]
    );

    let odd = file(
        "odd.vmx",
        b"firmware = \"coreboot\"\nuuid.bios = \"?\"\nnumvcpus = \"3\"\ncpuid.coresPerSocket = \"2\"\n\
          ethernet0.present = \"TRUE\"\nethernet0.address = \"?\"\nscsi0:0.fileName = \"a.vmdk\"\nbios.hddOrder = \"scsi0:1\"\n\
          sata0.present = \"FALSE\"\nsata0:0.present = \"TRUE\"\nide0:0.present = \"TRUE\"\nide0:0.fileName = \"a.vmdk\"\n",
    );
    assert_eq!(
        warnings(&odd),
        [
            "firmware 'coreboot' is not known; BIOS is assumed",
            "3 processors do not divide into sockets of 2 cores; each gets a socket of its own",
            "uuid.bios '?' is not a UUID; the machine gets a new one",
            "scsi0:0 has a file and no 'scsi0:0.present': VMware does not attach it, and it is left out",
            "sata0:0 is on a controller that is not present, and is left out",
            "the boot order names scsi0:1, which is no disk",
            "ethernet0: '?' is not a MAC address; the card gets a new one",
            "DIR/a.vmdk.lck exists: the virtual machine may be running, and its disks may change while they are read",
        ]
    );
}
