//! Defines a machine at a daemon: its images into a pool, when one is named, and its domain. Nothing is started.
//!
//! Every step is noted with what undoes it ([`undo`](super::undo)); between the steps the host may ask to stop. At the end the domain is read
//! back and compared with what was written.

use sha2::{Digest, Sha256};
use vmdk2kvm_libvirt::domain::{Words, domain_name, domain_xml, opens};
use vmdk2kvm_libvirt::mark::{Mark, NAMESPACE};
use vmdk2kvm_libvirt::reach::networks;
use vmdk2kvm_libvirt::{Connection, Domain, Error, compare};
use vmdk2kvm_plugin_api::model::{Define, Defined, Finding, Machine, MachineDisk, Severity};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};

use super::known::{Known, look_up};
use super::options::Options;
use super::pool::{Images, volume_name};
use super::reach::folders;
use super::undo::Undo;

/// Where a machine is defined when nobody says.
const USUAL: &str = "qemu:///system";

/// Defines it, or changes nothing.
pub(super) fn define(host: &Host, request: &Define) -> Result<Defined> {
    let options = Options::of(&request.render)?;
    let machine = &request.render.machine;
    if let Some(disk) = machine.disks.iter().find(|disk| !opens(&disk.format)) {
        return Err(PluginError::unusable(format!("{}: libvirt opens no {} disks", disk.image, disk.format))
            .hint("migrate with --format qcow2 or --format raw"));
    }
    if let (Some(disk), Some(_)) = (machine.disks.iter().find(|disk| disk.block_device), &request.pool) {
        return Err(PluginError::new(
            ErrorKind::Usage,
            format!("{} is a block device, which no pool takes", disk.image),
        )
        .hint("leave --pool away: the domain uses the device"));
    }
    let uri = request.connect.as_deref().unwrap_or(USUAL);
    let connection = Connection::open(uri)?;
    let place = connection.uri().unwrap_or_else(|_| uri.to_owned());
    // Between looking for a name and taking it, no other run of ours does the same.
    let _turn = host.slot(&format!("libvirt:{place}"), 1)?;
    let known = look_up(&connection, machine)?;
    let definition = Definition { host, request, connection: &connection, options };
    let name = domain_name(&machine.name);
    let wanted = definition.digest()?;
    let mut findings = networks(&connection, machine);
    if request.pool.is_none() {
        findings.extend(folders(uri, machine));
    }
    let images = request.pool.as_deref().map(|pool| Images::open(host, &connection, pool)).transpose()?;
    let defined = |unchanged, findings| {
        Ok(Defined::new(name.clone()).with(|defined| {
            defined.unchanged = unchanged;
            defined.findings = findings;
        }))
    };
    if let Some(known) = &known {
        if known.mark.run == request.run && known.mark.wanted == wanted {
            findings.extend(definition.drift(known)?);
            // Of a run that died at its very end.
            images.as_ref().map(|images| images.settle(&definition.volumes())).transpose()?;
            return defined(true, findings);
        }
        may_replace(known, request, &name)?;
    }
    let mut undo = Undo::default();
    match definition.carry_out(images.as_ref(), known.as_ref(), &wanted, &mut undo) {
        Ok(more) => {
            findings.extend(more);
            defined(false, findings)
        }
        Err(error) => Err(undo.all(error)),
    }
}

/// What is ours is replaced where the user says so, and while nothing runs on it.
fn may_replace(known: &Known, request: &Define, name: &str) -> Result<()> {
    if !request.replace {
        return Err(PluginError::output(format!(
            "a domain {name} of this program exists already, from another definition"
        ))
        .hint("replace it with --replace, or migrate with another name: --name NAME"));
    }
    let active = known.domain.is_active().map_err(|error| error.during(format_args!("the domain {name}")))?;
    if active {
        return Err(PluginError::output(format!("the domain {name} is running")).hint(format!("virsh shutdown {name}")));
    }
    Ok(())
}

struct Definition<'a> {
    host: &'a Host,
    request: &'a Define,
    connection: &'a Connection,
    options: Options,
}

impl<'a> Definition<'a> {
    /// Digest of what is wanted: the same again is the same.
    fn digest(&self) -> Result<String> {
        let text = self.xml(&self.request.render.machine, None)?;
        let pool = self.request.pool.as_deref().unwrap_or_default();
        Ok(format!("{:x}", Sha256::new().chain_update(text).chain_update([0]).chain_update(pool).finalize()))
    }

    fn xml(&self, machine: &Machine, mark: Option<&Mark>) -> Result<String> {
        domain_xml(machine, &Words { hypervisor: self.options.hypervisor(), mark })
    }

