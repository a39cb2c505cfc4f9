//! What every `Fetcher` promises.

use vmdk2kvm_plugin_api::model::{SourceRef, VmSpec};
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Transport};

use crate::{CancelSwitch, Checks, Report, Why, failed, sample, skipped, well_refused};

/// A URI that no fetcher knows.
const NOBODYS: &str = "vmdk2kvm-conformance-nobody://nowhere/nothing";
/// What a fetcher with a sample is asked for, and without one is not.
const NO_SAMPLE: &str = "no source was given";

/// Checks a fetcher, with a source that it is for; without one only what needs none. `host` is the one that its plugin was made with.
pub fn fetcher(fetcher: &dyn Fetcher, host: &dyn CancelSwitch, source: Option<&SourceRef>) -> Report {
    let mut checks = Checks::of("fetcher");
    checks.check("a source of another kind is left to others", || match fetcher.accepts(&sample::source(NOBODYS))? {
        0 => Ok(()),
        score => failed(format!("accepts {NOBODYS} with {score}")),
    });
    let faces = checks.check("it opens the source", || {
        let Some(source) = source else { return skipped(NO_SAMPLE) };
        if fetcher.accepts(source)? == 0 {
            return failed(format!("it does not accept {}", source.uri));
        }
        match (fetcher.catalog(source)?, fetcher.transport(source)?) {
            (None, None) => failed("it has neither a catalog nor a transport"),
            faces => Ok(faces),
        }
    });
    let Some((catalog, transport)) = faces else { return checks.report };
    let vm = catalog.and_then(|catalog| describe(&mut checks, &*catalog));
    if let Some(transport) = transport {
        let paths = vm.iter().flat_map(|vm| &vm.disks).filter_map(|disk| disk.path.as_deref());
        let objects: Vec<&str> = paths.collect();
        objects.iter().for_each(|object| read(&mut checks, &*transport, host, object));
        names(&mut checks, &*transport, objects.first().copied().unwrap_or("object"));
    }
    checks.report
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
        match vm.disks.iter().find(|disk| disk.path.is_some() && disk.format.is_empty()) {
            Some(disk) => failed(format!("the disk {} has no format", disk.name)),
            None => Ok(()),
        }
    });
    checks.check("the machine is in the inventory", || {
        let inventory = catalog.inventory()?;
        let names: Vec<&str> = inventory.iter().map(|vm| vm.name.as_str()).collect();
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
    checks.check_cancel(host, || transport.verify(object));
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
