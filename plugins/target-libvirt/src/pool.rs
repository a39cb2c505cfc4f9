//! The images into a pool.
//!
//! A volume bears the run's id in its name, so no other result has it. While it is made, an empty volume of the name with `.part` stands beside
//! it: what has such a neighbour was left half made by somebody who died, and is made anew; what has none may hold a guest's data by now.

use std::cell::Cell;
use std::fs::File;
use std::path::Path;

use vmdk2kvm_libvirt::{Connection, Error, Pool};
use vmdk2kvm_plugin_api::model::MachineDisk;
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{Host, PluginError, Result};

use super::undo::Undo;

/// Bytes of what stands beside a volume that is being made.
const MARKER: u64 = 4096;
/// How much of a run's id is in a volume's name.
const ID: usize = 12;

/// A pool that takes images.
pub(super) struct Images<'a> {
    host: &'a Host,
    pool: Pool<'a>,
    name: &'a str,
}

/// An image in the pool.
pub(super) struct Placed {
    pub path: String,
    /// The name of its volume.
    volume: String,
    /// It was made now.
    is_new: bool,
}

impl<'a> Images<'a> {
    /// The pool of a name, if it can take images.
    pub fn open(host: &'a Host, connection: &'a Connection, name: &'a str) -> Result<Self> {
        let shown = escape(name);
        let asked = |error: Error| error.during(format_args!("the pool {shown}"));
        let pool = connection.pool(name).map_err(asked)?.ok_or_else(|| {
            PluginError::output(format!("there is no pool {shown}")).hint("virsh pool-list --all shows those that are")
        })?;
        if !pool.is_active().map_err(asked)? {
            return Err(PluginError::output(format!("the pool {shown} is not active"))
                .hint(format!("virsh pool-start {shown}")));
        }
        if !pool.holds_files().map_err(asked)? {
            return Err(PluginError::output(format!("the volumes of the pool {shown} are not files"))
                .hint("name a pool of the type dir, fs or netfs"));
        }
        Ok(Self { host, pool, name })
    }

    fn failed(&self, error: &Error) -> PluginError {
        error.during(format_args!("the pool {}", escape(self.name)))
    }

    /// Brings an image in. `kept`: the volumes that a former definition of this run has made.
    pub fn place<'u>(&'u self, disk: &MachineDisk, name: &str, kept: &[String], undo: &mut Undo<'u>) -> Result<Placed> {
        let failed = |error: Error| self.failed(&error);
        let marker = format!("{name}.part");
        let is_half_made = self.pool.volume(&marker).map_err(failed)?.is_some();
        if let Some(there) = self.pool.volume(name).map_err(failed)? {
            let path = there.path().map_err(failed)?;
            if !is_half_made && kept.contains(&path) {
                return Ok(Placed { path, volume: name.to_owned(), is_new: false });
            }
            if !is_half_made {
                let pool = escape(self.name);
                return Err(PluginError::output(format!(
                    "the pool {pool} has a volume {name} already, and no domain of ours has it"
                ))
                .hint(format!(
                    "a guest may have written to it; if it is no longer needed: virsh vol-delete {name} --pool {pool}"
                )));
            }
            there.delete().map_err(failed)?;
        }
        if !is_half_made {
            self.pool.create(&marker, MARKER).map_err(failed)?;
        }
        undo.note(format!("the volume {marker}"), {
            let marker = marker.clone();
            move || self.remove(&marker)
        });
        self.host.check_cancelled()?;
        self.fill(disk, name, undo)
    }

    fn fill<'u>(&'u self, disk: &MachineDisk, name: &str, undo: &mut Undo<'u>) -> Result<Placed> {
        let failed = |error: Error| self.failed(&error);
        let source = Path::new(&disk.image);
        let file = File::open(source).map_err(|error| PluginError::from_io(source.display(), &error))?;
        let length = file.metadata().map_err(|error| PluginError::from_io(source.display(), &error))?.len();
        let volume = self.pool.create(name, length).map_err(failed)?;
        undo.note(format!("the volume {name}"), {
            let name = name.to_owned();
            move || self.remove(&name)
        });
        let shown = source.file_name().unwrap_or_default().to_string_lossy();
        let last = Cell::new(None);
        volume.upload(&file, &shown, &mut |done| {
            self.host.check_cancelled()?;
            // Not at every piece: a report costs more than a piece of holes.
            if last.get().is_none_or(|last: u64| done - last >= 16 << 20) || done == length {
                self.host.progress_on(&shown, "upload", done, length);
                last.set(Some(done));
            }
            Ok(())
        })?;
        self.host.check_cancelled()?;
        Ok(Placed { path: volume.path().map_err(failed)?, volume: name.to_owned(), is_new: true })
    }

    /// Has libvirt look at what was brought in, and compares its size with what a guest is to see.
    pub fn check(&self, placed: &[Placed], disks: &[MachineDisk]) -> Result<()> {
        let failed = |error: Error| self.failed(&error);
        self.pool.refresh().map_err(failed)?;
        for (placed, disk) in placed.iter().zip(disks).filter(|(placed, _)| placed.is_new) {
            let there = self.pool.volume(&placed.volume).map_err(failed)?;
            let bytes = there.map(|volume| volume.capacity()).transpose().map_err(failed)?;
            if bytes != Some(disk.size_bytes) {
                let found = bytes.map_or("is gone".to_owned(), |bytes| format!("has {bytes} bytes"));
                return Err(PluginError::output(format!(
                    "the volume {} {found}, its image {}",
                    placed.volume, disk.size_bytes
                )));
            }
        }
        Ok(())
    }

    /// Takes away what stood beside the volumes while they were made.
    pub fn settle(&self, volumes: &[String]) -> Result<()> {
        let markers = volumes.iter().map(|volume| format!("{volume}.part"));
        markers.into_iter().try_for_each(|marker| self.remove(&marker)).map_err(|error| self.failed(&error))
    }

    fn remove(&self, name: &str) -> std::result::Result<(), Error> {
        self.pool.volume(name)?.map_or(Ok(()), |volume| volume.delete())
    }
}

/// The name of a disk's volume, counted from 1.
pub(super) fn volume_name(file_name: &str, run: &str, number: usize, format: &str) -> String {
    let id: String = run.chars().filter(char::is_ascii_alphanumeric).take(ID).collect();
    format!("{file_name}-{id}-disk{number}.{format}")
}
