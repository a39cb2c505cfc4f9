//! Which commands of govc ask what.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};
use vmdk2kvm_vsphere::api::{Api, NewSnapshot};
use vmdk2kvm_vsphere::collector::Object;
use vmdk2kvm_vsphere::request::Moref;
use vmdk2kvm_vsphere::session::{COOKIE_NAME, Failed, Login};
use vmdk2kvm_vsphere::{Door, Session, Tree};

use crate::answer::{Objects, WHO};
use crate::login::Credentials;
use crate::program::{Patience, Program};

/// How often a question is asked of a server that has too much to do.
const ATTEMPTS: u32 = 5;
/// How long removing a snapshot may take: hours for a large one.
const REMOVAL: Duration = Duration::from_secs(12 * 3600);
/// How long logging out may take.
const LOGOUT: Duration = Duration::from_secs(30);
/// A type with subtypes, which a walk has to be told, and a view has anyway.
const NETWORK: &str = "Network";
const NETWORKS: [&str; 2] = ["DistributedVirtualPortgroup", "OpaqueNetwork"];
/// The longest answer that is no object, in bytes.
const SHORT: usize = 64 << 10;

/// govc, logged in. Dropped, it logs out.
pub struct GovcApi {
    host: Host,
    program: Program,
    credentials: Credentials,
    session: Session,
    /// One at a time: each may begin a session anew, and writes it down.
    one: Mutex<()>,
}

impl GovcApi {
    /// Logs in. The server is met by us before: a certificate that nobody vouches for is told with its digest, and nobody is logged in there.
    pub fn begin(host: Host, program: Program, door: Door, login: Login) -> Result<Self> {
        let credentials = Credentials::new(&door, &login)?;
        let user = login.user.clone();
        let session = Session::meet(door, login)?;
        let api = Self { host, program, credentials, session, one: Mutex::default() };
        let what = format!("logging in as {}", vmdk2kvm_plugin_api::text::escape(&user));
        let answer = api
            .say(&["session.login", "-l", "-xml"], Patience::Question(&api.host))
            .map_err(|failed| failed.error(&what, api.session.server()))?;
        let answer = Tree::parse(answer.trim(), WHO)?;
        let cookie = answer.text("Cookie").map(|value| value.trim_matches('"'));
        let cookie = cookie.ok_or_else(|| PluginError::unusable(format!("{what}: govc gives no session")))?;
        api.session.take_over(format!("{COOKIE_NAME}=\"{cookie}\""));
        Ok(api)
    }

