//! What whoever reads a guest's filesystems does when the choice of the root asks for it.

use vmdk2kvm_plugin_api::model::MountInfo;
use vmdk2kvm_plugin_api::{Guest, Result};

use crate::volumes::Volume;

/// Looks at one filesystem after the other, takes one as the root, and mounts on it what belongs to it.
pub trait Mounter {
    /// Shows a filesystem at `/`, for reading, in place of the one that was looked at before. `extra` are further options of mount(8).
    fn look(&mut self, volume: &Volume, extra: &str) -> Result<()>;

    /// Ends looking.
    fn look_away(&mut self) -> Result<()>;

    /// Takes a filesystem as the guest's root; `extra` as it was looked at with.
    fn take_root(&mut self, volume: &Volume, extra: &str) -> Result<()>;

    /// Mounts a filesystem on a folder of the root.
    fn mount(&mut self, volume: &Volume, mountpoint: &str, extra: &str) -> Result<()>;

    /// Mounts a filesystem at a place of its own directly below `/`, for a guest that has no one root. Not together with a root.
    fn mount_beside(&mut self, volume: &Volume, mountpoint: &str) -> Result<()>;

    /// Names of files are compared without their case from now on, whatever the filesystems say.
    fn fold_case(&mut self);

    /// The first bytes of a regular file of what is mounted, however large it is; `None` when there is nothing.
    fn head(&self, path: &str, bytes: u64) -> Result<Option<Vec<u8>>>;

    /// The files of what is shown or mounted now, for reading.
    fn files(&self) -> Box<dyn Guest>;

    /// Where a subvolume is mounted that btrfs itself keeps read-only, whatever the mount says.
    fn read_only_subvolumes(&self) -> Result<Vec<String>>;

    /// What is mounted, the root first, with the room that is left in it where that is known.
    fn infos(&self) -> Result<Vec<MountInfo>>;
}
