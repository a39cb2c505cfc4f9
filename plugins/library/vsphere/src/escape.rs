//! Names inside of other texts: in a URI, in an inventory path, in XML.

/// Text in which every byte but letters, digits and `-._~` is a percent escape (RFC 3986, unreserved).
pub fn percent(text: &str) -> String {
    escape_but(text, "-._~")
}

/// A path whose parts are escaped and whose slashes are not.
pub fn percent_path(path: &str) -> String {
    escape_but(path, "-._~/")
}

fn escape_but(text: &str, plain: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.as_bytes().contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The text that percent escapes stand for; `None` when one is no escape, or the bytes are not UTF-8.
pub fn from_percent(text: &str) -> Option<String> {
    let mut parts = text.as_bytes().split(|byte| *byte == b'%');
    let mut bytes = parts.next()?.to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        bytes.extend_from_slice(&part[2..]);
    }
    String::from_utf8(bytes).ok()
}

/// The characters that the API writes as escapes within a name, because they part or escape names.
const WITHIN_NAMES: [(char, &str); 3] = [('%', "%25"), ('/', "%2f"), ('\\', "%5c")];

/// A name as a person sees it, from the API's.
pub fn shown_name(name: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(name.len()), name);
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let escape = rest.get(at..at + 3).unwrap_or_default();
        match WITHIN_NAMES.iter().find(|(_, written)| escape.eq_ignore_ascii_case(written)) {
            Some((letter, _)) => {
                out.push(*letter);
                rest = &rest[at + 3..];
            }
            None => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

/// A shown name as a part of a path that can be written into a URI: what would end the part or begin something else is escaped.
pub fn path_part(shown: &str) -> String {
    let mut out = String::with_capacity(shown.len());
    for letter in shown.chars() {
        if matches!(letter, '%' | '/' | '?' | '#' | '\\') || letter.is_control() {
            out.push_str(&percent(letter.encode_utf8(&mut [0; 4])));
        } else {
            out.push(letter);
        }
    }
    out
}

/// Text between tags, or in an attribute with double quotes. What XML 1.0 cannot hold is left out: no name of the API has it.
pub fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A line break would be read as a space in an attribute, and a carriage return as a line feed.
            '\t' | '\n' | '\r' => out.push_str(&format!("&#{};", letter as u32)),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escape_can_be_read_again() {
        for text in ["a b&c", "100%", "ä/ö", "-._~", ""] {
            assert_eq!(from_percent(&percent(text)).as_deref(), Some(text));
            assert_eq!(from_percent(&percent_path(text)).as_deref(), Some(text));
            assert_eq!(from_percent(&path_part(text)).as_deref(), Some(text));
        }
        assert_eq!((percent("a/b").as_str(), percent_path("a/b c").as_str()), ("a%2Fb", "a/b%20c"));
        for wrong in ["%", "%2", "%zz", "%+1", "%ff", "a%ä"] {
            assert_eq!(from_percent(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_of_the_api_are_shown_as_people_gave_them() {
        for (name, shown) in [
            ("web01", "web01"),
            ("a%2fb", "a/b"),
            ("a%2Fb%5cc%25", "a/b\\c%"),
            ("100%", "100%"),
            ("%2%2f", "%2/"),
            ("%252f", "%2f"),
            ("50% ä", "50% ä"),
            ("%ä", "%ä"),
        ] {
            assert_eq!(shown_name(name), shown, "{name}");
        }
    }

    #[test]
    fn nothing_leaves_its_place_in_xml() {
        assert_eq!(xml("a<b>&\"c\"\n\u{1}d\u{fffe}"), "a&lt;b&gt;&amp;&quot;c&quot;&#10;d");
        let document = format!("<a b=\"{}\">{}</a>", xml("x\"\n y"), xml("</a>&"));
        let read = roxmltree::Document::parse(&document).unwrap();
        assert_eq!(read.root_element().attribute("b"), Some("x\"\n y"));
        assert_eq!(read.root_element().text(), Some("</a>&"));
    }
}
