//! Names and places: folders, datacenters, hosts, datastores and networks by their ids, the paths of VMs, and the VM that a user means.

use std::collections::{HashMap, HashSet};

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::address::{Address, Wanted};
use crate::api::Api;
use crate::collector::Object;
use crate::escape::{path_part, shown_name};
use crate::request::Moref;

/// The deepest a folder may lie.
const DEPTH: usize = 64;
/// How many VMs a message lists.
const LISTED: usize = 20;

/// The names of an inventory, but its VMs'.
#[derive(Debug, Default)]
pub struct Names {
    places: HashMap<String, Place>,
    datastores: HashMap<String, Datastore>,
    /// Hosts that are being maintained.
    resting: HashSet<String>,
    others: HashMap<String, String>,
}

/// A folder or a datacenter.
#[derive(Debug)]
struct Place {
    is_datacenter: bool,
    name: String,
    parent: Option<String>,
}

/// A datastore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datastore {
    /// Its name.
    pub name: String,
    /// Its type, e.g. `VMFS`, `NFS`, `vsan`; empty when it is not known.
    pub kind: String,
}

impl Names {
    /// Reads them.
    pub fn read(api: &dyn Api) -> Result<Self> {
        let place: &[&str] = &["name", "parent"];
        let types: [(&str, &[&str]); 6] = [
            ("Folder", place),
            ("Datacenter", place),
            ("VirtualApp", &["name", "parentFolder"]),
            ("HostSystem", &["name", "runtime.inMaintenanceMode"]),
            ("Network", &["name"]),
            ("Datastore", &["name", "summary.type"]),
        ];
        let mut names = Self::default();
        api.read_all(&types, "reading the inventory", &mut |object| {
            names.add(&object);
            Ok(())
        })?;
        // A view has what is in its container, and not the container.
        let root = api.read(&api.session().service("rootFolder")?, place, "reading the inventory")?;
        names.add(&root);
        Ok(names)
    }

    fn add(&mut self, object: &Object) {
        let name = object.text("name").unwrap_or_default().to_owned();
        let id = object.moref.id.clone();
        let parent = ["parent", "parentFolder"].iter().find_map(|member| object.text(member)).map(str::to_owned);
        match object.moref.kind.as_str() {
            kind @ ("Folder" | "Datacenter" | "VirtualApp") => {
                self.places.insert(id, Place { is_datacenter: kind == "Datacenter", name, parent });
            }
            "Datastore" => {
                let kind = object.text("summary.type").unwrap_or_default().to_owned();
                self.datastores.insert(id, Datastore { name, kind });
            }
            _ => {
                if object.is_on("runtime.inMaintenanceMode") == Some(true) {
                    self.resting.insert(id.clone());
                }
                self.others.insert(id, name);
            }
        }
    }

    /// The name of a host or a network.
    pub fn other(&self, id: &str) -> Option<&str> {
        self.others.get(id).map(String::as_str)
    }

    /// Whether a host is being maintained.
    pub fn rests(&self, host: &str) -> bool {
        self.resting.contains(host)
    }

    /// A datastore by its id.
    pub fn datastore(&self, id: &str) -> Option<&Datastore> {
        self.datastores.get(id)
    }

    /// The places above an object, from the root down, without the root.
    fn above(&self, parent: Option<&str>) -> Vec<&Place> {
        let mut found = Vec::new();
        let mut next = parent.and_then(|id| self.places.get(id));
        // The root has no parent: no path begins with it.
        while let Some((place, above)) =
            next.and_then(|place| Some((place, place.parent.as_ref()?))).filter(|_| found.len() < DEPTH)
        {
            found.push(place);
            next = self.places.get(above);
        }
        found.reverse();
        found
    }

    /// The parts of a VM's path, as people see them.
    pub fn path(&self, vm: &Object) -> Vec<String> {
        let places = self.above(parent(vm));
        places.iter().map(|place| place.name.as_str()).chain(vm.text("name")).map(shown_name).collect()
    }

