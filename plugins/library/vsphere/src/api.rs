//! What is asked of a vCenter or a host, whichever protocol or program asks: the catalogs differ in nothing else.

use vmdk2kvm_plugin_api::{Host, Result};

use crate::collector::{self, Object};
use crate::request::{Elements, Moref, Request};
use crate::session::{Failed, Session};
use crate::task;

/// A snapshot to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewSnapshot<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its description.
    pub description: &'a str,
    /// Whether the guest's filesystems are to be at rest in it.
    pub quiesce: bool,
}

/// A logged-in way to ask.
///
/// A call that makes something is made once: whoever hears no answer looks whether it was made.
pub trait Api: Send + Sync {
    /// The session over SOAP of the same login: for what nothing else has a word for, and for lending.
    fn session(&self) -> &Session;

    /// Properties of one object.
    fn try_read(&self, object: &Moref, paths: &[&str]) -> Result<Object, Failed>;

    /// Properties of all objects of some types, each given to `take`.
    fn read_all(&self, types: &[(&str, &[&str])], what: &str, take: &mut dyn FnMut(Object) -> Result<()>)
    -> Result<()>;

    /// The VMs with this BIOS or instance UUID, in lower-case letters.
    fn with_uuid(&self, uuid: &str) -> Result<Vec<Moref>>;

    /// Makes a snapshot without memory, and waits for it; its id where the answer has it.
    fn make_snapshot(&self, host: &Host, vm: &Moref, wanted: &NewSnapshot<'_>) -> Result<Option<Moref>, Failed>;

    /// Removes a snapshot of a VM, none that was made from it, and waits for it, whatever happens to the run.
    fn remove_snapshot(&self, vm: &Moref, snapshot: &Moref) -> Result<(), Failed>;

    /// Asks a VM's guest to shut down, and does not wait.
    fn shut_down(&self, vm: &Moref) -> Result<(), Failed>;

    /// Switches a VM on, and waits for it.
    fn power_on(&self, host: &Host, vm: &Moref) -> Result<(), Failed>;

    /// Host and port, for messages.
    fn server(&self) -> &str {
        self.session().server()
    }

    /// Properties of one object; `what` is for the message.
    fn read(&self, object: &Moref, paths: &[&str], what: &str) -> Result<Object> {
        self.try_read(object, paths).map_err(|failed| failed.error(what, self.server()))
    }
}

impl Api for Session {
    fn session(&self) -> &Session {
        self
    }

    fn try_read(&self, object: &Moref, paths: &[&str]) -> Result<Object, Failed> {
        collector::try_read(self, object, paths)
    }

    fn read_all(
        &self,
        types: &[(&str, &[&str])],
        what: &str,
        take: &mut dyn FnMut(Object) -> Result<()>,
    ) -> Result<()> {
        collector::read_all(self, types, what, take)
    }

    fn with_uuid(&self, uuid: &str) -> Result<Vec<Moref>> {
        let mut found: Vec<Moref> = Vec::new();
        for instance in [false, true] {
            let arguments =
                Elements::new().text("uuid", uuid).switch("vmSearch", true).switch("instanceUuid", instance);
            let request = Request::new("FindAllByUuid", &self.service("searchIndex")?, arguments);
            for moref in self.ask(&request, "looking for the VM")?.all("returnval").filter_map(Moref::of) {
                if !found.contains(&moref) {
                    found.push(moref);
                }
            }
        }
        Ok(found)
    }

    fn make_snapshot(&self, host: &Host, vm: &Moref, wanted: &NewSnapshot<'_>) -> Result<Option<Moref>, Failed> {
        let arguments = Elements::new()
            .text("name", wanted.name)
            .text("description", wanted.description)
            .switch("memory", false)
            .switch("quiesce", wanted.quiesce);
        let request = Request::new("CreateSnapshot_Task", vm, arguments);
        task::run(self, Some(host), &request, "making a snapshot").map(|result| Moref::of(&result))
    }

    fn remove_snapshot(&self, _: &Moref, snapshot: &Moref) -> Result<(), Failed> {
        let arguments = Elements::new().switch("removeChildren", false).switch("consolidate", true);
        let request = Request::new("RemoveSnapshot_Task", snapshot, arguments);
        task::run(self, None, &request, "removing the snapshot").map(drop)
    }

    fn shut_down(&self, vm: &Moref) -> Result<(), Failed> {
        self.order(&Request::new("ShutdownGuest", vm, Elements::new())).map(drop)
    }

    fn power_on(&self, host: &Host, vm: &Moref) -> Result<(), Failed> {
        let request = Request::new("PowerOnVM_Task", vm, Elements::new());
        task::run(self, Some(host), &request, "switching on").map(drop)
    }
}
