//! The envelope around the machines: files, disks, and the virtual systems (DSP0243 2.1.1, sections 7 and 9).

use std::collections::BTreeMap;

use roxmltree::Node;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::units;
use super::xml::{attribute, child, children, text};
use crate::magic::DiskFormat;
use crate::names::shown;

/// The most virtual systems of a package.
const MAX_SYSTEMS: usize = 1000;

/// A file of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name, relative to the OVF: hostile.
    pub href: String,
    /// Its size in bytes, all chunks together, as stored.
    pub size: Option<u64>,
    /// Compressed by gzip.
    pub gzip: bool,
    /// Size of each chunk but the last, in bytes.
    pub chunk_size: Option<u64>,
}

/// A virtual disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its id.
    pub id: String,
    /// The file that holds it; `None`: an empty disk.
    pub file: Option<File>,
    /// Capacity in bytes, where it is stated.
    pub capacity: Option<u64>,
    /// The format that the package declares, where it is one that is known.
    pub format: Option<DiskFormat>,
}

/// What the envelope holds beside the systems.
#[derive(Debug, Default)]
pub struct Envelope {
    files: BTreeMap<String, File>,
    disks: BTreeMap<String, Disk>,
    /// The configuration that applies when nobody chooses one (DSP0243, section 9.8).
    pub configuration: Option<String>,
}

impl Envelope {
    /// Reads the references, the disks and the deployment options.
    pub fn read(root: Node<'_, '_>) -> Result<Self> {
        let mut envelope = Self::default();
        for node in children(root, "References").flat_map(|references| children(references, "File")) {
            let id = attribute(node, "id").ok_or_else(|| bad("a File has no id"))?;
            let file = file(node, id)?;
            if envelope.files.insert(id.to_owned(), file).is_some() {
                return Err(bad(&format!("two Files have the id '{}'", shown(id))));
            }
        }
        let sections = children(root, "DiskSection").chain(children(root, "Section"));
        for node in sections.flat_map(|section| children(section, "Disk")) {
            let disk = envelope.disk(node)?;
            let id = disk.id.clone();
            if envelope.disks.insert(id.clone(), disk).is_some() {
                return Err(bad(&format!("two Disks have the id '{}'", shown(&id))));
            }
        }
        let options: Vec<_> =
            children(root, "DeploymentOptionSection").flat_map(|section| children(section, "Configuration")).collect();
        let default = options.iter().find(|option| attribute(**option, "default").is_some_and(is_true));
        envelope.configuration =
            default.or(options.first()).and_then(|option| attribute(*option, "id")).map(str::to_owned);
        Ok(envelope)
    }

    fn disk(&self, node: Node<'_, '_>) -> Result<Disk> {
        let id = attribute(node, "diskId").ok_or_else(|| bad("a Disk has no diskId"))?;
        let name = shown(id);
        if let Some(parent) = attribute(node, "parentRef") {
            return Err(PluginError::unusable(format!(
                "disk '{name}' is a delta on '{}', and deltas between the disks of a package are not read",
                shown(parent)
            ))
            .hint("consolidate the snapshots of the virtual machine in VMware, then export it again"));
        }
        let file = match attribute(node, "fileRef") {
            None => None,
            Some(reference) => Some(self.files.get(reference).cloned().ok_or_else(|| {
                bad(&format!("disk '{name}' names the file '{}', which References does not have", shown(reference)))
            })?),
        };
        let unit = attribute(node, "capacityAllocationUnits").unwrap_or("byte");
        let capacity = match attribute(node, "capacity") {
            None => None,
            // A property that whoever deploys the package may set; where there is a file, that says how large it is.
            Some(text) if text.starts_with("${") && file.is_some() => None,
            Some(text) => {
                Some(text.parse().ok().and_then(|quantity| units::bytes(quantity, unit)).ok_or_else(|| {
                    bad(&format!(
                        "disk '{name}' has a capacity of '{} {}', which is no amount",
                        shown(text),
                        shown(unit)
                    ))
                })?)
            }
        };
        Ok(Disk { id: id.to_owned(), file, capacity, format: attribute(node, "format").and_then(format) })
    }