    /// The inventory path of a VM's datacenter, as the API writes it: of `/folder`'s query.
    pub fn datacenter(&self, vm: &Object) -> String {
        let places = self.above(parent(vm));
        let end = places.iter().position(|place| place.is_datacenter).map_or(0, |at| at + 1);
        let names: Vec<&str> = places[..end].iter().map(|place| place.name.as_str()).collect();
        names.join("/")
    }
}

/// The properties of a VM by which it is found.
pub const PLACE: [&str; 3] = ["name", "parent", "parentVApp"];

fn parent(vm: &Object) -> Option<&str> {
    vm.text("parent").or_else(|| vm.text("parentVApp"))
}

/// A path as it can be written into a URI.
pub fn shown_path(parts: &[String]) -> String {
    parts.iter().map(|part| format!("/{}", path_part(part))).collect()
}

/// The VM that is wanted. `vm` is the word of `--vm`: a name, a moref or a UUID where the URI names no VM.
pub fn find(api: &dyn Api, names: &Names, address: &Address, vm: Option<&str>) -> Result<Moref> {
    let parts = match (&address.wanted, vm) {
        (Wanted::Moref(id), _) => return Ok(Moref::new("VirtualMachine", id)),
        (Wanted::Uuid(uuid), _) => return by_uuid(api, uuid),
        (Wanted::Path(parts), None) => parts.clone(),
        (Wanted::Any, Some(name)) => vec![name.to_owned()],
        (Wanted::Path(_), Some(name)) => {
            let twice = PluginError::new(
                vmdk2kvm_plugin_api::ErrorKind::Usage,
                format!("the source names a VM, and --vm another: '{}'", escape(name)),
            );
            return Err(twice.hint("leave one of them out"));
        }
        (Wanted::Any, None) => {
            return Err(PluginError::unusable(format!("{}: the source names no VM", api.server()))
                .hint("`vmdk2kvm inventory` lists them with their paths: put one behind the host"));
        }
    };
    let mut all = Vec::new();
    api.read_all(&[("VirtualMachine", &PLACE)], "looking for the VM", &mut |object| {
        all.push((names.path(&object), object.moref));
        Ok(())
    })?;
    choose(api.server(), &parts, all)
}

/// The VM of this path, or the only one of this name.
fn choose(server: &str, wanted: &[String], all: Vec<(Vec<String>, Moref)>) -> Result<Moref> {
    let exact: Vec<_> = all.iter().filter(|(path, _)| path == wanted).collect();
    if let [(_, moref)] = exact.as_slice() {
        return Ok(moref.clone());
    }
    // Below a datacenter's folder of VMs a path may also begin later: `prod/web01`.
    let ending: Vec<_> = all
        .iter()
        .filter(|(path, moref)| path.ends_with(wanted) || matches!(wanted, [id] if *id == moref.id))
        .collect();
    match ending.as_slice() {
        [(_, moref)] => Ok(moref.clone()),
        [] => Err(PluginError::unusable(format!("{server} has no VM '{}' (vm-not-found)", escape(&wanted.join("/"))))
            .hint("`vmdk2kvm inventory` lists them with their paths; a slash within a name is %2f")),
        several => {
            let listed: Vec<String> =
                several.iter().map(|(path, moref)| format!("{} ({})", escape(&shown_path(path)), moref.id)).collect();
            let more = listed.len().saturating_sub(LISTED);
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            let shown = listed[..listed.len().min(LISTED)].join(", ");
            let name = wanted.join("/");
            let name = escape(&name);
            Err(PluginError::unusable(format!("{server} has several VMs '{name}': {shown}{more} (vm-ambiguous)"))
                .hint("name the one that you mean by its whole path, or by ?moref="))
        }
    }
}

