//! Files of datastores over HTTPS: `/folder` by ranges, over several connections.
//!
//! [`place`] is where a file lies; [`gate`] how many requests a server bears; [`file`](mod@file) reads one at random; [`transport`] is the data
//! plane made of them. Which files a disk is made of is the flattener's business, and the session the catalog's, which lends it.

pub mod file;
pub mod gate;
pub mod place;
pub mod transport;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::model::{Link, Way};
use vmdk2kvm_plugin_api::{Fetcher, Host, Plugin, PluginError, Result, Transport};
use vmdk2kvm_vsphere::Session;
use vmdk2kvm_vsphere::datastore::{SCHEME, SESSION_NOTE};

use gate::Gate;

/// A server as the disks of one run share it.
pub(crate) struct Server {
    pub session: Session,
    pub gate: Gate,
}

/// The plugin.
#[derive(Clone)]
pub struct VsphereHttp {
    host: Host,
    /// Servers by the handle of their session, kept as long as a disk is open.
    servers: Arc<Mutex<HashMap<String, std::sync::Weak<Server>>>>,
}

impl Plugin for VsphereHttp {
    fn new(host: Host) -> Result<Self> {
        Ok(Self { host, servers: Arc::default() })
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(self.clone()))
    }
}

impl VsphereHttp {
    fn server(&self, handle: &str) -> Result<Arc<Server>> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(handle).and_then(std::sync::Weak::upgrade) {
            return Ok(server);
        }
        let lent = self.host.secret_bytes(handle)?;
        let lent = lent.ok_or_else(|| PluginError::defect("the session that the catalog lent is not there"))?;
        let session = Session::borrow(&lent)?;
        let gate = Gate::new(self.host.clone(), session.server());
        let server = Arc::new(Server { session, gate });
        servers.insert(handle.to_owned(), Arc::downgrade(&server));
        Ok(server)
    }
}

impl Fetcher for VsphereHttp {
    fn accepts(&self, _: &vmdk2kvm_plugin_api::model::SourceRef) -> Result<u32> {
        Ok(0)
    }

    fn carries(&self, way: &Way) -> Result<u32> {
        Ok(if way.scheme == SCHEME && !way.stream { 50 } else { 0 })
    }

    fn transport(&self, link: &Link) -> Result<Box<dyn Transport>> {
        let handle = link.hold.notes[SESSION_NOTE].as_str();
        let handle = handle.ok_or_else(|| PluginError::cannot("reading a datastore whose catalog lends no session"))?;
        Ok(Box::new(transport::FolderTransport::new(self.host.clone(), self.server(handle)?, &link.way)?))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: VsphereHttp,
    name: "vsphere-http",
    summary: "Reads files of datastores from a vCenter or an ESXi host over HTTPS",
    kinds: ["fetcher"],
    capabilities: ["datastore-file"],
}
