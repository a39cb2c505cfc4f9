//! The library's functions and records, as far as they are used: names, sizes and places that are published,
//! for x86-64.
//!
//! Nothing of the library is linked: it is opened by its full path when a disk is opened, and what an older one
//! lacks is gone without.

use std::ffi::{c_char, c_void};
use std::path::Path;

use libloading::os::unix::{Library as Loaded, RTLD_LOCAL, RTLD_NOW};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

/// Bytes of the unit that the library counts in.
pub const SECTOR: u64 = 512;
/// No error.
pub const OK: u64 = 0;
/// The answer of a request that goes on by itself.
pub const ASYNC: u64 = 25_000;
/// Opening: nothing is written.
pub const READ_ONLY: u32 = 4;
/// Credentials: a user and a password.
pub const BY_PASSWORD: i32 = 1;
/// Credentials: a session that lives.
pub const BY_SESSION: i32 = 2;

/// An error's number; what it means is in its low 16 bits.
pub type Code = u64;
/// A connection or a disk.
pub type Object = *mut c_void;
type Text = *const c_char;
/// A format and the `va_list` of its arguments, which on x86-64 goes as a pointer.
pub type Say = unsafe extern "C" fn(Text, *mut c_void);
/// What is called when a request has ended, perhaps before the function that began it returns.
pub type Done = unsafe extern "C" fn(*mut c_void, Code);

/// Whom to connect to, and as whom.
#[repr(C)]
pub struct ConnectParams {
    /// `moref=vm-12`.
    pub vm: Text,
    pub server: Text,
    /// The SHA-1 of its certificate, with colons.
    pub thumbprint: Text,
    pub reserved: i64,
    pub kind: i32,
    /// User and password; or cookie, user and key.
    pub credentials: [Text; 3],
    pub port: u32,
    pub nfc_port: u32,
    pub further: [*mut c_void; 3],
    pub spec: [*mut c_void; 3],
    pub spec_kind: i32,
}

/// A disk's facts.
#[repr(C)]
pub struct Info {
    pub geometry: [u32; 6],
    /// In sectors.
    pub capacity: u64,
    pub adapter: i32,
    pub links: i32,
    pub parent: Text,
    pub uuid: Text,
    /// In bytes; from version 7 on. An older library's record ends before.
    pub logical_sector: u32,
    pub physical_sector: u32,
}

/// A run of sectors.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    pub offset: u64,
    pub length: u64,
}

/// Runs of sectors that were written to: so many of them stand behind the number.
#[repr(C)]
pub struct BlockList {
    pub count: u32,
    pub first: [Block; 0],
}

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<ConnectParams>() == 128 && size_of::<Info>() == 64);
    assert!(offset_of!(ConnectParams, kind) == 32 && offset_of!(ConnectParams, credentials) == 40);
    assert!(offset_of!(ConnectParams, port) == 64 && offset_of!(ConnectParams, nfc_port) == 68);
    assert!(offset_of!(ConnectParams, spec) == 96 && offset_of!(ConnectParams, spec_kind) == 120);
    assert!(
        offset_of!(Info, capacity) == 24 && offset_of!(Info, parent) == 40 && offset_of!(Info, logical_sector) == 56
    );
    assert!(offset_of!(BlockList, first) == 8);
};

macro_rules! functions {
    ($($name:ident: $symbol:literal, fn($($argument:ty),*) $(-> $result:ty)?;)+ -- $($later:ident: $latter:literal, fn($($given:ty),*) $(-> $back:ty)?;)+) => {
        /// The functions that are used.
        pub struct Functions {
            $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)+
            $(pub $later: Option<unsafe extern "C" fn($($given),*) $(-> $back)?>,)+
            /// Never closed: it has threads of its own.
            _library: Loaded,
        }

        impl Functions {
            fn find(library: Loaded) -> std::result::Result<Self, libloading::Error> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the declaration is the published one, which the library keeps to under this name.
                        let symbol = unsafe { library.get::<unsafe extern "C" fn($($argument),*) $(-> $result)?>($symbol.as_bytes()) };
                        *symbol?
                    },)+
                    $($later: {
                        // SAFETY: as above.
                        let symbol = unsafe { library.get::<unsafe extern "C" fn($($given),*) $(-> $back)?>($latter.as_bytes()) };
                        symbol.ok().map(|symbol| *symbol)
                    },)+
                    _library: library,
                })
            }
        }
    };
}

functions! {
    init: "VixDiskLib_InitEx", fn(u32, u32, Say, Say, Say, Text, Text) -> Code;
    exit: "VixDiskLib_Exit", fn();
    error_text: "VixDiskLib_GetErrorText", fn(Code, Text) -> *mut c_char;
    free_error_text: "VixDiskLib_FreeErrorText", fn(*mut c_char);
    connect: "VixDiskLib_ConnectEx", fn(*const ConnectParams, c_char, Text, Text, *mut Object) -> Code;
    disconnect: "VixDiskLib_Disconnect", fn(Object) -> Code;
    open: "VixDiskLib_Open", fn(Object, Text, u32, *mut Object) -> Code;
    close: "VixDiskLib_Close", fn(Object) -> Code;
    mode: "VixDiskLib_GetTransportMode", fn(Object) -> Text;
    info: "VixDiskLib_GetInfo", fn(Object, *mut *mut Info) -> Code;
    free_info: "VixDiskLib_FreeInfo", fn(*mut Info);
    read_async: "VixDiskLib_ReadAsync", fn(Object, u64, u64, *mut u8, Done, *mut c_void) -> Code;
    wait: "VixDiskLib_Wait", fn(Object) -> Code;
    --
    allocate_params: "VixDiskLib_AllocateConnectParams", fn() -> *mut ConnectParams;
    free_params: "VixDiskLib_FreeConnectParams", fn(*mut ConnectParams);
    allocated: "VixDiskLib_QueryAllocatedBlocks", fn(Object, u64, u64, u64, *mut *mut BlockList) -> Code;
    free_list: "VixDiskLib_FreeBlockList", fn(*mut BlockList) -> Code;
}

impl Functions {
    /// Opens the library in this file.
    pub fn load(path: &Path) -> Result<Self> {
        let wrong = |error: libloading::Error| {
            // The loader names a file, and what it misses there.
            let why = vmdk2kvm_plugin_api::text::escape(&error.to_string()).into_owned();
            PluginError::new(ErrorKind::Cannot, format!("VDDK cannot be loaded: {why}"))
                .hint("unpack it whole, and set `plugin.vddk.libdir` to the folder that has `lib64` in it")
        };
        if cfg!(not(target_arch = "x86_64")) {
            return Err(PluginError::new(ErrorKind::Cannot, "VDDK cannot be loaded: there is none for this processor"));
        }
        // SAFETY: the user named the library for this purpose; its initialisers run in a process that is there
        // for it alone.
        let library = unsafe { Loaded::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(wrong)?;
        Self::find(library).map_err(wrong)
    }
}
