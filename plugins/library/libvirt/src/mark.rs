//! The mark on a domain that says that it is ours: an element of our own namespace in its metadata.

use vmdk2kvm_plugin_api::{PluginError, Result};

use super::xml::{Element, element, text};

/// The namespace. Whatever bears an element of it was defined by this program.
pub const NAMESPACE: &str = "https://vmdk2kvm.github.io/xmlns/domain/1";

/// Whose a domain is, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// Id of the run whose result it is.
    pub run: String,
    /// Digest of the document as it was written, this mark left out.
    pub wanted: String,
    /// Paths of the volumes that were made for it.
    pub volumes: Vec<String>,
}

impl Mark {
    pub(crate) fn element(&self) -> Element {
        element("vmdk2kvm:domain")
            .with("xmlns:vmdk2kvm", NAMESPACE)
            .with("run", &self.run)
            .with("wanted", &self.wanted)
            .children(self.volumes.iter().map(|path| text("vmdk2kvm:volume", path)))
    }

    /// The mark in what libvirt returns as a domain's metadata of our namespace.
    pub fn parse(xml: &str) -> Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| PluginError::output(format!("the mark of a domain: {error}"));
        let document = roxmltree::Document::parse(xml).map_err(|error| wrong(&error))?;
        let root = document.root_element();
        let attribute = |name| root.attribute(name).unwrap_or_default().to_owned();
        // libvirt, asked for the element of a namespace, gives it without any.
        let volumes = root.children().filter(|child| child.tag_name().name() == "volume");
        let volumes = volumes.filter_map(|volume| volume.text()).map(str::to_owned).collect();
        Ok(Self { run: attribute("run"), wanted: attribute("wanted"), volumes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let volumes = vec!["/pool/a <b>.qcow2".to_owned(), "/pool/2".to_owned()];
        let mark = Mark { run: "5f".to_owned(), wanted: "aa".to_owned(), volumes };
        assert_eq!(Mark::parse(&mark.element().render().unwrap()).unwrap(), mark);
        // As libvirt returns it.
        let bare = "<domain run='5f' wanted='aa'>\n  <volume>/pool/a &lt;b&gt;.qcow2</volume>\n<volume>/pool/2</volume></domain>";
        assert_eq!(Mark::parse(bare).unwrap(), mark);
        assert_eq!(Mark::parse("<other xmlns='x'/>").unwrap(), Mark::default());
        assert!(Mark::parse("<a").is_err());
    }
}
