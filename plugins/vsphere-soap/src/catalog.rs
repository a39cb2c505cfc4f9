//! Which VMs there are, and what one of them is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use vmdk2kvm_plugin_api::model::{
    Changed, Hold, HoldWish, PowerState, PowerWish, Release, SourceRef, VmSpec, VmSummary,
};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{Catalog, ErrorKind, Host, PluginError, Result};
use vmdk2kvm_vsphere::collector::{self, Object};
use vmdk2kvm_vsphere::datastore::File;
use vmdk2kvm_vsphere::inventory::{self, Names, shown_path};
use vmdk2kvm_vsphere::machine::{Machine, PROPERTIES, Snapshot};
use vmdk2kvm_vsphere::request::Moref;
use vmdk2kvm_vsphere::session::Login;
use vmdk2kvm_vsphere::trust::Trust;
use vmdk2kvm_vsphere::{Address, Door, Session, Tree, Wanted, concerns};

use crate::{Settings, hold, power, tracking};

/// The catalog of one source. Logs in when it is asked the first question, and out when it is dropped.
pub struct SoapCatalog {
    pub(crate) host: Host,
    pub(crate) settings: Arc<Settings>,
    address: Address,
    vm: Option<String>,
    session: OnceLock<Session>,
    beginning: Mutex<()>,
    described: Mutex<Option<Files>>,
}

/// The topmost file of each disk, by the disk's key.
pub(crate) type Files = BTreeMap<i64, Option<File>>;

/// Those of a VM, or of a snapshot of it.
pub(crate) fn files(machine: &Machine) -> Files {
    machine.disks.iter().map(|disk| (disk.key, disk.backing.files.first().cloned())).collect()
}

/// A VM and what it was made from.
pub(crate) struct Seen {
    pub names: Names,
    pub object: Object,
    pub machine: Machine,
}

impl SoapCatalog {
    /// The catalog of a source; asks nobody yet.
    pub fn new(host: Host, settings: Arc<Settings>, source: &SourceRef) -> Result<Self> {
        let address = Address::parse(&source.uri)?;
        if !source.extra_disks.is_empty() {
            return Err(PluginError::new(
                ErrorKind::Usage,
                "a VM of a vCenter brings its disks itself: --disk has no meaning for it",
            )
            .hint("leave --disk out"));
        }
        Ok(Self {
            host,
            settings,
            address,
            vm: source.vm.clone(),
            session: OnceLock::new(),
            beginning: Mutex::default(),
            described: Mutex::default(),
        })
    }

    /// The session, which begins with the first question.
    pub(crate) fn session(&self) -> Result<&Session> {
        let _one = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = self.session.get() {
            return Ok(session);
        }
        let user = self.address.user.clone().ok_or_else(|| {
            PluginError::new(ErrorKind::Usage, "the source names no user")
                .hint("write it before the host: vsphere://USER@HOST/..., an @ in it as %40")
        })?;
        let password = self.host.secret("password")?.ok_or_else(|| {
            PluginError::new(ErrorKind::Auth, format!("no password of {} is given", escape(&user)))
                .hint("name a file of mode 0600 that holds it with --password-file, or in [secrets] of a job")
        })?;
        let trust = Trust { pin: self.address.thumbprint.clone(), authorities: self.settings.authorities()? };
        let session = Session::begin(Door::new(&self.address.server(), trust)?, Login { user, password })?;
        Ok(self.session.get_or_init(|| session))
    }

    /// The VM as it is now.
    pub(crate) fn present(&self) -> Result<Seen> {
        let session = self.session()?;
        let names = Names::read(session)?;
        let moref = inventory::find(session, &names, &self.address, self.vm.as_deref())?;
        let object = collector::read(session, &moref, &PROPERTIES, "reading the VM")?;
        let machine = Machine::new(&object, &names, None);
        Ok(Seen { names, object, machine })
    }

    /// The snapshot that the user named.
    pub(crate) fn named_snapshot(&self, machine: &Machine) -> Result<Option<Snapshot>> {
        self.address.snapshot.as_ref().map(|wanted| choose(machine, wanted)).transpose()
    }

    /// Refuses to read other files than those that were described.
    pub(crate) fn check_files(&self, machine: &Machine, now: &Files) -> Result<()> {
        let described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        if described.as_ref().is_none_or(|described| described == now) {
            return Ok(());
        }
        let vm = escape(&machine.spec.name);
        let other = machine.snapshots.iter().find(|snapshot| hold::is_ours(&snapshot.name));
        Err(match other {
            Some(other) => PluginError::new(ErrorKind::Temporary, format!("{vm} has the snapshot \"{}\" of another run", escape(&other.name)))
                .hint("when that run is over, `vmdk2kvm release DIR` of its folder removes it, or the vSphere client; then run again"),
            None => PluginError::new(ErrorKind::Temporary, format!("{vm} got other disk files since it was described"))
                .hint("somebody made or removed a snapshot meanwhile: run the same command again"),
        })
    }

