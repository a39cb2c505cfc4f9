//! The calls that make devices and filesystems larger, and those that let go of devices for the time that takes.

use std::ffi::{CString, c_int};

use super::handle::text;
use super::{CallError, Handle, api};

type Call<T> = Result<T, CallError>;

/// Bytes in a sector.
const SECTOR: u64 = 512;

macro_rules! device_calls {
    ($($(#[$doc:meta])* $name:ident = $symbol:ident;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(&mut self, device: &str) -> Call<()> {
                let device = text(stringify!($symbol), device)?;
                // SAFETY: open handle, string ends in NUL.
                let result = unsafe { (self.api.$symbol)(self.raw, device.as_ptr()) };
                self.done(stringify!($symbol), result)
            }
        )*
    };
}

impl Handle {
    device_calls! {
        /// Moves the backup of a GPT to the end of its disk.
        expand_gpt = part_expand_gpt;
        /// Has LVM use all of a device.
        grow_physical_volume = pvresize;
        /// Has an ext filesystem use all of its device, mounted or not.
        grow_ext = resize2fs;
        /// Closes an unlocked device, `/dev/mapper/<name>`.
        lock = cryptsetup_close;
    }

    /// Has a partition end before this byte of its disk, at a whole sector. Everything else about it stays.
    pub fn end_partition(&mut self, disk: &str, number: u32, end: u64) -> Call<()> {
        let disk = text("part_resize", disk)?;
        let number = c_int::try_from(number).unwrap_or(c_int::MAX);
        let last = i64::try_from(end / SECTOR).unwrap_or(i64::MAX).saturating_sub(1);
        // SAFETY: open handle, string ends in NUL.
        let result = unsafe { (self.api.part_resize)(self.raw, disk.as_ptr(), number, last) };
        self.done("part_resize", result)
    }

    /// Gives a logical volume this size, rounded up to whole extents.
    pub fn set_logical_volume_size(&mut self, device: &str, mib: u64) -> Call<()> {
        let device = text("lvresize", device)?;
        let mib = c_int::try_from(mib).unwrap_or(c_int::MAX);
        // SAFETY: open handle, string ends in NUL.
        let result = unsafe { (self.api.lvresize)(self.raw, device.as_ptr(), mib) };
        self.done("lvresize", result)
    }

    /// Has the XFS that is mounted there use all of its device for data.
    pub fn grow_xfs(&mut self, mountpoint: &str) -> Call<()> {
        let mountpoint = text("xfs_growfs", mountpoint)?;
        // SAFETY: an all-zero value of this plain C structure of integers is valid.
        let mut options: api::XfsGrowfs = unsafe { std::mem::zeroed() };
        (options.bitmask, options.datasec) = (api::XFS_DATASEC, 1);
        // SAFETY: open handle; string and structure outlive the call; members whose bit is not set are not read.
        let result = unsafe { (self.api.xfs_growfs_argv)(self.raw, mountpoint.as_ptr(), &raw const options) };
        self.done("xfs_growfs", result)
    }

    /// Has the btrfs that is mounted there use all of its device.
    pub fn grow_btrfs(&mut self, mountpoint: &str) -> Call<()> {
        let call = "btrfs_filesystem_resize";
        let mountpoint = text(call, mountpoint)?;
        let options = api::BtrfsResize { bitmask: 0, size: 0 };
        // SAFETY: open handle; string and structure outlive the call; the member whose bit is not set is not read.
        let result =
            unsafe { (self.api.btrfs_filesystem_resize_argv)(self.raw, mountpoint.as_ptr(), &raw const options) };
        self.done(call, result)
    }

    /// LVM's own description of a volume group, as `vgcfgbackup` writes it.
    pub fn volume_group_text(&mut self, group: &str) -> Call<Vec<u8>> {
        let (group, mut size): (CString, usize) = (text("vgmeta", group)?, 0);
        // SAFETY: open handle, string ends in NUL, `size` outlives the call; the result is ours.
        let value = unsafe { (self.api.vgmeta)(self.raw, group.as_ptr(), &raw mut size) };
        self.owned_bytes("vgmeta", value, size)
    }

    /// Lets go of every logical volume.
    pub fn deactivate_volume_groups(&mut self) -> Call<()> {
        // SAFETY: open handle, plain integer.
        self.done("vg_activate_all", unsafe { (self.api.vg_activate_all)(self.raw, 0) })
    }

    /// Forgets what was read from the disks, after it was written out.
    pub fn drop_caches(&mut self) -> Call<()> {
        // SAFETY: open handle, plain integer: all caches.
        self.done("drop_caches", unsafe { (self.api.drop_caches)(self.raw, 3) })
    }
}