    /// The disk that a device's `HostResource` names: `ovf:/disk/ID`, `/disk/ID`, or a file as `ovf:/file/ID`.
    pub fn resource(&self, resource: &str) -> Option<Disk> {
        let path = resource.strip_prefix("ovf:").unwrap_or(resource).trim_start_matches('/');
        let (kind, id) = path.split_once('/')?;
        match kind {
            "disk" => self.disks.get(id).cloned(),
            "file" => {
                let file = self.files.get(id)?.clone();
                Some(Disk { id: id.to_owned(), file: Some(file), capacity: None, format: None })
            }
            _ => None,
        }
    }
}

fn file(node: Node<'_, '_>, id: &str) -> Result<File> {
    let id = shown(id);
    let href = attribute(node, "href").ok_or_else(|| bad(&format!("the File '{id}' has no href")))?;
    let number = |name: &str| match attribute(node, name) {
        None => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|_| bad(&format!("the File '{id}' has a {name} that is no number")))
        }
    };
    let gzip = match attribute(node, "compression").map(str::to_ascii_lowercase).as_deref() {
        None | Some("identity") => false,
        Some("gzip") => true,
        Some(other) => {
            return Err(PluginError::unusable(format!(
                "the File '{id}' is compressed by '{}'; gzip is read",
                shown(other)
            ))
            .hint("export the virtual machine again without compression"));
        }
    };
    Ok(File { href: href.to_owned(), size: number("size")?, gzip, chunk_size: number("chunkSize")? })
}

/// The format that a URI means. They are many (`http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized`) and
/// nobody keeps a list.
fn format(uri: &str) -> Option<DiskFormat> {
    let uri = uri.to_ascii_lowercase();
    let words = [
        ("vmdk", DiskFormat::Vmdk),
        ("qcow", DiskFormat::Qcow2),
        ("vhdx", DiskFormat::Vhdx),
        ("vhd", DiskFormat::Vhd),
        ("vdi", DiskFormat::Vdi),
        ("raw", DiskFormat::Raw),
    ];
    words.into_iter().find(|(word, _)| uri.contains(word)).map(|(_, format)| format)
}

/// The virtual systems, those in collections too, in the order of the document.
pub fn systems<'a, 'i: 'a>(root: Node<'a, 'i>) -> Result<Vec<Node<'a, 'i>>> {
    let is_system = |node: &Node<'_, '_>| {
        // OVF 0.9 called the element Content and gave its kind in xsi:type.
        let name = node.tag_name().name();
        name == "VirtualSystem"
            || (name == "Content" && attribute(*node, "type").is_some_and(|kind| kind.ends_with("VirtualSystem_Type")))
    };
    let systems: Vec<_> = root.descendants().filter(is_system).take(MAX_SYSTEMS + 1).collect();
    if systems.len() > MAX_SYSTEMS {
        return Err(bad(&format!("it has more than {MAX_SYSTEMS} virtual systems")));
    }
    Ok(systems)
}

/// A system's id and the name that a person gave it.
pub fn identity<'a>(system: Node<'a, '_>) -> (Option<&'a str>, Option<&'a str>) {
    (attribute(system, "id"), text(system, "Name"))
}

/// How an OVF says yes.
pub fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes")
}

/// The root element, which must be an envelope.
pub fn root<'a, 'i>(document: &'a roxmltree::Document<'i>) -> Result<Node<'a, 'i>> {
    let root = document.root_element();
    if root.tag_name().name() == "Envelope" && (child(root, "References").is_some() || root.has_children()) {
        return Ok(root);
    }
    Err(bad(&format!("its root element is '{}', not an Envelope with content", shown(root.tag_name().name()))))
}

/// An OVF that makes no sense.
pub fn bad(what: &str) -> PluginError {
    PluginError::unusable(what.to_owned()).hint("export the virtual machine again")
}