    /// The devices of a snapshot.
    pub(crate) fn devices(&self, snapshot: &Moref) -> Result<Tree> {
        let found = collector::read(self.session()?, snapshot, &["config.hardware.device"], "reading the snapshot")?;
        Ok(found.get("config.hardware.device").cloned().unwrap_or_default())
    }

    fn is_listed(&self, path: &[String]) -> bool {
        match &self.address.wanted {
            Wanted::Path(parts) => path.starts_with(parts) || path.ends_with(parts),
            _ => true,
        }
    }
}

/// The snapshot of this name or id.
fn choose(machine: &Machine, wanted: &str) -> Result<Snapshot> {
    let found: Vec<&Snapshot> =
        machine.snapshots.iter().filter(|it| it.name == wanted || it.moref.id == wanted).collect();
    let all: Vec<String> =
        machine.snapshots.iter().map(|it| format!("'{}' ({})", escape(&it.name), it.moref.id)).collect();
    let (vm, wanted) = (escape(&machine.spec.name), escape(wanted));
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] if all.is_empty() => {
            Err(PluginError::unusable(format!("{vm} has no snapshots")).hint("leave ?snapshot= out"))
        }
        [] => Err(PluginError::unusable(format!("{vm} has no snapshot '{wanted}' among {}", all.join(", ")))
            .hint("name one of them by ?snapshot=")),
        _ => Err(PluginError::unusable(format!("{vm} has several snapshots '{wanted}' among {}", all.join(", ")))
            .hint("name the one that you mean by its id: ?snapshot=snapshot-12")),
    }
}

/// A VM for a list.
fn summary(mut machine: Machine) -> VmSummary {
    let mut found: Vec<_> = concerns::running(&machine).into_iter().collect();
    found.extend(concerns::examine(&mut machine));
    let Machine { moref, spec, path, power, snapshots, tracking, host, datastores, used_bytes, .. } = machine;
    VmSummary::new(spec).with(|it| {
        it.path = Some(shown_path(&path));
        it.power = Some(power);
        it.host = host;
        it.datastores = datastores.into_iter().map(|(name, _)| name).collect();
        it.used_bytes = used_bytes;
        it.snapshots = u32::try_from(snapshots.len()).ok();
        it.change_tracking = tracking;
        it.concerns = found;
        it.names.insert("moref".to_owned(), moref.id.into());
    })
}

impl Catalog for SoapCatalog {
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        let session = self.session()?;
        let names = Names::read(session)?;
        let mut all = Vec::new();
        collector::read_all(session, &[("VirtualMachine", &PROPERTIES)], "reading the VMs", &mut |object| {
            if self.is_listed(&names.path(&object)) {
                all.push(summary(Machine::new(&object, &names, None)));
            }
            self.host.check_cancelled()
        })?;
        all.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(all)
    }

    fn describe(&self) -> Result<VmSpec> {
        let Seen { names, object, mut machine } = self.present()?;
        // What a run that died has left is what this one goes on with: its disks' files are those from before that snapshot.
        let left = || machine.snapshots.iter().find(|snapshot| hold::is_ours(&snapshot.name)).cloned();
        if let Some(snapshot) = self.named_snapshot(&machine)?.or_else(left) {
            let devices = self.devices(&snapshot.moref)?;
            machine = Machine::new(&object, &names, Some(&devices));
        }
        *self.described.lock().unwrap_or_else(PoisonError::into_inner) = Some(files(&machine));
        // Ours says nothing to anybody: it goes.
        machine.snapshots.retain(|snapshot| !hold::is_ours(&snapshot.name));
        let findings = concerns::examine(&mut machine);
        Ok(machine.spec.with(|spec| spec.findings = findings))
    }

    fn hold(&self, wish: &HoldWish) -> Result<Hold> {
        hold::hold(self, wish)
    }

    fn changed(&self, hold: &Hold, disk: &str, since: &str, from: u64) -> Result<Changed> {
        tracking::changed(self, hold, disk, since, from)
    }

    fn power(&self, wish: PowerWish) -> Result<PowerState> {
        power::switch(self, &self.present()?.machine, wish)
    }

    fn release(&self, hold: &Hold, _: Release) -> Result<()> {
        hold::release(self, hold)
    }
}
