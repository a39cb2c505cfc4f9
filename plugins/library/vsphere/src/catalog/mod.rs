//! Which VMs there are, and what one of them is; what reading one needs is taken, and given back. Nothing here depends on who asks the server: see
//! [`Api`].

mod hold;
mod power;
mod rounds;
mod tracking;

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use vmdk2kvm_plugin_api::model::{
    Changed, Finding, Hold, HoldWish, PowerState, PowerWish, Release, Severity, SourceRef, VmSpec, VmSummary,
};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{Catalog, ErrorKind, Host, PluginError, Result};

use crate::api::Api;
use crate::collector::Object;
use crate::concerns::Busy;
use crate::datastore::File;
use crate::inventory::{self, Names, shown_path};
use crate::machine::{Machine, PROPERTIES, Snapshot};
use crate::request::Moref;
use crate::session::{Failed, Login};
use crate::trust::Trust;
use crate::{Address, Door, Tree, Wanted, concerns, privileges, ways};

/// What the user may set of a catalog.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A file with certificates of authorities, in place of this machine's.
    pub ca: Option<String>,
    /// Whether the guest's filesystems are to be at rest in a snapshot.
    pub quiesce: bool,
}

/// How a catalog logs in: at a door, as somebody.
pub type Open = Box<dyn Fn(&Host, Door, Login) -> Result<Box<dyn Api>> + Send + Sync>;

/// The catalog of one source. Logs in when it is asked the first question, and out when it is dropped.
pub struct VmCatalog {
    host: Host,
    options: Options,
    address: Address,
    vm: Option<String>,
    open: Open,
    api: OnceLock<Box<dyn Api>>,
    beginning: Mutex<()>,
    described: Mutex<Option<Described>>,
}

/// So many of a VM's last tasks are looked at.
const TASKS: usize = 8;

/// The topmost file of each disk, by the disk's key.
type Files = BTreeMap<i64, Option<File>>;

/// What a VM was when it was described.
struct Described {
    files: Files,
    /// Why it is not read, one sentence each.
    blocked: Vec<Finding>,
    /// Why it is not read but by the vendor's library.
    blocked_others: Vec<Finding>,
}

/// Those of a VM, or of a snapshot of it.
fn files(machine: &Machine) -> Files {
    machine.disks.iter().map(|disk| (disk.key, disk.backing.files.first().cloned())).collect()
}

/// A VM and what it was made from.
struct Seen {
    pub names: Names,
    pub object: Object,
    pub machine: Machine,
}

