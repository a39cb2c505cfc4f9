//! An OVF's XML: decoded, bounded, and looked at by local names.
//!
//! The namespaces of OVF changed with each version and their prefixes are anybody's choice, so elements and attributes are found by their
//! local names. Document types, and with them entities and external references, are refused.

use encoding_rs::{Encoding, UTF_8};
use roxmltree::{Document, Error, Node, ParsingOptions};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// The largest OVF, in bytes; real ones have tens of KiB.
pub const MAX_SIZE: u64 = 16 << 20;
/// The most nodes (elements, texts, comments) of an OVF.
const MAX_NODES: u32 = 200_000;
/// The deepest nesting of elements.
const MAX_DEPTH: usize = 64;

/// The text of an OVF: by its byte order mark, else as its XML declaration says, else UTF-8.
pub fn decode(bytes: &[u8]) -> Result<String> {
    let by_mark = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let encoding = match (by_mark, declared(bytes)) {
        (Some(encoding), _) => encoding,
        (None, Some(label)) => Encoding::for_label(label).ok_or_else(|| {
            let label = String::from_utf8_lossy(label);
            PluginError::unusable(format!("it states the encoding {}, which is not known", escape(&label)))
                .hint("save the OVF in UTF-8, or export the virtual machine again")
        })?,
        (None, None) => UTF_8,
    };
    let (text, malformed) = encoding.decode_with_bom_removal(bytes);
    if malformed {
        return Err(PluginError::unusable(format!("it is not {}, as it should be", encoding.name()))
            .hint("save the OVF in UTF-8, or export the virtual machine again"));
    }
    // The declaration must stand first; what some editor put before it hurts nobody.
    Ok(text.trim_start().to_owned())
}

/// The encoding that the XML declaration names. What has no byte order mark and can be read has its declaration in ASCII.
fn declared(bytes: &[u8]) -> Option<&[u8]> {
    let declaration = bytes.trim_ascii_start().strip_prefix(b"<?xml")?;
    let declaration = &declaration[..declaration.windows(2).position(|pair| pair == b"?>")?];
    let at = declaration.windows(8).position(|word| word == b"encoding")?;
    let value = declaration[at + 8..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first()?;
    Some(&value[..value.iter().position(|byte| byte == quote)?])
}

/// The document of a text.
pub fn parse(text: &str) -> Result<Document<'_>> {
    check_depth(text)?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| {
        let what = match error {
            Error::DtdDetected => {
                "it has a document type, which is refused: entities could name other files".to_owned()
            }
            Error::NodesLimitReached => format!("it has more than {MAX_NODES} nodes"),
            error => format!("its XML is malformed: {}", escape(&error.to_string())),
        };
        PluginError::unusable(what).hint("export the virtual machine again")
    })
}

/// Refuses deep nesting before the parser, which descends by recursion, sees it. Counts tags only: what is no tag can but make the
/// count too high, and then by as little as a comment holds.
fn check_depth(text: &str) -> Result<()> {
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let skip_to = match rest.as_bytes() {
            [b'!', b'-', b'-', ..] => "-->",
            [b'!', b'[', ..] => "]]>",
            [b'?' | b'!', ..] => ">",
            _ => "",
        };
        if !skip_to.is_empty() {
            rest = rest.find(skip_to).map_or("", |end| &rest[end + skip_to.len()..]);
            continue;
        }
        let end = tag_end(rest);
        if rest.starts_with('/') {
            depth = depth.saturating_sub(1);
        } else if !rest[..end].ends_with('/') {
            depth += 1;
            if depth > MAX_DEPTH {
                return Err(PluginError::unusable(format!("its elements are nested more than {MAX_DEPTH} deep"))
                    .hint("export the virtual machine again"));
            }
        }
        rest = &rest[end..];
    }
    Ok(())
}

/// Where the tag ends, quoted values passed over.
fn tag_end(tag: &str) -> usize {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), byte) if byte == open => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'>') => return at,
            _ => {}
        }
    }
    tag.len()
}

/// The child elements of this local name.
pub fn children<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

/// The first child element of this local name.
pub fn child<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'static str) -> Option<Node<'a, 'i>> {
    children(node, name).next()
}

/// The attribute of this local name, trimmed; `None` when it is missing or empty.
pub fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    let found = node.attributes().find(|attribute| attribute.name() == name)?;
    Some(found.value().trim()).filter(|value| !value.is_empty())
}

/// The text of the first child of this local name, trimmed; `None` when it is missing or empty.
pub fn text<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'static str) -> Option<&'a str> {
    Some(child(node, name)?.text()?.trim()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_is_read_and_nonsense_is_refused() {
        let utf16: Vec<u8> = std::iter::once(0xfeff).chain("<a/>".encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(&utf16).unwrap(), "<a/>");
        assert_eq!(decode(b"\xef\xbb\xbf\r\n <?xml version=\"1.0\"?><a/>").unwrap(), "<?xml version=\"1.0\"?><a/>");
        for (bytes, text) in [
            (&b"<?xml version='1.0' encoding='ISO-8859-1'?><a>f\xfcr</a>"[..], "f\u{fc}r"),
            (b"<?xml version=\"1.0\" encoding = \"windows-1252\" ?><a>\x80</a>", "\u{20ac}"),
            (b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>\xc3\xbc</a>", "\u{fc}"),
            (b"<?xml version=\"1.0\"?><a encoding=\"x\">b</a>", ">b<"),
        ] {
            assert!(decode(bytes).unwrap().contains(text));
        }
        let unknown = decode(b"<?xml encoding='EBCDIC-X'?><a/>").unwrap_err();
        assert_eq!(unknown.message, "it states the encoding EBCDIC-X, which is not known");
        // The parser's own message quotes the character.
        assert!(parse("<a b=\"c\"\0/>").unwrap_err().message.ends_with("not '\\x00' at 1:9"));
        assert_eq!(decode(b"<a>\xff</a>").unwrap_err().message, "it is not UTF-8, as it should be");
    }

    #[test]
    fn hostile_documents_are_refused_by_their_limit() {
        let dtd = "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>";
        let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
        let endless = "<a>".repeat(5_000_000);
        let wide = format!("<a>{}</a>", "<b/>".repeat(200_001));
        for (text, expected) in [
            (dtd, "it has a document type, which is refused: entities could name other files"),
            (&deep, "its elements are nested more than 64 deep"),
            (&endless, "its elements are nested more than 64 deep"),
            (&wide, "it has more than 200000 nodes"),
            ("<a>&x;</a>", "its XML is malformed: unknown entity reference 'x' at 1:4"),
            ("<a", "its XML is malformed: the document does not have a root node"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.message, expected);
            assert!(error.hint.is_some());
        }
        let shallow = format!("<a>{}</a>", "<b c='>/'></b><!-- <a><a> --><![CDATA[<x><x>]]>".repeat(100));
        assert!(parse(&shallow).is_ok());
    }
}
