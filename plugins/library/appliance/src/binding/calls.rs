//! The calls that reach into the running appliance: devices, mounts and files of the guest.
//!
//! Paths are the guest's: the appliance changes its root to the mounted guest before it opens them.

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use std::ptr;

use vmdk2kvm_plugin_api::{FileKind, Result, Stat};

use super::api::{self, Statns};
use super::handle::text;
use super::{CallError, Handle};

type Call<T> = Result<T, CallError>;

/// What is at a path of the guest, and what tells whether it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// The guest's view.
    pub stat: Stat,
    /// Device, inode, size, mtime and ctime: equal for two looks at the same unchanged file.
    pub identity: [i64; 7],
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Name.
    pub name: String,
    /// Kind; `None` when the filesystem does not tell.
    pub kind: Option<FileKind>,
}

/// The space of a filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that an ordinary user could still write.
    pub free_bytes: u64,
    /// Bytes that are in use.
    pub used_bytes: u64,
    /// Files that could still be made; `None` where that is not limited.
    pub free_inodes: Option<u64>,
}

macro_rules! path_calls {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(&mut self, path: &str) -> Call<()> {
                let path = text(stringify!($name), path)?;
                // SAFETY: open handle, string ends in NUL.
                let result = unsafe { (self.api.$name)(self.raw, path.as_ptr()) };
                self.done(stringify!($name), result)
            }
        )*
    };
}

impl Handle {
    path_calls! {
        /// Unmounts what is mounted there.
        umount;
        /// Makes a place to mount something at where no root is mounted.
        mkmountpoint;
        /// Removes a file, a symlink, anything but a folder.
        rm;
        /// Removes an empty folder.
        rmdir;
    }

    /// Size of a device in bytes.
    pub fn device_size(&mut self, device: &str) -> Call<u64> {
        let device = text("blockdev_getsize64", device)?;
        // SAFETY: open handle, string ends in NUL.
        let size = unsafe { (self.api.blockdev_getsize64)(self.raw, device.as_ptr()) };
        u64::try_from(size).map_err(|_| self.error("blockdev_getsize64"))
    }

    /// Up to `count` bytes of a device; fewer at its end.
    pub fn pread_device(&mut self, device: &str, count: u32, offset: u64) -> Call<Vec<u8>> {
        let (device, mut size) = (text("pread_device", device)?, 0usize);
        let (count, offset) = (clamp(count), i64::try_from(offset).unwrap_or(i64::MAX));
        // SAFETY: open handle, string ends in NUL, `size` outlives the call; the result is ours.
        let bytes = unsafe { (self.api.pread_device)(self.raw, device.as_ptr(), count, offset, &raw mut size) };
        self.owned_bytes("pread_device", bytes, size)
    }

    /// Writes bytes to a device; how many were written.
    pub fn pwrite_device(&mut self, device: &str, bytes: &[u8], offset: u64) -> Call<usize> {
        let device = text("pwrite_device", device)?;
        let (content, offset) = (bytes.as_ptr().cast::<c_char>(), i64::try_from(offset).unwrap_or(i64::MAX));
        // SAFETY: open handle, string ends in NUL, `bytes` has the length that is given.
        let written = unsafe { (self.api.pwrite_device)(self.raw, device.as_ptr(), content, bytes.len(), offset) };
        usize::try_from(written).map_err(|_| self.error("pwrite_device"))
    }

    /// Logical volumes as `/dev/VG/LV`.
    pub fn logical_volumes(&mut self) -> Call<Vec<String>> {
        // SAFETY: open handle; the result is ours.
        let list = unsafe { (self.api.lvs)(self.raw) };
        self.owned_list("lvs", list)
    }

    /// Looks for volume groups again, e.g. on an unlocked device, and activates them.
    pub fn scan_volume_groups(&mut self) -> Call<()> {
        // SAFETY: open handle.
        self.done("lvm_scan", unsafe { (self.api.lvm_scan)(self.raw, 1) })
    }

    /// Assembled arrays as `/dev/mdN`.
    pub fn arrays(&mut self) -> Call<Vec<String>> {
        // SAFETY: open handle; the result is ours.
        let list = unsafe { (self.api.list_md_devices)(self.raw) };
        self.owned_list("list_md_devices", list)
    }

