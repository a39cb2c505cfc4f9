//! YAML to the tree of settings, with bounds: on the nesting, and on the size that aliases give a small file.
//!
//! The parser behind `serde_norway` reads a whole document before anybody can look at it, and its time grows with the square of the nesting: 100 kB of
//! brackets keep it busy for a minute. So its events are counted first, and that stops at the first bracket too many.

use std::cell::Cell;
use std::fmt;
use std::mem::MaybeUninit;

use serde::de::{DeserializeSeed, EnumAccess, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, de};
use serde_json::{Map, Value};
use unsafe_libyaml_norway as unsafe_libyaml;

use super::layer::{DEEPEST, too_deep};

/// The most that a document may grow to by its aliases, in bytes: texts, and [`VALUE`] for each value. One without aliases stays below.
const LARGEST: usize = 8 << 20;
/// What each value counts for, in bytes.
const VALUE: usize = 8;
/// Characters that end a line in YAML 1.1.
const BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// Reads a document. The message of an error may have several lines.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    // Each is held against all before it; a tag has no meaning here anyway.
    if text.split(BREAKS).any(|line| line.trim_start_matches('\u{feff}').starts_with("%TAG")) {
        return Err("a directive %TAG has no meaning here".to_owned());
    }
    if let Some(line) = Events::of(text).too_deep() {
        return Err(format!("{} at line {line}", too_deep()));
    }
    let left = Cell::new(LARGEST);
    let tree = Tree { left: &left, depth: 0 };
    tree.deserialize(serde_norway::Deserializer::from_str(text)).map_err(|error| error.to_string())
}

/// The events of a text, one at a time.
struct Events<'a> {
    parser: Box<MaybeUninit<unsafe_libyaml::yaml_parser_t>>,
    _text: &'a str,
}

impl<'a> Events<'a> {
    fn of(text: &'a str) -> Self {
        let mut parser = Box::new(MaybeUninit::uninit());
        // SAFETY: the parser is initialised first, and stays at its place; the text outlives it. Initialising fails for want of memory only, which
        // ends the process.
        unsafe {
            let raw: *mut unsafe_libyaml::yaml_parser_t = parser.as_mut_ptr();
            assert!(unsafe_libyaml::yaml_parser_initialize(raw).ok, "no memory for a parser");
            unsafe_libyaml::yaml_parser_set_encoding(raw, unsafe_libyaml::YAML_UTF8_ENCODING);
            unsafe_libyaml::yaml_parser_set_input_string(raw, text.as_ptr(), text.len() as u64);
        }
        Self { parser, _text: text }
    }

    /// The line at which the nesting gets too deep. A text that is no YAML is not: the other reader says that better.
    fn too_deep(mut self) -> Option<u64> {
        let mut depth = 0;
        loop {
            let mut event = MaybeUninit::<unsafe_libyaml::yaml_event_t>::uninit();
            // SAFETY: the parser is initialised and has met no error before; the event is read and deleted only when there is one.
            let (kind, line) = unsafe {
                if unsafe_libyaml::yaml_parser_parse(self.parser.as_mut_ptr(), event.as_mut_ptr()).fail {
                    return None;
                }
                let event = event.assume_init_mut();
                let read = (event.type_, event.start_mark.line + 1);
                unsafe_libyaml::yaml_event_delete(event);
                read
            };
            match kind {
                unsafe_libyaml::YAML_SEQUENCE_START_EVENT | unsafe_libyaml::YAML_MAPPING_START_EVENT => depth += 1,
                unsafe_libyaml::YAML_SEQUENCE_END_EVENT | unsafe_libyaml::YAML_MAPPING_END_EVENT => depth -= 1,
                unsafe_libyaml::YAML_STREAM_END_EVENT | unsafe_libyaml::YAML_NO_EVENT => return None,
                _ => {}
            }
            if depth > DEEPEST {
                return Some(line);
            }
        }
    }
}

impl Drop for Events<'_> {
    fn drop(&mut self) {
        // SAFETY: it was initialised, and is not used again.
        unsafe { unsafe_libyaml::yaml_parser_delete(self.parser.as_mut_ptr()) }
    }
}

/// Reads a value of a tree, `depth` levels below its root.
#[derive(Clone, Copy)]
struct Tree<'a> {
    /// What the document may still grow by.
    left: &'a Cell<usize>,
    depth: usize,
}

