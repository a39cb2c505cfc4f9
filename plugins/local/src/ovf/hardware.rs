//! The hardware section: items, their controllers, and what hangs on them (DSP0243, section 8; DSP1043 for resource types).

use std::collections::BTreeMap;

use roxmltree::Node;
use vmdk2kvm_plugin_api::model::Controller;
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::configurations::Configurations;
use super::envelope::{bad, is_unknown};
use super::xml::{attribute, children, text};

/// The most items of a machine.
const MAX_ITEMS: usize = 4096;

/// An item of the section. Texts are as written: hostile.
#[derive(Debug, Clone, Default)]
pub struct Item {
    /// Its id, which others name as their parent.
    pub instance: String,
    /// CIM's number of its kind: 3 processors, 4 memory, 5 IDE, 6 SCSI, 10 network, 14 floppy, 15 CD, 16 DVD, 17 disk, 20 other storage.
    pub kind: u32,
    /// Model.
    pub subtype: Option<String>,
    /// The controller it hangs on.
    pub parent: Option<String>,
    /// Its place there.
    pub place: Option<u32>,
    /// A controller's number, or a card's MAC.
    pub address: Option<String>,
    /// How many, or how much.
    pub quantity: Option<String>,
    /// The unit of that.
    pub unit: Option<String>,
    /// The network of a card.
    pub connection: Option<String>,
    /// What is behind it: a disk of the envelope.
    pub resource: Option<String>,
    /// VMware's number of its PCI slot.
    pub slot: Option<String>,
    /// VMware's cores in each socket.
    pub cores_per_socket: Option<String>,
}

/// A storage controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adapter {
    /// Kind.
    pub kind: Controller,
    /// Number among those of its kind.
    pub bus: u32,
    /// The kind is a guess: the subtype is not known.
    pub guessed: bool,
}

/// The items that apply: those of no configuration, and those of the one that applies, which replace the former.
pub fn items(section: Node<'_, '_>, configurations: &Configurations) -> Result<Vec<Item>> {
    let mut items: Vec<(bool, Item)> = Vec::new();
    let nodes =
        section.children().filter(|node| matches!(node.tag_name().name(), "Item" | "StorageItem" | "EthernetPortItem"));
    for (count, node) in nodes.enumerate() {
        if count == MAX_ITEMS {
            return Err(bad(&format!("a machine has more than {MAX_ITEMS} items of hardware")));
        }
        // `min` and `max` bound what may be chosen and are no devices.
        let bound = attribute(node, "bound").is_some_and(|bound| matches!(bound, "min" | "max"));
        let own = attribute(node, "configuration");
        if bound || own.is_some_and(|own| !configurations.is_for(own)) {
            continue;
        }
        let (own, item) = (own.is_some(), item(node)?);
        match items.iter_mut().find(|(_, other)| other.instance == item.instance) {
            Some((former, _)) if *former == own => {
                return Err(bad(&format!("two items have the InstanceID '{}'", escape(&item.instance))));
            }
            Some(general) if own => *general = (own, item),
            Some(_) => {}
            None => items.push((own, item)),
        }
    }
    Ok(items.into_iter().map(|(_, item)| item).collect())
}

fn item(node: Node<'_, '_>) -> Result<Item> {
    let get = |name| text(node, name).map(str::to_owned);
    let instance =
        get("InstanceID").or_else(|| get("InstanceId")).ok_or_else(|| bad("an item of hardware has no InstanceID"))?;
    let kind = get("ResourceType").and_then(|kind| kind.parse().ok()).ok_or_else(|| {
        bad(&format!("the item '{}' has a ResourceType that is missing or not a number", escape(&instance)))
    })?;
    let place = match get("AddressOnParent") {
        None => None,
        Some(text) if is_unknown(&text) => None,
        Some(text) => Some(text.parse().map_err(|_| {
            bad(&format!(
                "the item '{}' has the AddressOnParent '{}', which is not a number",
                escape(&instance),
                escape(&text)
            ))
        })?),
    };
    Ok(Item {
        kind,
        place,
        subtype: get("ResourceSubType"),
        parent: get("Parent"),
        address: get("Address"),
        quantity: get("VirtualQuantity"),
        unit: get("AllocationUnits").or_else(|| get("VirtualQuantityUnits")),
        connection: get("Connection"),
        resource: get("HostResource"),
        slot: setting(node, "slotInfo.pciSlotNumber"),
        cores_per_socket: get("CoresPerSocket"),
        instance,
    })
}