    /// What an array says about itself: keys and values, one behind the other.
    pub fn array_details(&mut self, device: &str) -> Call<Vec<String>> {
        let call = "md_detail";
        let device = text(call, device)?;
        // SAFETY: open handle, the string ends in NUL; the result is ours.
        let list = unsafe { (self.api.md_detail)(self.raw, device.as_ptr()) };
        self.owned_list(call, list)
    }

    /// Unlocks an encrypted device as `/dev/mapper/<name>`.
    pub fn unlock(&mut self, device: &str, key: &str, name: &str, readonly: bool) -> Call<()> {
        let call = "cryptsetup_open";
        let (device, key, name) = (text(call, device)?, text(call, key)?, text(call, name)?);
        let options = api::CryptsetupOpts {
            bitmask: api::CRYPTSETUP_READONLY,
            readonly: c_int::from(readonly),
            crypttype: ptr::null(),
        };
        // SAFETY: open handle; strings and structure outlive the call; the member whose bit is not set is not read.
        let result = unsafe {
            (self.api.cryptsetup_open_argv)(self.raw, device.as_ptr(), key.as_ptr(), name.as_ptr(), &raw const options)
        };
        self.done(call, result)
    }

    /// Mounts a device with these options.
    pub fn mount(&mut self, options: &str, device: &str, mountpoint: &str) -> Call<()> {
        let call = "mount";
        let (options, device, mountpoint) = (text(call, options)?, text(call, device)?, text(call, mountpoint)?);
        // SAFETY: open handle, strings end in NUL.
        let result =
            unsafe { (self.api.mount_options)(self.raw, options.as_ptr(), device.as_ptr(), mountpoint.as_ptr()) };
        self.done(call, result)
    }

    /// Discards what the filesystem that is mounted there does not use, in stretches of at least so many bytes.
    pub fn trim(&mut self, mountpoint: &str, at_least: u64) -> Call<()> {
        let call = "fstrim";
        let mountpoint = text(call, mountpoint)?;
        let minimumfreeextent = i64::try_from(at_least).unwrap_or(i64::MAX);
        let bitmask = api::FSTRIM_MINIMUMFREEEXTENT;
        let options = api::Fstrim { bitmask, offset: 0, length: 0, minimumfreeextent };
        // SAFETY: open handle; string and structure outlive the call; members whose bit is not set are not read.
        let result = unsafe { (self.api.fstrim_argv)(self.raw, mountpoint.as_ptr(), &raw const options) };
        self.done(call, result)
    }

    /// Unmounts everything.
    pub fn umount_all(&mut self) -> Call<()> {
        // SAFETY: open handle.
        self.done("umount_all", unsafe { (self.api.umount_all)(self.raw) })
    }

    /// Writes everything out to the disks.
    pub fn sync(&mut self) -> Call<()> {
        // SAFETY: open handle.
        self.done("sync", unsafe { (self.api.sync)(self.raw) })
    }

    /// What is at a path, symlinks not followed in its last part.
    pub fn lstat(&mut self, path: &str) -> Call<FileStat> {
        let path = text("lstatns", path)?;
        // SAFETY: open handle, string ends in NUL; the result is ours.
        let found = unsafe { (self.api.lstatns)(self.raw, path.as_ptr()) };
        if found.is_null() {
            return Err(self.error("lstatns"));
        }
        // SAFETY: not NULL.
        let stat = file_stat(unsafe { &*found });
        // SAFETY: made by the library, not used afterwards.
        unsafe { (self.api.free_statns)(found) };
        Ok(stat)
    }