fn by_uuid(api: &dyn Api, uuid: &str) -> Result<Moref> {
    let found = api.with_uuid(uuid)?;
    let server = api.server();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(PluginError::unusable(format!("{server} has no VM with the UUID {} (vm-not-found)", escape(uuid)))
            .hint("`vmdk2kvm inventory` lists them with their paths")),
        several => {
            let ids: Vec<&str> = several.iter().map(|moref| moref.id.as_str()).collect();
            Err(PluginError::unusable(format!(
                "{server} has several VMs with the UUID {}: {} (vm-ambiguous)",
                escape(uuid),
                ids.join(", ")
            ))
            .hint("name the one that you mean by ?moref="))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    fn object(kind: &str, id: &str, name: &str, parent: &str) -> Object {
        let parent = if parent.is_empty() {
            String::new()
        } else {
            format!("<propSet><name>parent</name><val>{parent}</val></propSet>")
        };
        let text = format!(
            "<o><obj type=\"{kind}\">{id}</obj><propSet><name>name</name><val>{name}</val></propSet>{parent}</o>"
        );
        Object::of(&Tree::parse(&text, "vc").unwrap()).unwrap()
    }

    fn names() -> Names {
        let mut names = Names::default();
        for (kind, id, name, parent) in [
            ("Folder", "root", "Datacenters", ""),
            ("Folder", "f1", "north", "root"),
            ("Datacenter", "dc", "DC%2f0", "f1"),
            ("Folder", "vm", "vm", "dc"),
            ("Folder", "prod", "prod", "vm"),
            ("Folder", "a", "loop", "b"),
            ("Folder", "b", "loop", "a"),
        ] {
            names.add(&object(kind, id, name, parent));
        }
        names
    }

    #[test]
    fn paths_begin_below_the_root_and_have_no_escapes_of_the_api() {
        let (names, vm) = (names(), object("VirtualMachine", "vm-1", "50%25 a%2fb", "prod"));
        assert_eq!(names.path(&vm), ["north", "DC/0", "vm", "prod", "50% a/b"]);
        assert_eq!(shown_path(&names.path(&vm)), "/north/DC%2F0/vm/prod/50%25 a%2Fb");
        assert_eq!(names.datacenter(&vm), "north/DC%2f0");
        assert_eq!(names.path(&object("VirtualMachine", "vm-2", "lost", "nowhere")), ["lost"]);
        assert_eq!(names.path(&object("VirtualMachine", "vm-3", "x", "a")).len(), DEPTH + 1);
    }

    #[test]
    fn a_vm_is_found_by_its_path_or_its_only_name() {
        let all = || {
            let vm =
                |path: &str, id: &str| (path.split('/').map(str::to_owned).collect(), Moref::new("VirtualMachine", id));
            vec![
                vm("DC/vm/prod/web", "vm-1"),
                vm("DC/vm/test/web", "vm-2"),
                vm("DC/vm/db", "vm-3"),
                vm("web", "vm-4"),
                vm("DC/vm/web", "vm-5"),
            ]
        };
        let choose = |wanted: &str| choose("vc", &wanted.split('/').map(str::to_owned).collect::<Vec<_>>(), all());
        for (wanted, id) in
            [("DC/vm/prod/web", "vm-1"), ("test/web", "vm-2"), ("db", "vm-3"), ("web", "vm-4"), ("vm-5", "vm-5")]
        {
            assert_eq!(choose(wanted).unwrap().id, id, "{wanted}");
        }
        let error = choose("vm/nosuch").unwrap_err();
        assert_eq!(error.message, "vc has no VM 'vm/nosuch' (vm-not-found)");
        let twice = |name: &str| {
            let vm =
                |folder: &str, id: &str| (vec![folder.to_owned(), name.to_owned()], Moref::new("VirtualMachine", id));
            super::choose("vc", &[name.to_owned()], vec![vm("a", "vm-1"), vm("b", "vm-2")]).unwrap_err()
        };
        assert_eq!(
            twice("50% x").message,
            "vc has several VMs '50% x': /a/50%25 x (vm-1), /b/50%25 x (vm-2) (vm-ambiguous)"
        );
    }
}
