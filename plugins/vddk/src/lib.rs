//! Disks of a vCenter or an ESXi host by VDDK, the vendor's library, where the user has it. Nothing of it is
//! shipped, linked or needed to build.
//!
//! [`place`] finds the library and knows which servers its version reads; [`abi`] has its functions; [`engine`]
//! makes it ready and has the one thread that it wants; [`handle`] is a disk that it has open; [`said`] takes
//! what it says, and [`errors`] makes sentences of its numbers. On top of these [`disk`] is what the host
//! reads, with [`map`] for the holes and [`turn`] for the places at a host; [`transport`] finds out at the
//! server what to open.
//!
//! The plugin has a process of its own: the library brings others of the same names as this machine's, and has
//! to be found when the process starts.

pub mod abi;
pub mod disk;
pub mod engine;
pub mod errors;
pub mod handle;
pub mod map;
pub mod place;
pub mod said;
pub mod transport;
pub mod turn;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::{Link, SourceRef, Way};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{Fetcher, Host, Plugin, PluginError, Result, Transport};
use vmdk2kvm_vsphere::datastore::SESSION_NOTE;
use vmdk2kvm_vsphere::{Session, ways};

/// Over TLS, and only where a host has none without.
const TRANSPORTS: &str = "nbdssl:nbd";

/// The table `[plugin.vddk]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    libdir: String,
    #[serde(default = "transports")]
    transports: String,
}

fn transports() -> String {
    TRANSPORTS.to_owned()
}

/// The plugin.
#[derive(Clone)]
pub struct Vddk {
    host: Host,
    settings: Settings,
    /// Sessions by their handles: the disks of a VM share one.
    sessions: Arc<Mutex<HashMap<String, Arc<Session>>>>,
}

impl Plugin for Vddk {
    fn new(host: Host) -> Result<Self> {
        let settings: Settings = host.settings()?;
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == ':';
        if settings.transports.is_empty() || !settings.transports.chars().all(plain) {
            return Err(PluginError::config(format!(
                "`plugin.vddk.transports` is '{}', which is no list of names with colons between them",
                escape(&settings.transports)
            ))
            .hint("nbdssl, nbd, hotadd and san are names; the first that works is taken"));
        }
        Ok(Self { host, settings, sessions: Arc::default() })
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(self.clone()))
    }
}

impl Vddk {
    fn session(&self, handle: &str) -> Result<Arc<Session>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get(handle) {
            return Ok(Arc::clone(session));
        }
        let lent = self.host.secret_bytes(handle)?;
        let lent = lent.ok_or_else(|| PluginError::defect("the session that the catalog lent is not there"))?;
        let session = Arc::new(Session::borrow(&lent)?);
        sessions.insert(handle.to_owned(), Arc::clone(&session));
        Ok(session)
    }
}

impl Fetcher for Vddk {
    fn accepts(&self, _: &SourceRef) -> Result<u32> {
        Ok(0)
    }

    fn carries(&self, way: &Way) -> Result<u32> {
        if way.scheme != ways::DISK || way.stream {
            return Ok(0);
        }
        place::find(&self.settings.libdir).map(|_| 50)
    }

    fn transport(&self, link: &Link) -> Result<Box<dyn Transport>> {
        let found = place::find(&self.settings.libdir)?;
        let handle = link.hold.notes[SESSION_NOTE].as_str();
        let handle = handle.ok_or_else(|| PluginError::cannot("reading a disk whose catalog lends no session"))?;
        let Settings { libdir, transports } = self.settings.clone();
        let session = self.session(handle)?;
        Ok(Box::new(transport::VddkTransport::new(self.host.clone(), session, found, libdir, transports, link)?))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: Vddk,
    name: "vddk",
    summary: "Reads disks of a vCenter or an ESXi host by VDDK, where the user has it",
    kinds: ["fetcher"],
    capabilities: ["vsphere-disk"],
    settings: [
        ("libdir", "string", "", "the folder of VDDK, with lib64 in it; without it the plugin does nothing"),
        ("transports", "string", "nbdssl:nbd", "how VDDK gets bytes, the first that works: nbdssl, nbd, hotadd, san"),
    ],
    setting_files: [("libdir", [
        "lib64/libvixDiskLib.so.9",
        "lib64/libvixDiskLib.so.8",
        "lib64/libvixDiskLib.so.7",
        "lib64/libvixDiskLib.so.6",
        "libvixDiskLib.so.9",
        "libvixDiskLib.so.8",
        "libvixDiskLib.so.7",
        "libvixDiskLib.so.6",
    ])],
    own_process: [("LD_LIBRARY_PATH", "${libdir}/lib64:${libdir}")],
}