    /// Runs a command that prints little.
    fn say(&self, arguments: &[&str], patience: Patience<'_>) -> Result<String, Failed> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = Vec::new();
        self.program.run(&self.credentials, arguments, patience, &mut |bytes| {
            if text.len() + bytes.len() > SHORT {
                return Err(PluginError::unusable("govc says more than 64 KiB where a word was asked for"));
            }
            text.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Runs a command that changes something: once, or twice when the server says that nobody was logged in.
    fn order(&self, arguments: &[&str], patience: Patience<'_>) -> Result<(), Failed> {
        match self.say(arguments, patience) {
            Err(Failed::Fault(fault)) if fault.is_not_authenticated() => self.say(arguments, patience).map(drop),
            answer => answer.map(drop),
        }
    }

    /// Collects objects, and again where none was taken yet.
    fn collect(&self, arguments: &[&str], take: &mut dyn FnMut(Object) -> Result<()>) -> Result<(), Failed> {
        let mut attempt = 1;
        loop {
            let mut taken = false;
            let failed = match self.collect_once(arguments, &mut |object| {
                taken = true;
                take(object)
            }) {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            let may_help = match &failed {
                Failed::Fault(fault) => fault.is_not_authenticated() && attempt == 1,
                Failed::Unheard(error) => matches!(error.kind, ErrorKind::Temporary | ErrorKind::Io),
            };
            if taken || !may_help || attempt == ATTEMPTS {
                return Err(failed);
            }
            std::thread::sleep(Duration::from_millis(200 << attempt));
            attempt += 1;
        }
    }

    /// The types among these of which there is an object, by one walk through all folders. Asked for those of a type that has none, govc would
    /// wait until there is one.
    fn existing(&self, kinds: &[&str]) -> Result<BTreeSet<String>, Failed> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let subtypes = kinds.iter().flat_map(|kind| if *kind == NETWORK { &NETWORKS[..] } else { &[] });
        let types = kinds.iter().chain(subtypes).flat_map(|kind| ["-type", *kind]);
        let arguments: Vec<&str> = ["find", "-i"].into_iter().chain(types).chain(["/"]).collect();
        let (mut found, mut line) = (BTreeSet::new(), Vec::new());
        self.program.run(&self.credentials, &arguments, Patience::Question(&self.host), &mut |bytes| {
            for byte in bytes {
                if *byte != b'\n' {
                    line.push(*byte);
                    if line.len() > SHORT {
                        return Err(PluginError::unusable("govc prints a reference of more than 64 KiB"));
                    }
                    continue;
                }
                let reference = String::from_utf8_lossy(&line);
                let kind = reference.split_once(':').map(|(kind, _)| kind).unwrap_or_default();
                found.insert(if NETWORKS.contains(&kind) { NETWORK } else { kind }.to_owned());
                line.clear();
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn collect_once(&self, arguments: &[&str], take: &mut dyn FnMut(Object) -> Result<()>) -> Result<(), Failed> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let all = [&["object.collect", "-xml"], arguments].concat();
        let mut objects = Objects::new(take);
        let patience = Patience::Question(&self.host);
        self.program.run(&self.credentials, &all, patience, &mut |bytes| objects.push(bytes))?;
        objects.end().map_err(Failed::Unheard)
    }
}

/// An object as govc takes it.
fn reference(object: &Moref) -> String {
    format!("{}:{}", object.kind, object.id)
}

impl Api for GovcApi {
    fn session(&self) -> &Session {
        &self.session
    }

    fn try_read(&self, object: &Moref, paths: &[&str]) -> Result<Object, Failed> {
        let (reference, mut found) = (reference(object), None);
        self.collect(&[&[reference.as_str()], paths].concat(), &mut |object| {
            found = Some(object);
            Ok(())
        })?;
        found.ok_or_else(|| {
            let none = format!("{} tells nothing of {}", self.server(), vmdk2kvm_plugin_api::text::escape(&reference));
            Failed::Unheard(PluginError::unusable(none).hint("`vmdk2kvm inventory` lists what is there"))
        })
    }

    fn read_all(
        &self,
        types: &[(&str, &[&str])],
        what: &str,
        take: &mut dyn FnMut(Object) -> Result<()>,
    ) -> Result<()> {
        // One type at a time: govc asks for the same properties of all types.
        let kinds: Vec<&str> = types.iter().map(|(kind, _)| *kind).collect();
        let existing = self.existing(&kinds).map_err(|failed| failed.error(what, self.server()))?;
        for (kind, paths) in types.iter().filter(|(kind, _)| existing.contains(*kind)) {
            let arguments = [&["-type", *kind, "-"], *paths].concat();
            self.collect(&arguments, take).map_err(|failed| failed.error(what, self.server()))?;
        }
        Ok(())
    }

    fn with_uuid(&self, uuid: &str) -> Result<Vec<Moref>> {
        let members = ["config.uuid", "config.instanceUuid"];
        let mut found = Vec::new();
        self.read_all(&[("VirtualMachine", &members)], "looking for the VM", &mut |object| {
            let is_one = |member| object.text(member).is_some_and(|known| known.eq_ignore_ascii_case(uuid));
            if members.into_iter().any(is_one) {
                found.push(object.moref);
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn make_snapshot(&self, host: &Host, vm: &Moref, wanted: &NewSnapshot<'_>) -> Result<Option<Moref>, Failed> {
        let quiesce = if wanted.quiesce { "-q=true" } else { "-q=false" };
        let (vm, memory) = (reference(vm), "-m=false");
        let arguments = ["snapshot.create", "-xml", "-vm", &vm, memory, quiesce, "-d", wanted.description, wanted.name];
        self.order(&arguments, Patience::Order(host))?;
        // It does not say the new one's id.
        Ok(None)
    }

    fn remove_snapshot(&self, vm: &Moref, snapshot: &Moref) -> Result<(), Failed> {
        let vm = reference(vm);
        let arguments = ["snapshot.remove", "-xml", "-vm", &vm, "-r=false", "-c=true", &snapshot.id];
        self.order(&arguments, Patience::Whatever(REMOVAL))
    }

    fn shut_down(&self, vm: &Moref) -> Result<(), Failed> {
        self.order(&["vm.power", "-xml", "-s", &reference(vm)], Patience::Order(&self.host))
    }

    fn power_on(&self, host: &Host, vm: &Moref) -> Result<(), Failed> {
        self.order(&["vm.power", "-xml", "-on", &reference(vm)], Patience::Order(host))
    }
}

impl Drop for GovcApi {
    fn drop(&mut self) {
        // It dies by itself after a while; nobody is left to be told.
        let _ = self.say(&["session.logout"], Patience::Whatever(LOGOUT));
    }
}