    /// What is at these names of a folder, in their order; `None` for a name that is not there.
    pub fn lstat_list(&mut self, folder: &str, names: &[&str]) -> Call<Vec<Option<FileStat>>> {
        let call = "lstatnslist";
        let folder = text(call, folder)?;
        let names: Vec<CString> = names.iter().map(|name| text(call, name)).collect::<Call<_>>()?;
        let pointers = pointers(&names);
        // SAFETY: open handle; the list ends in NULL and its strings outlive the call; the result is ours.
        let list = unsafe { (self.api.lstatnslist)(self.raw, folder.as_ptr(), pointers.as_ptr()) };
        if list.is_null() {
            return Err(self.error(call));
        }
        // SAFETY: not NULL; `val` has `len` elements.
        let found = unsafe { elements((*list).val, (*list).len) };
        let found: Vec<Option<FileStat>> = found.iter().map(|one| (one.ino != -1).then(|| file_stat(one))).collect();
        // SAFETY: made by the library, not used afterwards.
        unsafe { (self.api.free_statns_list)(list) };
        if found.len() != names.len() {
            let message = format!("{} answers for {} names", found.len(), names.len());
            return Err(CallError { call, errno: 0, message });
        }
        Ok(found)
    }

    /// What is in a folder, `.` and `..` left out.
    pub fn readdir(&mut self, folder: &str) -> Call<Vec<DirEntry>> {
        let folder = text("readdir", folder)?;
        // SAFETY: open handle, string ends in NUL; the result is ours.
        let list = unsafe { (self.api.readdir)(self.raw, folder.as_ptr()) };
        if list.is_null() {
            return Err(self.error("readdir"));
        }
        // SAFETY: not NULL; `val` has `len` elements.
        let found = unsafe { elements((*list).val, (*list).len) };
        let mut entries = Vec::with_capacity(found.len());
        for one in found {
            // SAFETY: each element's name is a string that ends in NUL.
            let name = unsafe { CStr::from_ptr(one.name) }.to_string_lossy().into_owned();
            if name != "." && name != ".." {
                entries.push(DirEntry { name, kind: kind_of_letter(one.ftyp) });
            }
        }
        // SAFETY: made by the library, not used afterwards.
        unsafe { (self.api.free_dirent_list)(list) };
        Ok(entries)
    }

    /// Where a symlink points to.
    pub fn readlink(&mut self, path: &str) -> Call<String> {
        let path = text("readlink", path)?;
        // SAFETY: open handle, string ends in NUL; the result is ours.
        let value = unsafe { (self.api.readlink)(self.raw, path.as_ptr()) };
        self.owned_text("readlink", value)
    }

    /// Up to `count` bytes of a file; fewer at its end. The caller made sure that it is a regular file.
    pub fn pread(&mut self, path: &str, count: u32, offset: u64) -> Call<Vec<u8>> {
        let (path, mut size) = (text("pread", path)?, 0usize);
        let (count, offset) = (clamp(count), i64::try_from(offset).unwrap_or(i64::MAX));
        // SAFETY: open handle, string ends in NUL, `size` outlives the call; the result is ours.
        let bytes = unsafe { (self.api.pread)(self.raw, path.as_ptr(), count, offset, &raw mut size) };
        self.owned_bytes("pread", bytes, size)
    }

    /// Writes a file of this machine into a file of the guest from `offset` on, which makes or lengthens it as needed.
    pub fn upload_at(&mut self, from: &Path, path: &str, offset: u64) -> Call<()> {
        let (from, path) = (text("upload_offset", &from.to_string_lossy())?, text("upload_offset", path)?);
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        // SAFETY: open handle, strings end in NUL.
        let result = unsafe { (self.api.upload_offset)(self.raw, from.as_ptr(), path.as_ptr(), offset) };
        self.done("upload_offset", result)
    }

    /// The space of the filesystem of this path.
    pub fn space(&mut self, path: &str) -> Call<Space> {
        let path = text("statvfs", path)?;
        // SAFETY: open handle, string ends in NUL; the result is ours.
        let found = unsafe { (self.api.statvfs)(self.raw, path.as_ptr()) };
        if found.is_null() {
            return Err(self.error("statvfs"));
        }
        // SAFETY: not NULL.
        let found_here = unsafe { &*found };
        let bytes = |blocks: i64| {
            let size = u64::try_from(found_here.frsize).unwrap_or(0);
            u64::try_from(blocks).unwrap_or(0).saturating_mul(size)
        };
        let space = Space {
            free_bytes: bytes(found_here.bavail),
            used_bytes: bytes(found_here.blocks.saturating_sub(found_here.bfree)),
            free_inodes: (found_here.files > 0).then(|| u64::try_from(found_here.favail).unwrap_or(0)),
        };
        // SAFETY: made by the library, not used afterwards.
        unsafe { (self.api.free_statvfs)(found) };
        Ok(space)
    }