impl VmCatalog {
    /// The catalog of a source; asks nobody yet.
    pub fn new(host: Host, options: Options, source: &SourceRef, open: Open) -> Result<Self> {
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
            options,
            address,
            vm: source.vm.clone(),
            open,
            api: OnceLock::new(),
            beginning: Mutex::default(),
            described: Mutex::default(),
        })
    }

    /// Whoever asks the server: logged in with the first question.
    fn api(&self) -> Result<&dyn Api> {
        let _one = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(api) = self.api.get() {
            return Ok(api.as_ref());
        }
        let user = self.address.user.clone().ok_or_else(|| {
            PluginError::new(ErrorKind::Usage, "the source names no user")
                .hint("write it before the host: vsphere://USER@HOST/..., an @ in it as %40")
        })?;
        let password = self.host.secret("password")?.ok_or_else(|| {
            PluginError::new(ErrorKind::Auth, format!("no password of {} is given", escape(&user)))
                .hint("name a file of mode 0600 that holds it with --password-file, or in [secrets] of a job")
        })?;
        let read = |path: &String| std::fs::read_to_string(path).map_err(|error| PluginError::from_io(path, &error));
        let authorities = self.options.ca.as_ref().map(read).transpose()?;
        let trust = Trust { pin: self.address.thumbprint.clone(), authorities };
        let api = (self.open)(&self.host, Door::new(&self.address.server(), trust)?, Login { user, password })?;
        Ok(self.api.get_or_init(|| api).as_ref())
    }

    /// The VM as it is now.
    fn present(&self) -> Result<Seen> {
        let api = self.api()?;
        let names = Names::read(api)?;
        let moref = inventory::find(api, &names, &self.address, self.vm.as_deref())?;
        let object = api.read(&moref, &PROPERTIES, "reading the VM")?;
        let machine = Machine::new(&object, &names, None);
        Ok(Seen { names, object, machine })
    }

    /// What works on a VM at the moment.
    fn busy(&self, machine: &Machine) -> Result<Option<Busy>> {
        let api = self.api()?;
        for task in machine.tasks.iter().rev().take(TASKS) {
            let found = match api.try_read(task, &["info"]) {
                // Old ones are forgotten.
                Err(Failed::Fault(fault)) if fault.is_gone() => continue,
                found => found.map_err(|failed| failed.error("looking at the VM's tasks", api.server()))?,
            };
            if let Some(busy) = found.get("info").and_then(concerns::working) {
                return Ok(Some(busy));
            }
        }
        Ok(None)
    }

    /// The snapshot that the user named.
    fn named_snapshot(&self, machine: &Machine) -> Result<Option<Snapshot>> {
        self.address.snapshot.as_ref().map(|wanted| choose(machine, wanted)).transpose()
    }

    /// Refuses to read what was found not to be readable by these schemes: nothing is taken for it, and no byte moves.
    fn check_findings(&self, vm: &str, schemes: &[String]) -> Result<()> {
        let described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Described { blocked, blocked_others, .. }) = described.as_ref() else { return Ok(()) };
        let by_library = schemes.iter().any(|scheme| scheme == ways::DISK);
        let blocked: Vec<&Finding> = blocked.iter().chain(blocked_others.iter().filter(|_| !by_library)).collect();
        let Some(first) = blocked.first() else { return Ok(()) };
        let told: Vec<String> = blocked.iter().map(|it| format!("{} ({})", it.message, it.code)).collect();
        let message = format!("{} is not read: {}", escape(vm), told.join("; "));
        Err(PluginError::new(ErrorKind::Blocked, message).hint(&first.hint))
    }

    /// Refuses to read other files than those that were described.
    fn check_files(&self, machine: &Machine, now: &Files) -> Result<()> {
        let described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        if described.as_ref().is_none_or(|described| described.files == *now) {
            return Ok(());
        }
        let vm = escape(&machine.spec.name);
        let other = machine.snapshots.iter().find(|snapshot| hold::is_ours(&snapshot.name));
        Err(match other {
            Some(other) => PluginError::new(ErrorKind::Temporary, format!("{vm} has the snapshot \"{}\" of another run", escape(&other.name)))
                .hint("when that run is over, `vmdk2kvm release DIR` of its folder removes it, or the vSphere client; then run again"),
            None => PluginError::new(ErrorKind::Temporary, format!("{vm} got other disk files since it was described"))
                .hint("a snapshot was made or removed meanwhile: run the same command again"),
        })
    }

    /// The devices of a snapshot.
    fn devices(&self, snapshot: &Moref) -> Result<Tree> {
        let found = self.api()?.read(snapshot, &["config.hardware.device"], "reading the snapshot")?;
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

impl Catalog for VmCatalog {
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        let api = self.api()?;
        let names = Names::read(api)?;
        let mut all = Vec::new();
        api.read_all(&[("VirtualMachine", &PROPERTIES)], "reading the VMs", &mut |object| {
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
        let files = files(&machine);
        // Ours says nothing to anybody: it goes.
        machine.snapshots.retain(|snapshot| !hold::is_ours(&snapshot.name));
        let mut findings = concerns::examine(&mut machine);
        let api = self.api()?;
        let datastores: Vec<Moref> = object
            .get("datastore")
            .map(|list| list.children.iter().filter_map(Moref::of).collect())
            .unwrap_or_default();
        let lacking = privileges::lacking(api.session(), &machine.moref, &datastores);
        findings.extend(privileges::examine(&mut machine, &lacking));
        findings.extend(self.busy(&machine)?.map(|busy| busy.finding()));
        ways::order(&mut machine);
        let blocks = |finding: &&Finding| finding.severity == Severity::Block;
        let (blocked_others, blocked): (Vec<Finding>, Vec<Finding>) =
            findings.iter().filter(blocks).cloned().partition(|it| concerns::is_of_other_ways(it, &machine));
        // Whether they are in the way is known when it is known who reads: see `check_findings`.
        for finding in findings.iter_mut().filter(|finding| blocked_others.contains(finding)) {
            finding.severity = Severity::Warn;
        }
        *self.described.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Described { files, blocked, blocked_others });
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

    fn release(&self, hold: &Hold, why: Release) -> Result<()> {
        hold::release(self, hold, why)
    }
}