/// A setting of VMware's in an item.
fn setting(node: Node<'_, '_>, key: &str) -> Option<String> {
    let mut settings = children(node, "Config").chain(children(node, "ExtraConfig"));
    let found = settings.find(|setting| attribute(*setting, "key").is_some_and(|own| own.eq_ignore_ascii_case(key)))?;
    attribute(found, "value").map(str::to_owned)
}

/// The storage controllers by the ids of their items. Those of one kind are numbered by their `Address`, then as they come.
pub fn adapters(items: &[Item]) -> BTreeMap<String, Adapter> {
    let mut found: Vec<(Controller, bool, u64, usize, &str)> = items
        .iter()
        .enumerate()
        .filter_map(|(order, item)| {
            let (kind, guessed) = adapter_kind(item)?;
            let number = item.address.as_deref().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
            Some((kind, guessed, number, order, item.instance.as_str()))
        })
        .collect();
    found.sort_by_key(|(kind, _, number, order, _)| (*kind, *number, *order));
    let mut adapters = BTreeMap::new();
    let mut last: Option<(Controller, u32)> = None;
    for (kind, guessed, _, _, instance) in found {
        let bus = last.filter(|(other, _)| *other == kind).map_or(0, |(_, bus)| bus + 1);
        last = Some((kind, bus));
        adapters.insert(instance.to_owned(), Adapter { kind, bus, guessed });
    }
    adapters
}

/// The kind of a controller, and whether that is a guess.
fn adapter_kind(item: &Item) -> Option<(Controller, bool)> {
    let subtype = item.subtype.as_deref().unwrap_or_default().to_lowercase();
    match item.kind {
        5 => Some((Controller::Ide, false)),
        6 => Some((Controller::Scsi, false)),
        20 if subtype.contains("nvme") => Some((Controller::Nvme, false)),
        20 if subtype.contains("ahci") || subtype.contains("sata") => Some((Controller::Sata, false)),
        // VirtualBox exports some SCSI adapters and its USB controller as other storage.
        20 if subtype.contains("scsi") || subtype.contains("sas") => Some((Controller::Scsi, false)),
        20 => Some((Controller::Sata, true)),
        _ => None,
    }
}

/// A whole number of an item, which must be between 1 and `most`.
pub fn number(item: &Item, what: &str, text: Option<&str>, most: u64) -> Result<Option<u64>> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<u64>() {
        Ok(number) if (1..=most).contains(&number) => Ok(Some(number)),
        _ => Err(PluginError::unusable(format!(
            "the item '{}' has the {what} '{}', not a number between 1 and {most}",
            escape(&item.instance),
            escape(text)
        ))
        .hint("export the virtual machine again")),
    }
}

/// The hardware section that applies: of several the first of VMware's own, else the first.
pub fn section<'a, 'i: 'a>(system: Node<'a, 'i>) -> Option<Node<'a, 'i>> {
    let sections = || {
        let old = children(system, "Section")
            .filter(|node| attribute(*node, "type").is_some_and(|kind| kind.ends_with("VirtualHardwareSection_Type")));
        children(system, "VirtualHardwareSection").chain(old)
    };
    let of_vmware = |node: &Node<'_, '_>| {
        let kind = super::xml::child(*node, "System").and_then(|system| text(system, "VirtualSystemType"));
        kind.is_some_and(|kind| kind.contains("vmx-"))
    };
    sections().find(of_vmware).or_else(|| sections().next())
}
