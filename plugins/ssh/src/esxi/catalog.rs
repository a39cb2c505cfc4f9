//! Which VMs a host has, and what one of them is: by `vim-cmd`, and by their files.

use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::model::{
    Finding, Hold, HoldWish, PowerState, PowerWish, Release, Severity, SourceRef, VmSpec, VmSummary,
};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::tracing::warn;
use vmdk2kvm_plugin_api::{Catalog, ErrorKind, PluginError, Result};

use super::hold;
use super::machine::{Machine, Registered};
use super::place::Place;
use super::server::Server;
use super::snapshots::Snapshot;
use super::vim::{self, Config, Row};

/// So many VMs are listed in a message.
const LISTED: usize = 20;

/// The catalog of one source.
pub struct ShellCatalog {
    pub(super) server: Arc<Server>,
    /// The VM that the user named beside the address.
    wanted: Option<String>,
    described: Mutex<Option<Described>>,
}

/// What a VM was when it was described.
struct Described {
    files: Vec<Place>,
    /// Why it is not read.
    blocked: Vec<Finding>,
}

impl ShellCatalog {
    /// The catalog of a source; asks nobody yet.
    pub fn new(server: Arc<Server>, source: &SourceRef) -> Result<Self> {
        if !source.extra_disks.is_empty() {
            let message = "a VM of an ESXi host brings its disks itself: --disk has no meaning for it";
            return Err(PluginError::new(ErrorKind::Usage, message).hint("leave --disk out"));
        }
        Ok(Self { server, wanted: source.vm.clone(), described: Mutex::default() })
    }

    /// Every VM in the host's list, by their lines.
    fn rows(&self) -> Result<Vec<Row>> {
        let (output, ended) = self.server.ask("vim-cmd vmsvc/getallvms", vim::LONGEST)?;
        if !ended.is_good() {
            return Err(order_failed("listing the host's VMs", &ended.reason()));
        }
        Ok(vim::rows(&String::from_utf8_lossy(&output)))
    }

    /// What the host says of the VM in a line, with every path of its VMX; `None`: the line is no VM, or says something else than the host's own record of it.
    fn registered(&self, row: &Row) -> Result<Option<(Registered, Vec<Place>)>> {
        let (output, ended) = self.server.ask(&format!("vim-cmd vmsvc/get.config {}", row.id), vim::LONGEST)?;
        let config = Config::parse(&String::from_utf8_lossy(&output));
        let places = config.places();
        let Some(vmx) = places.first().filter(|_| ended.is_good() && row.text.contains(&config.vmx)) else {
            warn!("the host's list has a line {} that is no VM of it, and is left out", row.id);
            return Ok(None);
        };
        let registered =
            Registered { id: Some(row.id), vmx: vmx.clone(), name: config.name.clone(), tracking: config.tracking };
        Ok(Some((registered, places)))
    }

    /// The VM of a path; one that is in no list is one, too.
    pub(super) fn at(&self, vmx: &Place) -> Result<Registered> {
        let end = format!("] {}", vmx.within());
        for row in self.rows()?.iter().filter(|row| row.text.contains(&end)) {
            if let Some((registered, places)) = self.registered(row)? {
                if places.contains(vmx) {
                    // The way that the user wrote: files beside it are named by it.
                    return Ok(Registered { vmx: vmx.clone(), ..registered });
                }
            }
        }
        Ok(Registered { id: None, vmx: vmx.clone(), name: vmx.stem().to_owned(), tracking: None })
    }

    /// The VM that the user means.
    pub(super) fn chosen(&self) -> Result<Registered> {
        if let Some(vmx) = &self.server.address.vmx {
            return self.at(vmx);
        }
        let mut all = Vec::new();
        for row in self.rows()? {
            self.server.host().check_cancelled()?;
            // Reading all of a host's records to find one of them takes minutes.
            if self.wanted.as_ref().is_none_or(|name| row.text.contains(name.as_str())) {
                all.extend(self.registered(&row)?.map(|(registered, _)| registered));
            }
        }
        let list = |some: &[Registered]| {
            let mut names: Vec<String> = some.iter().take(LISTED).map(|it| it.vmx.to_string()).collect();
            names.extend((some.len() > LISTED).then(|| format!("and {} more", some.len() - LISTED)));
            names.join(", ")
        };
        let server = self.server.address.server();
        let hint = "name the VMX in the source: esxi+ssh://HOST/vmfs/volumes/DATASTORE/FOLDER/VM.vmx";
        let Some(wanted) = &self.wanted else {
            let message = format!("the source names no VM of {server} (vm-ambiguous); it has {}", list(&all));
            return Err(PluginError::unusable(message).hint(hint));
        };
        let mut found: Vec<Registered> = all.into_iter().filter(|it| it.name == *wanted).collect();
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(PluginError::unusable(format!("{server} has no VM '{}' (vm-not-found)", escape(wanted)))
                .hint("`vmdk2kvm inventory` of the host lists its VMs")),
            _ => {
                let message = format!("{server} has several VMs '{}': {} (vm-ambiguous)", escape(wanted), list(&found));
                Err(PluginError::unusable(message).hint(hint))
            }
        }
    }

    /// The snapshot that the user named.
    pub(super) fn named(&self, all: &[Snapshot]) -> Result<Option<Snapshot>> {
        let Some(wanted) = &self.server.address.snapshot else { return Ok(None) };
        let found: Vec<&Snapshot> = all.iter().filter(|it| it.name == *wanted).collect();
        match found.as_slice() {
            [one] => Ok(Some((*one).clone())),
            _ => {
                let names: Vec<String> = all.iter().map(|it| format!("'{}'", escape(&it.name))).collect();
                let how = if found.is_empty() { "no" } else { "several" };
                let among = if names.is_empty() { String::new() } else { format!(" among {}", names.join(", ")) };
                Err(PluginError::unusable(format!("the VM has {how} snapshot '{}'{among}", escape(wanted)))
                    .hint("name one of them by ?snapshot=, or leave that out"))
            }
        }
    }

    /// The VM as it is read: as the named snapshot has it, or as it was before a snapshot of ours.
    fn present(&self) -> Result<Machine> {
        let choose = |all: &[Snapshot]| {
            // What a run that died has left is what this one goes on with.
            Ok(self.named(all)?.or_else(|| all.iter().find(|snapshot| snapshot.is_ours()).cloned()))
        };
        Machine::read(&self.server, &self.chosen()?, &choose)
    }

    /// Refuses to read what was found not to be readable: nothing is taken for it, and no byte moves.
    pub(super) fn check_findings(&self, vm: &str) -> Result<()> {
        let described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        let blocked = described.as_ref().map(|described| described.blocked.as_slice()).unwrap_or_default();
        let Some(first) = blocked.first() else { return Ok(()) };
        let told: Vec<String> = blocked.iter().map(|it| format!("{} ({})", it.message, it.code)).collect();
        let message = format!("{} is not read: {}", escape(vm), told.join("; "));
        Err(PluginError::new(ErrorKind::Blocked, message).hint(&first.hint))
    }

    /// Refuses to read other files than those that were described.
    pub(super) fn check_files(&self, machine: &Machine) -> Result<()> {
        let described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        if described.as_ref().is_none_or(|described| described.files == machine.files) {
            return Ok(());
        }
        let vm = escape(&machine.spec.name);
        let other = machine.snapshots.iter().find(|snapshot| snapshot.is_ours());
        Err(match other {
            Some(other) => {
                let message = format!("{vm} has the snapshot \"{}\" of another run", escape(&other.name));
                PluginError::new(ErrorKind::Temporary, message)
                    .hint("when that run is over, `vmdk2kvm release DIR` of its folder removes it, or the host's client; then run again")
            }
            None => PluginError::new(ErrorKind::Temporary, format!("{vm} got other disk files since it was described"))
                .hint("a snapshot was made or removed meanwhile: run the same command again"),
        })
    }
}