impl Tree<'_> {
    fn take<E: de::Error>(self, text: usize) -> Result<(), E> {
        let left = self.left.get().checked_sub(VALUE + text);
        self.left.set(left.ok_or_else(|| E::custom(format!("with its aliases it is larger than {LARGEST} bytes")))?);
        Ok(())
    }

    fn below<E: de::Error>(self) -> Result<Self, E> {
        self.take(0)?;
        if self.depth == DEEPEST { Err(E::custom(too_deep())) } else { Ok(Self { depth: self.depth + 1, ..self }) }
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a setting")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        self.take(0).map(|()| Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Value, E> {
        self.take(0).map(|()| Value::Bool(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        self.take(0).map(|()| Value::from(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        self.take(0).map(|()| Value::from(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        self.take(0)?;
        let number = serde_json::Number::from_f64(number);
        number.map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        self.take(text.len()).map(|()| Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut object = Map::new();
        while let Some(key) = members.next_key_seed(below)? {
            let Value::String(key) = key else {
                return Err(A::Error::custom(format!("the key {key} is not a text; put it in quotes")));
            };
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} is there twice")));
            }
            object.insert(key, members.next_value_seed(below)?);
        }
        Ok(Value::Object(object))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Value, A::Error> {
        let (tag, _) = tagged.variant::<String>()?;
        Err(A::Error::custom(format!("the tag `!{}` has no meaning here", tag.trim_start_matches('!'))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_a_tree() {
        let text = "a: [1, -2, 1.5, true, ~, text, '1']\nb:\n  c: &x {d: e}\n  f: *x\n  \"g\": |\n    [[[\n";
        let expected = json!({
            "a": [1, -2, 1.5, true, null, "text", "1"],
            "b": {"c": {"d": "e"}, "f": {"d": "e"}, "g": "[[[\n"},
        });
        assert_eq!(parse(text), Ok(expected));
        assert_eq!((parse(""), parse("~")), (Ok(Value::Null), Ok(Value::Null)));
        assert_eq!(parse("!!str 1"), Ok(json!("1")));
    }

    #[test]
    fn what_no_setting_can_be_is_said() {
        for (text, expected) in [
            ("1: x", "the key 1 is not a text; put it in quotes"),
            ("[a]: x", "the key [\"a\"] is not a text; put it in quotes"),
            ("a: 1\na: 2", "the key \"a\" is there twice"),
            ("a: .nan", "a number must be finite"),
            ("a: !secret x", "the tag `!secret` has no meaning here"),
            ("a: !secret [x]", "the tag `!secret` has no meaning here"),
            ("%TAG ! x\n---\na: 1", "a directive %TAG has no meaning here"),
            ("a: 1\n---\nb: 1", "more than one document"),
            ("a: [1\nb: 2", "did not find expected"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn nesting_is_bounded_however_it_is_written() {
        let deep = |levels: usize| {
            let blocks = (0..levels).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>();
            [
                format!("{}{}", "[".repeat(levels), "]".repeat(levels)),
                format!("{}1{}", "{a: ".repeat(levels), "}".repeat(levels)),
                format!("{}1", "- ".repeat(levels)),
                format!("{}1{}", "['[',\n".repeat(levels), "]".repeat(levels)),
                blocks,
            ]
        };
        for text in deep(DEEPEST) {
            parse(&text).unwrap();
        }
        for text in deep(DEEPEST + 1) {
            let error = parse(&text).unwrap_err();
            assert!(error.starts_with("it is nested more than 32 levels deep at line "), "{error}");
        }
        // Aliases nest deeper than the text does.
        let mut aliases = "a0: &a0 [x]\n".to_owned();
        for level in 1..=DEEPEST {
            aliases += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
        }
        assert!(parse(&aliases).unwrap_err().contains("it is nested more than 32 levels deep"));
        assert!(parse("a: &a [*a]").is_err());
    }

    #[test]
    fn no_small_file_takes_long_or_grows_large() {
        let began = Instant::now();
        let levels = 500_000;
        for (first, rest) in [
            ("", "["),
            ("a: ", "["),
            ("", "{"),
            ("", "{a: "),
            ("a: ", "[{"),
            ("", "- "),
            ("", "? "),
            ("a: ", "['[',"),
            ("a: ", "[\n"),
        ] {
            let error = parse(&format!("{first}{}", rest.repeat(levels / rest.len()))).unwrap_err();
            assert!(error.contains("it is nested more than 32 levels deep"), "{first}{rest}: {error}");
        }
        let tags: String = (0..50_000).map(|number| format!("%TAG !a{number}! x\n")).collect();
        parse(&tags).unwrap_err();
        let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..8 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(",");
            laughs += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        let many = format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(100_000), "*a,".repeat(100_000));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(400_000), "*a,".repeat(100_000));
        // The reader counts the aliases that it follows, but not what each of them brings.
        assert_eq!(parse(&laughs).unwrap_err(), "repetition limit exceeded");
        for text in [many, long] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains("with its aliases it is larger than 8388608 bytes"), "{error}");
        }
        // Each of these took a minute, or would have ended the process for want of memory.
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    }
}
