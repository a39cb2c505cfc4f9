//! An answer of the API: elements by local names, with the types that `xsi:type` states. Bounded; a document type is refused.

use roxmltree::{Document, Node, ParsingOptions};
use vmdk2kvm_plugin_api::{PluginError, Result};

/// The deepest an answer may be; the API's own stay below 30.
const DEPTH: usize = 100;
/// The most elements and texts of an answer.
const NODES: u32 = 8_000_000;

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Its local name.
    pub name: String,
    /// The type that it states, without a prefix; empty when it states none. Of a reference it is the type of the object.
    pub kind: String,
    /// Its text.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Tree>,
}

impl Tree {
    /// Reads a document; `whose` is for the message.
    pub fn parse(text: &str, whose: &str) -> Result<Self> {
        let wrong = |why: String| {
            PluginError::unusable(format!("{whose} sent an answer that is not XML of its API: {why}")).hint(
                "make sure that the address is that of a vCenter or an ESXi host, and that no proxy is in between",
            )
        };
        let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text, options).map_err(|error| wrong(error.to_string()))?;
        Self::of(document.root_element(), 0).ok_or_else(|| wrong(format!("it is nested deeper than {DEPTH}")))
    }

    fn of(node: Node<'_, '_>, depth: usize) -> Option<Self> {
        if depth > DEPTH {
            return None;
        }
        let children: Vec<Self> =
            node.children().filter(Node::is_element).map(|child| Self::of(child, depth + 1)).collect::<Option<_>>()?;
        // `xsi:type` of a value, `type` of a reference: both have this local name, and no element has two.
        let kind =
            node.attributes().find(|attribute| attribute.name() == "type").map_or("", |attribute| attribute.value());
        Some(Self {
            name: node.tag_name().name().to_owned(),
            kind: kind.rsplit(':').next().unwrap_or(kind).to_owned(),
            text: if children.is_empty() { node.text().unwrap_or_default().to_owned() } else { String::new() },
            children,
        })
    }

    /// The first element at a path of names: `backing.fileName`.
    pub fn find(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |tree, name| tree.children.iter().find(|child| child.name == name))
    }

    /// All elements of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text at a path; `None` when there is none, or an empty one.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.find(path).map(|found| found.text.trim()).filter(|text| !text.is_empty())
    }

    /// The number at a path.
    pub fn number<N: std::str::FromStr>(&self, path: &str) -> Option<N> {
        self.text(path)?.parse().ok()
    }

    /// Whether a switch at a path is on.
    pub fn is_on(&self, path: &str) -> Option<bool> {
        match self.text(path)? {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_local_names_whatever_the_prefix() {
        let text = r#"<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="s" xmlns:xsi="x"><a><v xsi:type="ns1:VirtualDisk"><key> 2000 </key><on>true</on>
            <parent type="Folder">group-v3</parent></v><v>&lt;x&gt;</v><none/></a></soapenv:Envelope>"#;
        let tree = Tree::parse(text, "vc").unwrap();
        let disk = tree.find("a.v").unwrap();
        assert_eq!(
            (tree.name.as_str(), disk.kind.as_str(), disk.number::<i64>("key")),
            ("Envelope", "VirtualDisk", Some(2000))
        );
        assert_eq!((disk.is_on("on"), disk.find("parent").unwrap().kind.as_str()), (Some(true), "Folder"));
        assert_eq!(tree.find("a").unwrap().all("v").nth(1).unwrap().text, "<x>");
        assert_eq!((tree.text("a.none"), tree.text("a.nothing"), disk.number::<u8>("key")), (None, None, None));
    }

    #[test]
    fn hostile_answers_are_refused() {
        let deep = "<a>".repeat(200) + &"</a>".repeat(200);
        for (text, why) in [
            ("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "DTD"),
            (deep.as_str(), "it is nested deeper than 100"),
            ("<html><body>503", "root node"),
            ("", "root node"),
        ] {
            let error = Tree::parse(text, "vc").unwrap_err();
            assert!(error.message.starts_with("vc sent an answer that is not XML of its API: "), "{error}");
            assert!(error.message.contains(why), "{error}");
        }
    }
}
