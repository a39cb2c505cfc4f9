//! The symbols of `libguestfs.so.0` that this plugin calls, found at run time.
//!
//! Bound at run time and not at link time, so that the plugin builds without the library's headers and its fixers work on a
//! machine without the library. The `guestfs` crate on the registry was not taken: 0.1.0 without a licence, untouched for
//! years, and linked against the library at build time.
//! Prototypes and structures: `guestfs.h` of libguestfs 1.48, whose ABI has been stable since 1.0; the `_argv` structures
//! only ever grow behind the members used here, and their bit mask says which members are set.

use std::ffi::{c_char, c_int, c_void};
use std::sync::OnceLock;

use libloading::Library;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// `guestfs_h`.
#[repr(C)]
pub(super) struct RawHandle {
    _opaque: [u8; 0],
}

/// `struct guestfs_add_drive_opts_argv`.
#[repr(C)]
pub(super) struct AddDriveOpts {
    pub bitmask: u64,
    pub readonly: c_int,
    pub format: *const c_char,
    pub iface: *const c_char,
    pub name: *const c_char,
    pub label: *const c_char,
    pub protocol: *const c_char,
    pub server: *const *const c_char,
    pub username: *const c_char,
    pub secret: *const c_char,
    pub cachemode: *const c_char,
    pub discard: *const c_char,
    pub copyonread: c_int,
    pub blocksize: c_int,
}

/// Bits of [`AddDriveOpts::bitmask`].
pub(super) const DRIVE_READONLY: u64 = 1 << 0;
pub(super) const DRIVE_FORMAT: u64 = 1 << 1;
pub(super) const DRIVE_CACHEMODE: u64 = 1 << 9;
pub(super) const DRIVE_DISCARD: u64 = 1 << 10;

/// `struct guestfs_cryptsetup_open_argv`.
#[repr(C)]
pub(super) struct CryptsetupOpts {
    pub bitmask: u64,
    pub readonly: c_int,
    pub crypttype: *const c_char,
}

/// Bit of [`CryptsetupOpts::bitmask`].
pub(super) const CRYPTSETUP_READONLY: u64 = 1 << 0;

/// `struct guestfs_xfs_growfs_argv`.
#[repr(C)]
pub(super) struct XfsGrowfs {
    pub bitmask: u64,
    pub datasec: c_int,
    pub logsec: c_int,
    pub rtsec: c_int,
    pub datasize: i64,
    pub logsize: i64,
    pub rtsize: i64,
    pub rtextsize: i64,
    pub maxpct: c_int,
}

/// Bit of [`XfsGrowfs::bitmask`].
pub(super) const XFS_DATASEC: u64 = 1 << 0;

/// `struct guestfs_btrfs_filesystem_resize_argv`.
#[repr(C)]
pub(super) struct BtrfsResize {
    pub bitmask: u64,
    pub size: i64,
}

/// `struct guestfs_set_e2attrs_argv`.
#[repr(C)]
pub(super) struct SetFlags {
    pub bitmask: u64,
    pub clear: c_int,
}

/// Bit of [`SetFlags::bitmask`].
pub(super) const SET_FLAGS_CLEAR: u64 = 1 << 0;

/// `struct guestfs_fstrim_argv`.
#[repr(C)]
pub(super) struct Fstrim {
    pub bitmask: u64,
    pub offset: i64,
    pub length: i64,
    pub minimumfreeextent: i64,
}

/// Bit of [`Fstrim::bitmask`].
pub(super) const FSTRIM_MINIMUMFREEEXTENT: u64 = 1 << 2;

/// `struct guestfs_statns`.
#[repr(C)]
pub(super) struct Statns {
    pub dev: i64,
    pub ino: i64,
    pub mode: i64,
    pub nlink: i64,
    pub uid: i64,
    pub gid: i64,
    pub rdev: i64,
    pub size: i64,
    pub blksize: i64,
    pub blocks: i64,
    pub atime_sec: i64,
    pub atime_nsec: i64,
    pub mtime_sec: i64,
    pub mtime_nsec: i64,
    pub ctime_sec: i64,
    pub ctime_nsec: i64,
    pub spare: [i64; 6],
}

