//! A connection to a daemon, or to a driver inside of this process.

use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{PluginError, Result};

use super::domain_handle::Domain;
use super::error::{Error, NO_DOMAIN, NO_NETWORK, NO_POOL};
use super::functions::{self, Object};
use super::handle::{Handle, c_text, found};
use super::storage::Pool;

/// Flags of `virDomainDefineXMLFlags` and `virDomainCreateXML`.
const DEFINE_VALIDATE: u32 = 1;
const START_PAUSED: u32 = 1;
const START_AUTODESTROY: u32 = 1 << 1;
const START_VALIDATE: u32 = 1 << 4;

/// A connection. Dropped, it is closed.
pub struct Connection {
    handle: Handle,
}

impl Connection {
    /// Opens what a URI names. Asks nobody for a password: what needs one fails.
    pub fn open(uri: &str) -> Result<Self> {
        refuse_autostart(uri, &SessionPlace::of_process())?;
        let functions = functions::functions()?;
        // SAFETY: the library was made ready; the text lives for the call.
        let object = unsafe { (functions.open)(c_text(uri).as_ptr()) };
        let handle = Handle::new(functions, object, functions.close).map_err(|error| error.at_open(uri))?;
        Ok(Self { handle })
    }

    /// The URI as the daemon has it.
    pub fn uri(&self) -> std::result::Result<String, Error> {
        // SAFETY: the connection lives.
        self.handle.text(unsafe { (self.handle.functions.uri)(self.handle.get()) })
    }

    fn domain(&self, object: Object) -> std::result::Result<Domain, Error> {
        let functions = self.handle.functions;
        Handle::new(functions, object, functions.domain_free).map(Domain::new)
    }

    /// The domain of a name, running or not.
    pub fn domain_by_name(&self, name: &str) -> std::result::Result<Option<Domain>, Error> {
        // SAFETY: the connection lives; the text lives for the call.
        let object = unsafe { (self.handle.functions.domain_by_name)(self.handle.get(), c_text(name).as_ptr()) };
        found(self.domain(object), NO_DOMAIN)
    }

    /// The domain of a UUID.
    pub fn domain_by_uuid(&self, uuid: &str) -> std::result::Result<Option<Domain>, Error> {
        // SAFETY: the connection lives; the text lives for the call.
        let object = unsafe { (self.handle.functions.domain_by_uuid)(self.handle.get(), c_text(uuid).as_ptr()) };
        found(self.domain(object), NO_DOMAIN)
    }

    /// Defines a domain for good, by the schema. **Replaces one of the same name and UUID without a word.**
    pub fn define(&self, xml: &str) -> std::result::Result<Domain, Error> {
        let flags = DEFINE_VALIDATE;
        // SAFETY: the connection lives; the text lives for the call.
        let object = unsafe { (self.handle.functions.domain_define)(self.handle.get(), c_text(xml).as_ptr(), flags) };
        self.domain(object)
    }

    /// Starts a transient domain, whose processors stand still until it is resumed. A daemon destroys it when this connection closes, for
    /// whatever reason (`bound`); a driver inside of this process cannot.
    pub fn create_paused(&self, xml: &str, bound: bool) -> std::result::Result<Domain, Error> {
        let flags = START_PAUSED | START_VALIDATE | if bound { START_AUTODESTROY } else { 0 };
        // SAFETY: the connection lives; the text lives for the call.
        let object = unsafe { (self.handle.functions.domain_create)(self.handle.get(), c_text(xml).as_ptr(), flags) };
        self.domain(object)
    }

    /// Whether a network is active; `None`: there is none of that name.
    pub fn network_is_active(&self, name: &str) -> std::result::Result<Option<bool>, Error> {
        let functions = self.handle.functions;
        // SAFETY: the connection lives; the text lives for the call.
        let object = unsafe { (functions.network_by_name)(self.handle.get(), c_text(name).as_ptr()) };
        let Some(network) = found(Handle::new(functions, object, functions.network_free), NO_NETWORK)? else {
            return Ok(None);
        };
        // SAFETY: the network lives.
        let active = unsafe { (functions.network_is_active)(network.get()) };
        network.check(active).map(|active| Some(active == 1))
    }

    /// The pool of a name.
    pub fn pool(&self, name: &str) -> std::result::Result<Option<Pool<'_>>, Error> {
        let functions = self.handle.functions;
        // SAFETY: the connection lives; the text lives for the call.
        let object = unsafe { (functions.pool_by_name)(self.handle.get(), c_text(name).as_ptr()) };
        let pool = Handle::new(functions, object, functions.pool_free);
        Ok(found(pool, NO_POOL)?.map(|pool| Pool::new(self, pool)))
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Where a user's own daemon would have its sockets.
struct SessionPlace {
    is_root: bool,
    sockets: Vec<PathBuf>,
}

impl SessionPlace {
    fn of_process() -> Self {
        let user = rustix::process::geteuid();
        let base = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        let base = base.unwrap_or_else(|| Path::new("/run/user").join(user.as_raw().to_string())).join("libvirt");
        let sockets = ["virtqemud-sock", "libvirt-sock"].map(|name| base.join(name)).to_vec();
        Self { is_root: user.is_root(), sockets }
    }
}

/// The client would start a daemon for `qemu:///session` itself. That one would be shut in with this run, and outlive it: everybody who
/// speaks with it afterwards would wonder which files it cannot open.
fn refuse_autostart(uri: &str, place: &SessionPlace) -> Result<()> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let is_local = path.split_once("://").is_some_and(|(_, rest)| rest == "/session");
    if !is_local || query.contains("socket=") || place.is_root {
        return Ok(());
    }
    if place.sockets.iter().any(|socket| std::os::unix::net::UnixStream::connect(socket).is_ok()) {
        return Ok(());
    }
    Err(PluginError::missing(format!("{uri}: this user's libvirt daemon does not run"))
        .hint("start it, it stays for two minutes: virsh -c qemu:///session list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_daemon_is_not_started_from_inside_of_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("libvirt-sock");
        let place = |is_root| SessionPlace { is_root, sockets: vec![socket.clone()] };
        let refused = refuse_autostart("qemu:///session", &place(false)).unwrap_err();
        assert_eq!(refused.message, "qemu:///session: this user's libvirt daemon does not run");
        for others in ["qemu:///system", "qemu+ssh://host/session", "qemu+unix:///session?socket=/x"] {
            refuse_autostart(others, &place(false)).unwrap();
        }
        refuse_autostart("qemu:///session", &place(true)).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        refuse_autostart("qemu:///session", &place(false)).unwrap();
    }
}
