//! A disk that can only be read from its beginning to its end: it is brought as files into a folder of the work folder, once, and read from there.

use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::model::{Delivered, Link, Way};
use vmdk2kvm_plugin_api::{Fetcher, PluginError, Result, Transport};

use super::output::Output;
use super::paths::{remove_folder, text};
use super::run::Run;
use super::source::Folder;
use crate::journal::{StageKey, create_private_folder, sync_folder};
use crate::plugins::Chosen;

/// Folder in the work folder with one for each disk.
const STREAMS: &str = "streams";

/// Brings a disk, unless a former run of the same job has: then the way to the file in its folder, and what reads it.
pub(super) fn bring(
    run: &Run<'_>,
    output: &Output,
    link: &Link,
    carrier: &Chosen<Box<dyn Fetcher>>,
) -> Result<(Way, Box<dyn Transport>)> {
    let number = link.disk + 1;
    let folder = output.work.join(STREAMS).join(format!("disk{number}"));
    let (begun, whole) = (format!("stream-{number}-began"), format!("stream-{number}"));
    let of_disk = of_disk(link, &carrier.label);
    let records = &output.records;
    if records.read::<()>(&begun, &of_disk).is_none() {
        // Files of another disk would be taken for the beginning of this one.
        records.remove(&whole)?;
        remove_folder(&folder)?;
        create_private_folder(&folder)?;
        records.write(&begun, &of_disk, &())?;
    }
    let of_hold = StageKey::new(&["stream", of_disk.as_str(), &link.hold.id]);
    let former = records.read::<Delivered>(&whole, &of_hold).filter(|former| folder.join(&former.file).is_file());
    let delivered = match former {
        Some(delivered) => delivered,
        // What is held may be another snapshot: the plugin alone can tell whether what lies there is whole and of the same state.
        None => {
            records.remove(&whole)?;
            let delivered = carrier.stage.deliver(link, &text(&folder)?)?;
            run.check_cancelled()?;
            check(&folder, &delivered).map_err(|mut error| {
                error.plugin = Some(carrier.label.clone());
                error
            })?;
            sync(&folder)?;
            records.write(&whole, &of_hold, &delivered)?;
            delivered
        }
    };
    let way = Way::new(&link.way.scheme, &delivered.file, &delivered.format)
        .with(|way| way.reason.clone_from(&link.way.reason));
    Ok((way, Box::new(Folder::new(folder))))
}

/// What is brought, whatever is held meanwhile.
fn of_disk(link: &Link, carrier: &str) -> StageKey {
    let (source, vm, way) = (&link.source, &link.vm, &link.way);
    let disk = vm.disks.get(link.disk as usize).map(|disk| disk.id.as_str()).unwrap_or_default();
    let selected = source.vm.as_deref().unwrap_or_default();
    StageKey::new(&["stream", carrier, &source.uri, selected, &vm.name, disk, &way.scheme, &way.object])
}

/// A plugin may only name a file that it has brought.
fn check(folder: &Path, delivered: &Delivered) -> Result<()> {
    Folder::new(folder.to_owned()).open(&delivered.file).map(drop).map_err(|error| {
        PluginError::defect(format!("it names {:?} as what it has brought: {}", delivered.file, error.message))
    })
}

/// What the record says is whole must survive a power cut.
fn sync(folder: &Path) -> Result<()> {
    let failed = |path: &PathBuf, error: std::io::Error| crate::journal::output_error(path.display(), &error);
    let entries = std::fs::read_dir(folder).map_err(|error| crate::journal::output_error(folder.display(), &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| crate::journal::output_error(folder.display(), &error))?;
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            std::fs::File::open(&path).and_then(|file| file.sync_all()).map_err(|error| failed(&path, error))?;
        }
    }
    sync_folder(folder)
}