/// The error of a command of the host's own tools.
pub(super) fn order_failed(doing: &str, reason: &str) -> PluginError {
    let message = format!("{doing}: the host refuses it: {}", escape(reason));
    let text = reason.to_ascii_lowercase();
    if text.contains("nopermission") || text.contains("permission") {
        return PluginError::new(ErrorKind::Auth, message)
            .hint("log in as root, or as a user with the role of an administrator");
    }
    if text.contains("restrictedversion") || text.contains("license") {
        return PluginError::new(ErrorKind::Auth, message)
            .hint("the host's licence forbids it: shut the VM down and read it while it is off");
    }
    PluginError::io(message).hint("look at the host's log (hostd.log), then run the same command again")
}

/// The finding of a VM that runs, for a list: whether that is in the way is for a run to say.
fn running(machine: &Machine) -> Option<Finding> {
    let message = format!("{} runs", escape(&machine.spec.name));
    let finding = Finding::new("vm-running", Severity::Block, message);
    machine.runs().then(|| finding.hint("allow a snapshot with --snapshot, or a shut-down with --power-off"))
}

/// A VM for a list.
fn summary(machine: Machine) -> VmSummary {
    let mut concerns: Vec<Finding> = running(&machine).into_iter().collect();
    concerns.extend(machine.findings);
    let datastores: std::collections::BTreeSet<String> =
        machine.files.iter().chain([&machine.registered.vmx]).map(|place| place.datastore().to_owned()).collect();
    let (registered, snapshots) = (machine.registered, machine.snapshots.len());
    VmSummary::new(machine.spec).with(|it| {
        it.path = Some(registered.vmx.path().to_owned());
        it.power = Some(machine.power);
        it.datastores = datastores.into_iter().collect();
        it.snapshots = u32::try_from(snapshots).ok();
        it.change_tracking = registered.tracking;
        it.concerns = concerns;
        it.names.insert("vmid".to_owned(), registered.id.into());
    })
}

impl Catalog for ShellCatalog {
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        if self.server.address.vmx.is_some() {
            return Ok(vec![summary(Machine::read(&self.server, &self.chosen()?, &|all| self.named(all))?)]);
        }
        let mut all = Vec::new();
        for row in self.rows()? {
            self.server.host().check_cancelled()?;
            let Some((registered, _)) = self.registered(&row)? else { continue };
            match Machine::read(&self.server, &registered, &|_| Ok(None)) {
                Ok(machine) => all.push(summary(machine)),
                Err(error) if matches!(error.kind, ErrorKind::Unusable | ErrorKind::Temporary) => {
                    self.server.host().warn(format!("{} is left out: {}", escape(&registered.name), error.message));
                }
                Err(error) => return Err(error),
            }
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(all)
    }

    fn describe(&self) -> Result<VmSpec> {
        let machine = self.present()?;
        let blocked = machine.findings.iter().filter(|it| it.severity == Severity::Block).cloned().collect();
        let described = Described { files: machine.files, blocked };
        *self.described.lock().unwrap_or_else(PoisonError::into_inner) = Some(described);
        Ok(machine.spec.with(|spec| spec.findings = machine.findings))
    }

    fn hold(&self, wish: &HoldWish) -> Result<Hold> {
        hold::hold(self, wish)
    }

    fn power(&self, wish: PowerWish) -> Result<PowerState> {
        hold::power(self, &self.chosen()?, wish)
    }

    fn release(&self, hold: &Hold, _: Release) -> Result<()> {
        hold::release(self, hold)
    }
}