    /// An extended attribute, symlinks not followed.
    pub fn xattr(&mut self, path: &str, name: &str) -> Call<Vec<u8>> {
        let (path, name, mut size) = (text("lgetxattr", path)?, text("lgetxattr", name)?, 0usize);
        // SAFETY: open handle, strings end in NUL, `size` outlives the call; the result is ours.
        let value = unsafe { (self.api.lgetxattr)(self.raw, path.as_ptr(), name.as_ptr(), &raw mut size) };
        self.owned_bytes("lgetxattr", value, size)
    }

    /// Sets an extended attribute, symlinks not followed.
    pub fn set_xattr(&mut self, path: &str, name: &str, value: &[u8]) -> Call<()> {
        let (path, name) = (text("lsetxattr", path)?, text("lsetxattr", name)?);
        let length = c_int::try_from(value.len()).unwrap_or(c_int::MAX);
        // SAFETY: open handle, strings end in NUL, `value` has at least `length` bytes.
        let result = unsafe {
            (self.api.lsetxattr)(self.raw, name.as_ptr(), value.as_ptr().cast::<c_char>(), length, path.as_ptr())
        };
        self.done("lsetxattr", result)
    }

    /// The flags of a file or folder, a letter each, as lsattr(1) shows them. The caller made sure that it is no symlink.
    pub fn flags(&mut self, path: &str) -> Call<String> {
        let path = text("get_e2attrs", path)?;
        // SAFETY: open handle, string ends in NUL; the result is ours.
        let value = unsafe { (self.api.get_e2attrs)(self.raw, path.as_ptr()) };
        self.owned_text("get_e2attrs", value)
    }

    /// Puts flags on a file or folder, or takes them off.
    pub fn set_flags(&mut self, path: &str, flags: &str, on: bool) -> Call<()> {
        let call = "set_e2attrs";
        let (path, flags) = (text(call, path)?, text(call, flags)?);
        let options = api::SetFlags { bitmask: api::SET_FLAGS_CLEAR, clear: c_int::from(!on) };
        // SAFETY: open handle; strings and structure outlive the call.
        let result =
            unsafe { (self.api.set_e2attrs_argv)(self.raw, path.as_ptr(), flags.as_ptr(), &raw const options) };
        self.done(call, result)
    }

    /// What btrfs says about the subvolume that is mounted there: keys and values, one behind the other.
    pub fn subvolume(&mut self, mountpoint: &str) -> Call<Vec<String>> {
        let call = "btrfs_subvolume_show";
        let mountpoint = text(call, mountpoint)?;
        // SAFETY: open handle, the string ends in NUL; the result is ours.
        let list = unsafe { (self.api.btrfs_subvolume_show)(self.raw, mountpoint.as_ptr()) };
        self.owned_list(call, list)
    }

    /// Writes a file, all of it, making it when it is not there. Follows a symlink in the last part.
    pub fn write(&mut self, path: &str, content: &[u8]) -> Call<()> {
        let path = text("write", path)?;
        // SAFETY: open handle, string ends in NUL, `content` has the length that is given.
        let result =
            unsafe { (self.api.write)(self.raw, path.as_ptr(), content.as_ptr().cast::<c_char>(), content.len()) };
        self.done("write", result)
    }

    /// Cuts or lengthens a file.
    pub fn truncate(&mut self, path: &str, size: u64) -> Call<()> {
        let path = text("truncate_size", path)?;
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        // SAFETY: open handle, string ends in NUL.
        let result = unsafe { (self.api.truncate_size)(self.raw, path.as_ptr(), size) };
        self.done("truncate_size", result)
    }

    /// Renames within one filesystem, replacing what has the new name.
    pub fn rename(&mut self, from: &str, to: &str) -> Call<()> {
        let (from, to) = (text("rename", from)?, text("rename", to)?);
        // SAFETY: open handle, strings end in NUL.
        let result = unsafe { (self.api.rename)(self.raw, from.as_ptr(), to.as_ptr()) };
        self.done("rename", result)
    }