    /// The names of the volumes that the disks become.
    fn volumes(&self) -> Vec<String> {
        let render = &self.request.render;
        let name = |(number, disk): (usize, &MachineDisk)| {
            volume_name(&render.file_name, &self.request.run, number, &disk.format)
        };
        (1..).zip(&render.machine.disks).map(name).collect()
    }

    /// What a person changed at a domain since it was defined.
    fn drift(&self, known: &Known) -> Result<Option<Finding>> {
        let machine = self.placed(&known.mark.volumes, known);
        let written = self.xml(&machine, Some(&known.mark))?;
        Ok(compare::missing(&written, &known.xml)?.map(|what| {
            let message = format!("the domain was changed since it was defined: {}", escape(&what));
            Finding::new("libvirt-domain-changed", Severity::Info, message).hint("--replace writes it again")
        }))
    }

    /// The machine with its images where they are, and the UUID that its domain has.
    fn placed(&self, volumes: &[String], known: &Known) -> Machine {
        let mut machine = self.request.render.machine.clone();
        machine.disks.iter_mut().zip(volumes).for_each(|(disk, path)| disk.image.clone_from(path));
        machine.uuid = Some(known.uuid.clone());
        machine
    }

    fn carry_out<'u>(
        &'u self,
        images: Option<&'u Images<'_>>,
        known: Option<&'u Known>,
        wanted: &str,
        undo: &mut Undo<'u>,
    ) -> Result<Vec<Finding>>
    where
        'a: 'u,
    {
        let render = &self.request.render;
        let mut machine = render.machine.clone();
        if let Some(known) = known {
            machine.uuid = Some(known.uuid.clone());
        }
        let kept = known.map(|known| known.mark.volumes.as_slice()).unwrap_or_default();
        let mut placed = Vec::new();
        if let Some(images) = images {
            for (name, disk) in self.volumes().iter().zip(&render.machine.disks) {
                self.host.check_cancelled()?;
                placed.push(images.place(disk, name, kept, undo)?);
            }
            images.check(&placed, &render.machine.disks)?;
            machine.disks.iter_mut().zip(&placed).for_each(|(disk, placed)| disk.image.clone_from(&placed.path));
        }
        let volumes = placed.iter().map(|placed| placed.path.clone()).collect();
        let mark = Mark { run: self.request.run.clone(), wanted: wanted.to_owned(), volumes };
        let written = self.xml(&machine, Some(&mark))?;
        self.host.check_cancelled()?;
        let domain = self.define(&written, known, undo)?;
        self.host.check_cancelled()?;
        self.read_back(&domain, &written, &mark, known.is_none())?;
        self.host.check_cancelled()?;
        if let Some(images) = images {
            images.settle(&self.volumes())?;
        }
        Ok(left_behind(kept, &mark))
    }

    fn define<'u>(&'u self, written: &str, known: Option<&'u Known>, undo: &mut Undo<'u>) -> Result<Domain> {
        let name = domain_name(&self.request.render.machine.name);
        let failed = |error: Error| error.during(format_args!("the domain {name} could not be defined"));
        let domain = self.connection.define(written).map_err(failed)?;
        match known {
            Some(known) => {
                undo.note(format!("the new definition of {name}"), || self.connection.define(&known.xml).map(|_| ()))
            }
            None => {
                let uuid = domain.uuid().map_err(failed)?;
                undo.note(format!("the domain {name}"), move || {
                    self.connection.domain_by_uuid(&uuid)?.map_or(Ok(()), |domain| domain.undefine())
                });
            }
        }
        Ok(domain)
    }

    /// The domain is as it was written, ours, and does not start by itself.
    fn read_back(&self, domain: &Domain, written: &str, mark: &Mark, is_new: bool) -> Result<()> {
        let failed = |error: Error| error.during("the domain could not be read back");
        if let Some(what) = compare::missing(written, &domain.defined_xml().map_err(failed)?)? {
            return Err(PluginError::output(format!("libvirt changed the domain: {}", escape(&what))));
        }
        let read = domain.metadata(NAMESPACE).map_err(failed)?.map(|xml| Mark::parse(&xml)).transpose()?;
        if read.as_ref() != Some(mark) {
            return Err(PluginError::output("libvirt did not keep the domain's metadata"));
        }
        if is_new && domain.autostart().map_err(failed)? {
            domain.no_autostart().map_err(failed)?;
        }
        Ok(())
    }
}

/// Volumes of a domain that was replaced stay: a guest may have written to them.
fn left_behind(before: &[String], mark: &Mark) -> Vec<Finding> {
    let left = before.iter().filter(|path| !mark.volumes.contains(path));
    let finding = |path: &String| {
        let path = escape(path);
        let message = format!("{path} belonged to the definition that was replaced, and stays");
        Finding::new("libvirt-volume-left", Severity::Info, message)
            .hint(format!("if it is no longer needed: virsh vol-delete '{path}'"))
    };
    left.map(finding).collect()
}
