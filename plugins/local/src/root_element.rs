//! The root element of what may be an XML document, found without parsing the document.
//!
//! Reads past everything that XML allows before the root: byte order mark, white space, declaration, processing instructions, comments,
//! a document type. Whether the document as a whole makes sense is its parser's business.

/// What a text begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root<'a> {
    /// An element of this local name.
    Element(&'a str),
    /// Markup, and the text ends before its root element does begin or its name ends.
    Beyond,
    /// No XML.
    None,
}

/// The root element of `text`.
pub fn root_element(text: &str) -> Root<'_> {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        // A text that is cut within `<!--` is still markup.
        let skipped = match rest {
            "<" | "<!" | "<!-" => return Root::Beyond,
            _ if rest.starts_with("<?") => past(rest, "?>"),
            _ if rest.starts_with("<!--") => past(&rest[4..], "-->"),
            _ if rest.starts_with("<!") => past_document_type(rest),
            _ => break,
        };
        let Some(next) = skipped else { return Root::Beyond };
        rest = next.trim_start();
        if rest.is_empty() {
            return Root::Beyond;
        }
    }
    let Some(tag) = rest.strip_prefix('<') else { return Root::None };
    let Some(end) = tag.find(|c: char| c.is_whitespace() || matches!(c, '/' | '>' | '<' | '=')) else {
        return Root::Beyond;
    };
    let name = &tag[..end];
    let local = name.rsplit_once(':').map_or(name, |(_, local)| local);
    if local.starts_with(|c: char| c.is_alphabetic() || c == '_') { Root::Element(local) } else { Root::None }
}

fn past<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    text.find(end).map(|at| &text[at + end.len()..])
}

/// Behind `<!DOCTYPE ...>`, whose internal subset is in brackets and holds declarations and quoted texts of its own.
fn past_document_type(text: &str) -> Option<&str> {
    let (mut quote, mut brackets) = (None, 0_usize);
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'[') => brackets += 1,
            (None, b']') => brackets = brackets.saturating_sub(1),
            (None, b'>') if brackets == 0 => return Some(&text[at + 1..]),
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_before_the_root_is_passed_over() {
        let comment = format!("<!-- {} <Envelope > -->", "licence ".repeat(10_000));
        for text in [
            "<Envelope xmlns=\"x\">",
            "<Envelope\r\n  xmlns=\"x\">",
            "<Envelope>",
            "<Envelope/>",
            "\u{feff}<?xml version=\"1.0\"?><ovf:Envelope\txmlns:ovf=\"x\">",
            "\n\n <?xml version='1.0'?>\n<?style href='>'?>\n<a.b-c:Envelope\n>",
            "<!DOCTYPE Envelope [<!ENTITY e \"]><domain>\">]><Envelope >",
            &format!("<?xml version=\"1.0\"?>\n{comment}\n<!----><!-- > -- -->\n<Envelope >"),
        ] {
            assert_eq!(root_element(text), Root::Element("Envelope"), "{text}");
        }
    }

    #[test]
    fn other_roots_and_other_texts_are_told_apart() {
        for (text, expected) in [
            ("<?xml version=\"1.0\"?><domain type='kvm'/>", Root::Element("domain")),
            ("<EnvelopeOfMine ><Envelope ></Envelope>", Root::Element("EnvelopeOfMine")),
            ("<Envelope:x >", Root::Element("x")),
            ("<!-- Envelope ", Root::Beyond),
            ("<!-", Root::Beyond),
            ("<?xml version=\"1.0\"?>\n", Root::Beyond),
            ("<Envel", Root::Beyond),
            ("<!DOCTYPE x [", Root::Beyond),
            ("< Envelope >", Root::None),
            ("<3 Envelope ", Root::None),
            ("memsize = \"<Envelope >\"", Root::None),
            ("<?xml?>text<Envelope >", Root::None),
            ("", Root::None),
        ] {
            assert_eq!(root_element(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_and_a_longer_text_decides_alike(text in "[<>!?/\\[\\]\"' aE:\u{e9}-]{0,40}", more in "[<> a]{0,9}") {
            let short = root_element(&text);
            if short != Root::Beyond && !text.trim_start_matches('\u{feff}').trim_start().is_empty() {
                let longer = format!("{text}{more}");
                proptest::prop_assert_eq!(short, root_element(&longer));
            }
        }
    }
}