    /// Makes a folder.
    pub fn mkdir(&mut self, path: &str, mode: u32) -> Call<()> {
        let path = text("mkdir_mode", path)?;
        // SAFETY: open handle, string ends in NUL.
        let result = unsafe { (self.api.mkdir_mode)(self.raw, path.as_ptr(), clamp(mode)) };
        self.done("mkdir_mode", result)
    }

    /// Makes a symlink.
    pub fn symlink(&mut self, to: &str, path: &str) -> Call<()> {
        let (to, path) = (text("ln_s", to)?, text("ln_s", path)?);
        // SAFETY: open handle, strings end in NUL.
        let result = unsafe { (self.api.ln_s)(self.raw, to.as_ptr(), path.as_ptr()) };
        self.done("ln_s", result)
    }

    /// Sets permission bits.
    pub fn chmod(&mut self, path: &str, mode: u32) -> Call<()> {
        let path = text("chmod", path)?;
        // SAFETY: open handle, string ends in NUL.
        let result = unsafe { (self.api.chmod)(self.raw, clamp(mode & 0o7777), path.as_ptr()) };
        self.done("chmod", result)
    }

    /// Sets the owner, symlinks not followed.
    pub fn lchown(&mut self, path: &str, uid: u32, gid: u32) -> Call<()> {
        let path = text("lchown", path)?;
        // SAFETY: open handle, string ends in NUL.
        let result = unsafe { (self.api.lchown)(self.raw, uid as c_int, gid as c_int, path.as_ptr()) };
        self.done("lchown", result)
    }

    /// Runs a program of the guest inside the guest's root, without a shell; gives its standard output. The appliance binds
    /// `/dev`, `/proc` and `/sys` into the guest for as long as it runs.
    pub fn command(&mut self, arguments: &[&str]) -> Call<String> {
        let arguments: Vec<CString> = arguments.iter().map(|one| text("command", one)).collect::<Call<_>>()?;
        let pointers = pointers(&arguments);
        // SAFETY: open handle; the list ends in NULL and its strings outlive the call; the result is ours.
        let output = unsafe { (self.api.command)(self.raw, pointers.as_ptr()) };
        self.owned_text("command", output)
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|one| one.as_ptr()).chain([ptr::null()]).collect()
}

/// # Safety
///
/// `first` points to `len` elements that live as long as the result, or `len` is 0.
unsafe fn elements<'a, T>(first: *const T, len: u32) -> &'a [T] {
    if len == 0 || first.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(first, len as usize) }
}

fn clamp(number: u32) -> c_int {
    c_int::try_from(number).unwrap_or(c_int::MAX)
}

fn file_stat(found: &Statns) -> FileStat {
    let kind = match found.mode & 0o170_000 {
        0o100_000 => FileKind::File,
        0o040_000 => FileKind::Dir,
        0o120_000 => FileKind::Symlink,
        _ => FileKind::Other,
    };
    FileStat {
        stat: Stat::new(
            kind,
            if kind == FileKind::File { u64::try_from(found.size).unwrap_or(0) } else { 0 },
            u32::try_from(found.mode & 0o7777).unwrap_or(0),
        )
        .with(|it| {
            it.uid = u32::try_from(found.uid).unwrap_or(0);
            it.gid = u32::try_from(found.gid).unwrap_or(0);
        }),
        identity: [
            found.dev,
            found.ino,
            found.size,
            found.mtime_sec,
            found.mtime_nsec,
            found.ctime_sec,
            found.ctime_nsec,
        ],
    }
}

/// The letters of `guestfs_readdir`.
fn kind_of_letter(letter: c_char) -> Option<FileKind> {
    match u8::try_from(letter).ok()? {
        b'r' => Some(FileKind::File),
        b'd' => Some(FileKind::Dir),
        b'l' => Some(FileKind::Symlink),
        b'b' | b'c' | b'f' | b's' => Some(FileKind::Other),
        _ => None,
    }
}
