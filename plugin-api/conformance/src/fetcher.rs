//! What every `Fetcher` promises.

use vmdk2kvm_plugin_api::model::{HoldWish, Link, Release, SourceRef, VmSpec, Way};
use vmdk2kvm_plugin_api::{Catalog, ErrorKind, Fetcher, Transport};

use crate::{CancelSwitch, Checks, Report, Why, failed, sample, skipped, well_refused};

/// A URI that no fetcher knows.
const NOBODYS: &str = "vmdk2kvm-conformance-nobody://nowhere/nothing";
/// A way's scheme that no fetcher knows.
const NOBODYS_WAY: &str = "vmdk2kvm-conformance-nobody";
/// What a fetcher with a sample is asked for, and without one is not.
const NO_SAMPLE: &str = "no source was given";

/// Checks a fetcher, with a source that it is for; without one only what needs none. `host` is the one that its plugin was made with.
pub fn fetcher(fetcher: &dyn Fetcher, host: &dyn CancelSwitch, source: Option<&SourceRef>) -> Report {
    let mut checks = Checks::of("fetcher");
    checks.check("a source of another kind is left to others", || match fetcher.accepts(&sample::source(NOBODYS))? {
        0 => Ok(()),
        score => failed(format!("accepts {NOBODYS} with {score}")),
    });
    checks.check("a way of another kind is left to others", || {
        match fetcher.carries(&Way::new(NOBODYS_WAY, NOBODYS, "raw"))? {
            0 => Ok(()),
            score => failed(format!("carries the way {NOBODYS_WAY} with {score}")),
        }
    });
    let catalog = checks.check("it opens the source", || {
        let Some(source) = source else { return skipped(NO_SAMPLE) };
        if fetcher.accepts(source)? > 0 {
            return Ok(fetcher.catalog(source)?);
        }
        match fetcher.catalog(source) {
            // One that only carries ways: another plugin's catalog has them.
            Err(error) if error.kind == ErrorKind::Cannot => skipped("it describes no sources"),
            _ => failed(format!("it does not accept {}", source.uri)),
        }
    });
    let (Some(catalog), Some(source)) = (catalog, source) else { return checks.report };
    let Some(vm) = describe(&mut checks, &*catalog) else { return checks.report };
    hold(&mut checks, &*catalog);
    for (index, disk) in (0u32..).zip(&vm.disks) {
        for way in disk.ways.iter().filter(|way| !way.stream) {
            carry(&mut checks, fetcher, host, &Link::new(source.clone(), vm.clone(), index, way.clone()));
        }
    }
    checks.report
}

/// What is held for a run is given back, and giving it back twice is no error.
fn hold(checks: &mut Checks, catalog: &dyn Catalog) {
    checks.check("what it holds without leave to change anything it gives back, twice", || {
        let wish = HoldWish::new("vmdk2kvm-conformance");
        let hold = match catalog.hold(&wish) {
            Err(error) if error.kind == ErrorKind::Blocked => return Ok(()),
            hold => hold?,
        };
        if catalog.hold(&wish)?.id != hold.id {
            return failed("the same run is given another hold the second time");
        }
        catalog.release(&hold, Release::Done)?;
        Ok(catalog.release(&hold, Release::Abandoned)?)
    });
}

/// A way that another plugin carries is that one's business.
fn carry(checks: &mut Checks, fetcher: &dyn Fetcher, host: &dyn CancelSwitch, link: &Link) {
    let transport = checks.check("it opens the ways that it carries", || match fetcher.carries(&link.way)? {
        0 => skipped("a way of its catalog is left to another plugin"),
        _ => Ok(fetcher.transport(link)?),
    });
    let Some(transport) = transport else { return };
    read(checks, &*transport, host, &link.way.object);
    names(checks, &*transport, &link.way.object);
}

fn describe(checks: &mut Checks, catalog: &dyn Catalog) -> Option<VmSpec> {
    let vm = checks.check("it describes the machine, the same way each time", || {
        let vm = catalog.describe()?;
        if catalog.describe()? == vm { Ok(vm) } else { failed("the second description differs from the first") }
    })?;
    checks.check("the description makes sense", || {
        if vm.schema != 1 || vm.name.is_empty() || vm.memory_bytes == 0 {
            return failed(format!("schema {}, name {:?}, {} bytes of memory", vm.schema, vm.name, vm.memory_bytes));
        }
        if u64::from(vm.cpus.count) != u64::from(vm.cpus.sockets) * u64::from(vm.cpus.cores_per_socket) {
            return failed(format!("{:?}: count is not sockets times cores", vm.cpus));
        }
        let nameless = |way: &Way| way.scheme.is_empty() || way.format.is_empty();
        match vm.disks.iter().find(|disk| disk.ways.iter().any(nameless)) {
            Some(disk) => failed(format!("the disk {} has a way without a scheme or a format", disk.name)),
            None => Ok(()),
        }
    });
    checks.check("the machine is in the inventory", || {
        let inventory = catalog.inventory()?;
        let names: Vec<&str> = inventory.iter().map(|found| found.vm.name.as_str()).collect();
        if names.contains(&vm.name.as_str()) { Ok(()) } else { failed(format!("{:?} is not among {names:?}", vm.name)) }
    });
    Some(vm)
}

fn read(checks: &mut Checks, transport: &dyn Transport, host: &dyn CancelSwitch, object: &str) {
    let opened = checks.check("it opens a disk's file", || Ok(transport.open(object)?));
    let Some(source) = opened else { return };
    checks.report.extend(crate::source(object, &*source));
    checks.check("the fingerprint of what did not change stays the same", || {
        let fingerprint = transport.fingerprint(object)?;
        if !fingerprint.is_empty() && transport.fingerprint(object)? == fingerprint {
            Ok(())
        } else {
            failed(format!("{object}: {fingerprint:?} is not what it was, or is empty"))
        }
    });
    checks.check_cancel(host, || transport.stated_digests(object));
}

/// Names found inside a file are hostile.
fn names(checks: &mut Checks, transport: &dyn Transport, from: &str) {
    checks.check("a name that leads outside of the source is refused", || {
        for name in ["../../../../../../../../../../../../etc/passwd", "/etc/passwd", "\0", "json:{}"] {
            refused(transport, from, name)?;
        }
        Ok(())
    });
}

fn refused(transport: &dyn Transport, from: &str, name: &str) -> Result<(), Why> {
    match transport.resolve(from, name).and_then(|object| transport.open(&object)) {
        Err(error) => well_refused(&error),
        Ok(source) => failed(format!("{name:?} was opened, and has {} bytes", source.size())),
    }
}
