//! Whether libvirt took a document as it was written. It adds much (addresses, controllers, defaults) and leaves out what it does not keep:
//! so everything that was written must be in what it gives back.

use roxmltree::{Document, Node};
use vmdk2kvm_plugin_api::{PluginError, Result};

/// The first thing of `written` that is not in `taken`, as a path of elements; `None`: all of it is there.
pub fn missing(written: &str, taken: &str) -> Result<Option<String>> {
    let parse =
        |text| Document::parse(text).map_err(|error| PluginError::output(format!("a domain's document: {error}")));
    // roxmltree's documents borrow their text.
    let (written, taken) = (parse(written)?, parse(taken)?);
    Ok(lacks(written.root_element(), taken.root_element()))
}

/// What of the one element the other lacks.
fn lacks(wanted: Node<'_, '_>, found: Node<'_, '_>) -> Option<String> {
    let name = wanted.tag_name().name();
    for attribute in wanted.attributes() {
        let is_there = found
            .attribute(attribute.name())
            .is_some_and(|value| same(name, attribute.name(), attribute.value(), value));
        if !is_there {
            return Some(format!("{name} {}=\"{}\"", attribute.name(), attribute.value()));
        }
    }
    let words = |node: Node<'_, '_>| node.text().unwrap_or_default().trim().to_owned();
    if wanted.children().all(|child| child.is_text()) && words(wanted) != words(found) {
        return Some(format!("{name} \"{}\"", words(wanted)));
    }
    let mut used = Vec::new();
    for child in wanted.children().filter(Node::is_element) {
        let like = |other: &Node<'_, '_>| other.is_element() && other.tag_name() == child.tag_name();
        let candidates: Vec<Node<'_, '_>> = found.children().filter(like).collect();
        // Of several of a name each stands for one.
        let taken = candidates.iter().find(|other| !used.contains(&other.id()) && lacks(child, **other).is_none());
        match (taken, candidates.first()) {
            (Some(taken), _) => used.push(taken.id()),
            (None, Some(only)) if candidates.len() == 1 => {
                return Some(format!("{name}/{}", lacks(child, *only).unwrap_or_else(|| "one of two".to_owned())));
            }
            (None, _) => return Some(format!("{name}/{}", shown(child))),
        }
    }
    None
}

/// Whether a value is the same, as libvirt writes it: a board comes back with its version.
fn same(element: &str, attribute: &str, wanted: &str, found: &str) -> bool {
    if (element, attribute) == ("type", "machine") {
        return found == wanted || found.contains(&format!("-{wanted}-"));
    }
    wanted == found
}

/// An element with what tells it from its like.
fn shown(node: Node<'_, '_>) -> String {
    let inner = node
        .descendants()
        .flat_map(|node| node.attributes())
        .find(|it| matches!(it.name(), "file" | "address" | "dev"));
    let inner = inner.map(|it| format!(" of {}", it.value())).unwrap_or_default();
    format!("{}{inner}", node.tag_name().name())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "<domain type='kvm'><name>web</name><os><type machine='q35'>hvm</type></os><devices>\
        <disk><source file='/a'/></disk><disk><source file='/b'/></disk><interface><mac address='m'/></interface></devices></domain>";

    #[test]
    fn what_libvirt_adds_is_no_difference() {
        let taken = "<domain type='kvm' id='1'>\n <name>web</name><uuid>u</uuid><os><type arch='x' machine='pc-q35-7.2'>hvm</type></os>\
            <devices><emulator>/q</emulator><disk a='b'><source file='/b'/><alias/></disk><disk><source file='/a'/></disk>\
            <interface><mac address='m'/><target/></interface></devices></domain>";
        assert_eq!(missing(WRITTEN, taken).unwrap(), None);
        assert_eq!(missing(WRITTEN, WRITTEN).unwrap(), None);
    }

    #[test]
    fn what_libvirt_took_otherwise_is_named() {
        for (from, to, what) in [
            ("web", "other", "domain/name \"web\""),
            ("'kvm'", "'qemu'", "domain type=\"kvm\""),
            ("'/b'", "'/a'", "domain/devices/disk of /b"),
            ("'m'", "'n'", "domain/devices/interface/mac address=\"m\""),
            ("'q35'", "'pc'", "domain/os/type machine=\"q35\""),
            ("<interface><mac address='m'/></interface>", "", "domain/devices/interface of m"),
        ] {
            let taken = WRITTEN.replacen(from, to, 1);
            assert_eq!(missing(WRITTEN, &taken).unwrap().as_deref(), Some(what), "{from}");
        }
        assert!(missing(WRITTEN, "<domain").is_err());
    }
}