/// `struct guestfs_statns_list`.
#[repr(C)]
pub(super) struct StatnsList {
    pub len: u32,
    pub val: *const Statns,
}

/// `struct guestfs_dirent`.
#[repr(C)]
pub(super) struct Dirent {
    pub ino: i64,
    pub ftyp: c_char,
    pub name: *const c_char,
}

/// `struct guestfs_dirent_list`.
#[repr(C)]
pub(super) struct DirentList {
    pub len: u32,
    pub val: *const Dirent,
}

/// `struct guestfs_statvfs`.
#[repr(C)]
pub(super) struct Statvfs {
    pub bsize: i64,
    pub frsize: i64,
    pub blocks: i64,
    pub bfree: i64,
    pub bavail: i64,
    pub files: i64,
    pub ffree: i64,
    pub favail: i64,
    pub rest: [i64; 3],
}

type H = *mut RawHandle;
type Str = *const c_char;
type StrList = *const *const c_char;
type OwnedStr = *mut c_char;
type OwnedStrList = *mut *mut c_char;

macro_rules! symbols {
    ($(fn $name:ident($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        /// One pointer for each symbol, named as in `guestfs.h` without `guestfs_`.
        pub(super) struct Api {
            $(pub $name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
            _library: Library,
        }

        fn load(name: &str) -> Result<Api> {
            // SAFETY: loading runs the library's initialisers; libguestfs and what it links to have none that depend on
            // the state of this process. The name has no folder, so the system's loader decides, as for any library.
            let library = unsafe { Library::new(name) }.map_err(|error| {
                PluginError::missing(format!("{name} cannot be loaded: {error}"))
                    .hint("install the package libguestfs0 (libguestfs on other systems than Debian)")
            })?;
            $(
                // SAFETY: the type is the symbol's prototype in guestfs.h.
                let $name = *unsafe {
                    library.get::<unsafe extern "C" fn($($arg),*) $(-> $ret)?>(
                        concat!("guestfs_", stringify!($name), "\0").as_bytes(),
                    )
                }
                .map_err(|_| too_old(stringify!($name)))?;
            )*
            Ok(Api { $($name,)* _library: library })
        }
    };
}

symbols! {
    fn create() -> H;
    fn close(H);
    fn last_error(H) -> Str;
    fn last_errno(H) -> c_int;
    fn set_error_handler(H, *const c_void, *const c_void);

    fn set_backend(H, Str) -> c_int;
    fn get_backend_setting(H, Str) -> OwnedStr;
    fn set_backend_setting(H, Str, Str) -> c_int;
    fn set_memsize(H, c_int) -> c_int;
    fn set_smp(H, c_int) -> c_int;
    fn set_network(H, c_int) -> c_int;
    fn set_tmpdir(H, Str) -> c_int;
    fn parse_environment_list(H, StrList) -> c_int;
    fn config(H, Str, Str) -> c_int;
    fn set_path(H, Str) -> c_int;
    fn get_path(H) -> Str;
    fn get_cachedir(H) -> OwnedStr;
    fn get_hv(H) -> OwnedStr;
    fn get_pid(H) -> c_int;
    fn add_drive_opts_argv(H, Str, *const AddDriveOpts) -> c_int;
    fn launch(H) -> c_int;
    fn shutdown(H) -> c_int;
    fn sync(H) -> c_int;

    fn blockdev_getsize64(H, Str) -> i64;
    fn pread_device(H, Str, c_int, i64, *mut usize) -> OwnedStr;
    fn pwrite_device(H, Str, Str, usize, i64) -> c_int;
    fn lvs(H) -> OwnedStrList;
    fn lvm_scan(H, c_int) -> c_int;
    fn list_md_devices(H) -> OwnedStrList;
    fn md_detail(H, Str) -> OwnedStrList;
    fn cryptsetup_open_argv(H, Str, Str, Str, *const CryptsetupOpts) -> c_int;
    fn mount_options(H, Str, Str, Str) -> c_int;
    fn umount(H, Str) -> c_int;
    fn mkmountpoint(H, Str) -> c_int;
    fn umount_all(H) -> c_int;

    fn lstatns(H, Str) -> *mut Statns;
    fn free_statns(*mut Statns);
    fn lstatnslist(H, Str, StrList) -> *mut StatnsList;
    fn free_statns_list(*mut StatnsList);
    fn readdir(H, Str) -> *mut DirentList;
    fn free_dirent_list(*mut DirentList);
    fn readlink(H, Str) -> OwnedStr;
    fn pread(H, Str, c_int, i64, *mut usize) -> OwnedStr;
    fn statvfs(H, Str) -> *mut Statvfs;
    fn free_statvfs(*mut Statvfs);
    fn lgetxattr(H, Str, Str, *mut usize) -> OwnedStr;

    fn write(H, Str, Str, usize) -> c_int;
    fn upload_offset(H, Str, Str, i64) -> c_int;
    fn truncate_size(H, Str, i64) -> c_int;
    fn rename(H, Str, Str) -> c_int;
    fn rm(H, Str) -> c_int;
    fn rmdir(H, Str) -> c_int;
    fn mkdir_mode(H, Str, c_int) -> c_int;
    fn ln_s(H, Str, Str) -> c_int;
    fn chmod(H, c_int, Str) -> c_int;
    fn lchown(H, c_int, c_int, Str) -> c_int;
    fn lsetxattr(H, Str, Str, c_int, Str) -> c_int;
    fn get_e2attrs(H, Str) -> OwnedStr;
    fn set_e2attrs_argv(H, Str, Str, *const SetFlags) -> c_int;
    fn btrfs_subvolume_show(H, Str) -> OwnedStrList;
    fn command(H, StrList) -> OwnedStr;

    fn part_expand_gpt(H, Str) -> c_int;
    fn part_resize(H, Str, c_int, i64) -> c_int;
    fn pvresize(H, Str) -> c_int;
    fn lvresize(H, Str, c_int) -> c_int;
    fn resize2fs(H, Str) -> c_int;
    fn xfs_growfs_argv(H, Str, *const XfsGrowfs) -> c_int;
    fn btrfs_filesystem_resize_argv(H, Str, *const BtrfsResize) -> c_int;
    fn vgmeta(H, Str, *mut usize) -> OwnedStr;
    fn vg_activate_all(H, c_int) -> c_int;
    fn cryptsetup_close(H, Str) -> c_int;
    fn drop_caches(H, c_int) -> c_int;
    fn fstrim_argv(H, Str, *const Fstrim) -> c_int;
}

const LIBRARY: &str = "libguestfs.so.0";

fn too_old(symbol: &str) -> PluginError {
    PluginError::missing(format!("{LIBRARY} has no guestfs_{symbol}: it is too old"))
        .hint("install libguestfs 1.40 or newer")
}

/// The library, loaded once and never unloaded. A failure is not remembered: the user may install the package meanwhile.
pub(super) fn api() -> Result<&'static Api> {
    static API: OnceLock<Api> = OnceLock::new();
    if let Some(api) = API.get() {
        return Ok(api);
    }
    let loaded = load(LIBRARY)?;
    Ok(API.get_or_init(|| loaded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmdk2kvm_plugin_api::ErrorKind;

    #[test]
    fn a_missing_library_is_an_error_that_names_the_package() {
        let Err(error) = load("libguestfs-not-there.so.0") else { panic!("it was there") };
        assert_eq!(error.kind, ErrorKind::Missing);
        assert!(error.message.starts_with("libguestfs-not-there.so.0 cannot be loaded: "), "{}", error.message);
        assert!(error.hint.is_some_and(|hint| hint.contains("libguestfs0")));
    }

    #[test]
    fn another_library_is_said_to_be_too_old() {
        let Err(error) = load("libc.so.6") else { panic!("it has every symbol") };
        assert_eq!(error.message, "libguestfs.so.0 has no guestfs_create: it is too old");
    }
}
