//! The data plane of one disk: what the server says of it at this moment, and the disk that the library opens by that.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::Link;
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, Host, PluginError, Result, Transport};
use vmdk2kvm_vsphere::collector::{self, Object};
use vmdk2kvm_vsphere::disks::{self, VirtualDisk};
use vmdk2kvm_vsphere::request::Moref;
use vmdk2kvm_vsphere::{Session, ways};

use crate::disk::Disk;
use crate::engine::Engine;
use crate::handle::Wanted;
use crate::place::{self, Found};
use crate::turn::Turn;

/// Disks of one host that are read at once: each takes 4 MiB of the memory that a host has for transfers, which
/// is 48 MiB, and 96 MiB from version 8 on.
const DISKS: u32 = 12;
const DISKS_FROM_8: u32 = 24;

/// The transport of one disk.
pub struct VddkTransport {
    host: Host,
    session: Arc<Session>,
    found: Found,
    libdir: String,
    transports: String,
    object: String,
    vm: Moref,
    key: i64,
    snapshot: Option<Moref>,
    name: String,
}

/// What the server says of the disk.
struct Seen {
    vm: Object,
    disk: VirtualDisk,
    /// What changes when the content may have.
    content: String,
}

impl VddkTransport {
    /// The transport of a link's disk. Opens nothing yet.
    pub fn new(
        host: Host,
        session: Arc<Session>,
        found: Found,
        libdir: String,
        transports: String,
        link: &Link,
    ) -> Result<Self> {
        let object = link.way.object.clone();
        let keys = object.split_once('/').and_then(|(vm, key)| Some((vm.to_owned(), key.parse().ok()?)));
        let (vm, key) = keys.ok_or_else(|| PluginError::cannot(format!("reading '{}'", escape(&object))))?;
        let name = link.vm.disks.get(link.disk as usize).map_or(object.as_str(), |disk| disk.name.as_str());
        let name = escape(name).into_owned();
        let snapshot = link.hold.notes[ways::SNAPSHOT_NOTE].as_str().map(|id| Moref::new("VirtualMachineSnapshot", id));
        place::check_gap(found.version, session.server(), session.version())?;
        Ok(Self {
            host,
            session,
            found,
            libdir,
            transports,
            object,
            vm: Moref::new("VirtualMachine", vm),
            key,
            snapshot,
            name,
        })
    }

    fn check_object(&self, object: &str) -> Result<()> {
        // A whole disk refers to nothing.
        if object == self.object {
            Ok(())
        } else {
            Err(PluginError::unusable(format!("{} is not that disk", escape(object))))
        }
    }

    fn see(&self) -> Result<Seen> {
        let what = format!("looking at {}", self.name);
        let vm = collector::read(
            &self.session,
            &self.vm,
            &["runtime.host", "runtime.powerState", "config.hardware.device"],
            &what,
        )?;
        let held = match &self.snapshot {
            Some(snapshot) => Some(collector::read(&self.session, snapshot, &["config.hardware.device"], &what)?),
            None => None,
        };
        let devices = held.as_ref().unwrap_or(&vm).get("config.hardware.device").cloned().unwrap_or_default();
        let found = disks::disks(&devices, &self.vm.id, "").into_iter().find(|disk| disk.key == self.key);
        let disk = found.ok_or_else(|| {
            PluginError::unusable(format!("{}: {} has no disk {} any more", self.name, self.session.server(), self.key))
                .hint("it was removed meanwhile: run the same command again")
        })?;
        let own = devices.children.iter().find(|device| device.number::<i64>("key") == Some(self.key));
        let content = own.and_then(|device| device.text("backing.contentId")).unwrap_or_default();
        // What a snapshot holds stays; a VM that was started since may have written.
        let power = self.snapshot.is_none().then(|| vm.text("runtime.powerState").unwrap_or_default().to_owned());
        let content = format!("{content} {}", power.unwrap_or_default());
        Ok(Seen { vm, disk, content })
    }
}

impl Transport for VddkTransport {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        self.check_object(object)?;
        let Seen { vm, disk, .. } = self.see()?;
        let server = self.session.server();
        if self.snapshot.is_none() && vm.text("runtime.powerState") != Some("poweredOff") {
            return Err(PluginError::new(
                ErrorKind::Blocked,
                format!("{}: its VM runs, and only a snapshot of it can be read (vm-running)", self.name),
            )
            .hint("allow a snapshot with --snapshot, or a shut-down with --power-off"));
        }
        let file = disk.backing.files.first();
        let file = file.ok_or_else(|| PluginError::unusable(format!("{}: {server} names no file of it", self.name)))?;
        let thumbprint = self.session.door().shown_thumbprint();
        let thumbprint = thumbprint.ok_or_else(|| PluginError::defect("the server's certificate was not seen"))?;
        let endpoint = self.session.door().endpoint();
        let (name, port) = endpoint.rsplit_once(':').unwrap_or((&endpoint, "443"));
        let login = self.session.login();
        let wanted = Wanted {
            name: self.name.clone(),
            vm: format!("moref={}", self.vm.id),
            server: name.trim_matches(['[', ']']).to_owned(),
            port: port.parse().unwrap_or(443),
            thumbprint,
            user: login.user.clone(),
            password: login.password.clone(),
            cookie: self.session.cookie(),
            snapshot: self.snapshot.as_ref().map(|snapshot| snapshot.id.clone()),
            transports: self.transports.clone(),
            path: file.to_string(),
        };
        let on = vm.get("runtime.host").map_or("", |host| host.text.trim());
        let limit = if place::is_from(self.session.version(), 8) { DISKS_FROM_8 } else { DISKS };
        let turn = Turn::new(self.host.clone(), format!("esx:{server} {on} nfc"), limit);
        let engine = Engine::get(&self.found, &self.libdir)?;
        let size = disk.disk.capacity_bytes;
        Ok(Box::new(Disk::open(self.host.clone(), engine, wanted, size, turn, Arc::clone(&self.session))?))
    }

    fn resolve(&self, _: &str, name: &str) -> Result<String> {
        Err(PluginError::unusable(format!("{}: a whole disk refers to nothing: '{}'", self.name, escape(name))))
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        self.check_object(object)?;
        let Seen { disk, content, .. } = self.see()?;
        let file = disk.backing.files.first().map(ToString::to_string).unwrap_or_default();
        Ok(format!("{object} {} {file} {content}", disk.disk.capacity_bytes))
    }
}
