//! libvirt's client library, opened when somebody first speaks with a daemon: who only writes domains down does without it, and nothing of it is
//! needed to build.
//!
//! The declarations are those of <https://libvirt.org/html/index.html>; all are older than libvirt 4.

use std::ffi::{c_char, c_int, c_longlong, c_uint, c_ulonglong, c_void};
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use vmdk2kvm_plugin_api::{PluginError, Result};

/// The library's name, as every distribution has it.
const SONAME: &str = "libvirt.so.0";

/// An object of the library's: a connection, a domain, a stream.
pub(crate) type Object = *mut c_void;
type Text = *const c_char;
/// A text that the caller has to free.
type OwnText = *mut c_char;
type OnError = extern "C" fn(*mut c_void, *mut c_void);
type Release = extern "C" fn(*mut c_void);

/// What is known of a volume.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct VolumeInfo {
    kind: c_int,
    pub capacity: c_ulonglong,
    pub allocation: c_ulonglong,
}

macro_rules! functions {
    ($($name:ident: $symbol:literal, fn($($argument:ty),*) $(-> $result:ty)?;)+) => {
        /// The functions that are used.
        pub(crate) struct Functions {
            $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)+
            /// Never closed: it has threads of its own.
            _library: Library,
        }

        impl Functions {
            fn load(library: Library) -> std::result::Result<Self, libloading::Error> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the declaration is the published one, which the library keeps to under this soname.
                        let symbol = unsafe { library.get::<unsafe extern "C" fn($($argument),*) $(-> $result)?>($symbol.as_bytes()) };
                        *symbol?
                    },)+
                    _library: library,
                })
            }
        }
    };
}

functions! {
    initialize: "virInitialize", fn() -> c_int;
    set_error_func: "virSetErrorFunc", fn(*mut c_void, OnError);
    last_error_message: "virGetLastErrorMessage", fn() -> Text;
    last_error_code: "virGetLastErrorCode", fn() -> c_int;
    event_register: "virEventRegisterDefaultImpl", fn() -> c_int;
    event_run: "virEventRunDefaultImpl", fn() -> c_int;
    open: "virConnectOpen", fn(Text) -> Object;
    close: "virConnectClose", fn(Object) -> c_int;
    uri: "virConnectGetURI", fn(Object) -> OwnText;
    domain_by_name: "virDomainLookupByName", fn(Object, Text) -> Object;
    domain_by_uuid: "virDomainLookupByUUIDString", fn(Object, Text) -> Object;
    domain_define: "virDomainDefineXMLFlags", fn(Object, Text, c_uint) -> Object;
    domain_create: "virDomainCreateXML", fn(Object, Text, c_uint) -> Object;
    domain_name: "virDomainGetName", fn(Object) -> Text;
    domain_uuid: "virDomainGetUUIDString", fn(Object, *mut c_char) -> c_int;
    domain_xml: "virDomainGetXMLDesc", fn(Object, c_uint) -> OwnText;
    domain_metadata: "virDomainGetMetadata", fn(Object, c_int, Text, c_uint) -> OwnText;
    domain_is_active: "virDomainIsActive", fn(Object) -> c_int;
    domain_state: "virDomainGetState", fn(Object, *mut c_int, *mut c_int, c_uint) -> c_int;
    domain_autostart: "virDomainGetAutostart", fn(Object, *mut c_int) -> c_int;
    domain_set_autostart: "virDomainSetAutostart", fn(Object, c_int) -> c_int;
    domain_undefine: "virDomainUndefineFlags", fn(Object, c_uint) -> c_int;
    domain_destroy: "virDomainDestroy", fn(Object) -> c_int;
    domain_resume: "virDomainResume", fn(Object) -> c_int;
    domain_screenshot: "virDomainScreenshot", fn(Object, Object, c_uint, c_uint) -> OwnText;
    domain_peek: "virDomainMemoryPeek", fn(Object, c_ulonglong, usize, *mut c_void, c_uint) -> c_int;
    domain_free: "virDomainFree", fn(Object) -> c_int;
    on_event: "virConnectDomainEventRegisterAny", fn(Object, Object, c_int, *const c_void, *mut c_void, Release) -> c_int;
    no_more_events: "virConnectDomainEventDeregisterAny", fn(Object, c_int) -> c_int;
    stream_new: "virStreamNew", fn(Object, c_uint) -> Object;
    stream_recv: "virStreamRecv", fn(Object, *mut c_char, usize) -> c_int;
    stream_send: "virStreamSend", fn(Object, *const c_char, usize) -> c_int;
    stream_send_hole: "virStreamSendHole", fn(Object, c_longlong, c_uint) -> c_int;
    stream_finish: "virStreamFinish", fn(Object) -> c_int;
    stream_abort: "virStreamAbort", fn(Object) -> c_int;
    stream_free: "virStreamFree", fn(Object) -> c_int;
    pool_by_name: "virStoragePoolLookupByName", fn(Object, Text) -> Object;
    pool_xml: "virStoragePoolGetXMLDesc", fn(Object, c_uint) -> OwnText;
    pool_is_active: "virStoragePoolIsActive", fn(Object) -> c_int;
    pool_refresh: "virStoragePoolRefresh", fn(Object, c_uint) -> c_int;
    pool_free: "virStoragePoolFree", fn(Object) -> c_int;
    volume_by_name: "virStorageVolLookupByName", fn(Object, Text) -> Object;
    volume_create: "virStorageVolCreateXML", fn(Object, Text, c_uint) -> Object;
    volume_upload: "virStorageVolUpload", fn(Object, Object, c_ulonglong, c_ulonglong, c_uint) -> c_int;
    volume_path: "virStorageVolGetPath", fn(Object) -> OwnText;
    volume_info: "virStorageVolGetInfo", fn(Object, *mut VolumeInfo) -> c_int;
    volume_delete: "virStorageVolDelete", fn(Object, c_uint) -> c_int;
    volume_free: "virStorageVolFree", fn(Object) -> c_int;
    network_by_name: "virNetworkLookupByName", fn(Object, Text) -> Object;
    network_is_active: "virNetworkIsActive", fn(Object) -> c_int;
    network_free: "virNetworkFree", fn(Object) -> c_int;
}

/// The library, opened and made ready once in this process.
pub(crate) fn functions() -> Result<&'static Functions> {
    static LOADED: OnceLock<Result<Functions>> = OnceLock::new();
    LOADED.get_or_init(load).as_ref().map_err(Clone::clone)
}

fn load() -> Result<Functions> {
    // SAFETY: the system's library; its initialisers do no more than those of a program that is linked to it.
    let library = unsafe { Library::open(Some(SONAME), RTLD_NOW | RTLD_LOCAL) };
    let functions = library.and_then(Functions::load).map_err(|error| {
        PluginError::missing(format!("libvirt's client library cannot be opened: {error}"))
            .hint("install the package libvirt0 (libvirt-libs on Fedora)")
    })?;
    // SAFETY: called before anything else of the library, as it wants; the function that takes its errors lives for ever.
    let ready = unsafe {
        // By itself it writes every error to standard error.
        (functions.set_error_func)(std::ptr::null_mut(), silent);
        (functions.initialize)() == 0 && (functions.event_register)() == 0
    };
    if !ready {
        return Err(PluginError::missing("libvirt's client library did not start"));
    }
    let run = functions.event_run;
    let looping = std::thread::Builder::new().name("libvirt-events".to_owned()).spawn(move || {
        // Events, and whatever a driver inside of this process does by itself. Ends with the process.
        // SAFETY: one thread alone runs the loop that was registered above.
        while unsafe { run() } == 0 {}
    });
    looping.map_err(|error| PluginError::io(format!("a thread for libvirt's events: {error}")))?;
    Ok(functions)
}

extern "C" fn silent(_: *mut c_void, _: *mut c_void) {}
