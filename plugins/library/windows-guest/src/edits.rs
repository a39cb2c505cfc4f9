//! The edits of one hive, gathered from all concerns: each with the value that is there now, and shown as a person would write it down.

use std::fmt::Write;

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Action, Change, RegistryEdit, RegistryValue};

use crate::hive::Value;
use crate::registry::Registry;

/// Text.
pub const SZ: u32 = 1;
/// Text with variables.
pub const EXPAND_SZ: u32 = 2;
/// Bytes.
pub const BINARY: u32 = 3;
/// A number of 32 bits.
pub const DWORD: u32 = 4;
/// Several texts.
pub const MULTI_SZ: u32 = 7;
/// Longest value that is shown whole, in bytes.
const SHOWN: usize = 64;

/// The value of a text.
pub fn text(type_number: u32, text: &str) -> RegistryValue {
    RegistryValue::new(type_number, &utf16(text))
}

/// The value of several texts.
pub fn texts(texts: &[&str]) -> RegistryValue {
    let mut bytes: Vec<u8> = texts.iter().flat_map(|text| utf16(text)).collect();
    bytes.extend([0, 0]);
    RegistryValue::new(MULTI_SZ, &bytes)
}

/// The value of a number.
pub fn number(number: u32) -> RegistryValue {
    RegistryValue::new(DWORD, &number.to_le_bytes())
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// The edits of a hive.
pub struct Edits<'a> {
    registry: &'a Registry,
    /// What a person calls the hive: `HKEY_LOCAL_MACHINE\SYSTEM`.
    name: &'static str,
    concern: &'static str,
    edits: Vec<(&'static str, RegistryEdit)>,
}

impl<'a> Edits<'a> {
    /// No edits yet.
    pub fn new(registry: &'a Registry, name: &'static str) -> Self {
        Self { registry, name, concern: "", edits: Vec::new() }
    }

    /// What the edits that follow are for, in a few words.
    pub fn concern(&mut self, concern: &'static str) {
        self.concern = concern;
    }

    /// Gives a value this content, unless it has it.
    pub fn set(&mut self, key: &str, name: &str, new: RegistryValue) -> Result<()> {
        self.change(key, name, Some(new))
    }

    /// Takes a value away, where it is.
    pub fn remove(&mut self, key: &str, name: &str) -> Result<()> {
        self.change(key, name, None)
    }

    /// Takes every value of a key away.
    pub fn empty(&mut self, key: &str) -> Result<()> {
        for value in self.registry.values(key)? {
            self.remove(key, &value.name)?;
        }
        Ok(())
    }

    /// A value as it will be.
    pub fn planned(&self, key: &str, name: &str) -> Result<Option<Value>> {
        let edit = self.edits.iter().find(|(_, edit)| is_of(edit, key, name));
        let Some((_, edit)) = edit else { return self.registry.value(key, name) };
        let value =
            |value: &RegistryValue| Value { name: name.to_owned(), type_number: value.type_number, data: bytes(value) };
        Ok(edit.new.as_ref().map(value))
    }

    /// What the edits of a concern change, as it was before, in the form in which the registry's editor takes it.
    pub fn before(&self, concern: &str) -> String {
        let (mut out, mut key) = (String::new(), None);
        // A name of several lines could say more than itself.
        let is_plain =
            |edit: &RegistryEdit| !edit.key.contains(char::is_control) && !edit.name.contains(char::is_control);
        for (_, edit) in self.edits.iter().filter(|(about, edit)| *about == concern && is_plain(edit)) {
            if key != Some(edit.key.as_str()) {
                key = Some(&edit.key);
                let _ = writeln!(out, "\n[{}\\{}]", self.name, edit.key);
            }
            let name = match edit.name.as_str() {
                "" => "@".to_owned(),
                name => format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")),
            };
            let old = edit.old.as_ref().map_or_else(|| "-".to_owned(), exported);
            let _ = writeln!(out, "{name}={old}");
        }
        out
    }

    fn change(&mut self, key: &str, name: &str, new: Option<RegistryValue>) -> Result<()> {
        let old = self.registry.stored(key, name)?;
        // Whoever asks last is right: a driver's own word on its service counts more than a general rule's.
        self.edits.retain(|(_, edit)| !is_of(edit, key, name));
        if old != new {
            self.edits.push((self.concern, RegistryEdit::new(key, name, old, new)));
        }
        Ok(())
    }

    /// One change with all of them; `None` when there are none.
    pub fn into_change(self) -> Option<Change> {
        if self.edits.is_empty() {
            return None;
        }
        let mut concerns: Vec<&str> = self.edits.iter().map(|(concern, _)| *concern).collect();
        concerns.dedup();
        let diff = diff(self.name, &self.edits);
        let hive = self.name.rsplit('\\').next().unwrap_or_default();
        let count = self.edits.len();
        let edits = self.edits.into_iter().map(|(_, edit)| edit).collect();
        let values = if count == 1 { "value" } else { "values" };
        let change = Change::new(
            Action::EditRegistry { edits },
            &self.registry.path,
            format!("change {count} {values} of the registry hive {hive}"),
            concerns.join("; "),
        );
        let mut change = change.critical();
        change.diff = Some(diff);
        Some(change)
    }
}

fn is_of(edit: &RegistryEdit, key: &str, name: &str) -> bool {
    edit.key.eq_ignore_ascii_case(key) && edit.name.eq_ignore_ascii_case(name)
}

/// A value as the registry's editor writes it: numbers of 32 bits as numbers, all else as bytes, which no text can break out of.
fn exported(value: &RegistryValue) -> String {
    let bytes = bytes(value);
    if let (DWORD, [a, b, c, d]) = (value.type_number, bytes.as_slice()) {
        return format!("dword:{:08x}", u32::from_le_bytes([*a, *b, *c, *d]));
    }
    let kind = if value.type_number == BINARY { "hex".to_owned() } else { format!("hex({:x})", value.type_number) };
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kind}:{}", digits.join(","))
}

/// The edits as lines of a `.reg` file, old ones with `-` and new ones with `+` before them.
fn diff(hive: &str, edits: &[(&'static str, RegistryEdit)]) -> String {
    let (mut out, mut concern, mut key) = (String::new(), "", None);
    for (about, edit) in edits {
        if *about != concern {
            concern = about;
            key = None;
            let _ = writeln!(out, "; {concern}");
        }
        if key != Some(edit.key.as_str()) {
            key = Some(&edit.key);
            let _ = writeln!(out, "[{hive}\\{}]", edit.key);
        }
        let name = if edit.name.is_empty() { "@".to_owned() } else { format!("\"{}\"", edit.name.escape_debug()) };
        for (mark, value) in [('-', &edit.old), ('+', &edit.new)] {
            if let Some(value) = value {
                let _ = writeln!(out, "{mark}{name}={}", shown(value));
            }
        }
    }
    out
}

/// A value as it is written in a `.reg` file; texts as texts, whatever that file would do.
fn shown(value: &RegistryValue) -> String {
    let bytes = bytes(value);
    let text = || {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok().map(|text| text.trim_end_matches('\0').to_owned())
    };
    match (value.type_number, bytes.len()) {
        (DWORD, 4) => format!("dword:{:08x}", u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
        (SZ, _) if text().is_some() => format!("\"{}\"", text().unwrap_or_default().escape_debug()),
        (EXPAND_SZ, _) if text().is_some() => format!("expand:\"{}\"", text().unwrap_or_default().escape_debug()),
        (MULTI_SZ, _) if text().is_some() => {
            let all = text().unwrap_or_default();
            let texts: Vec<String> = all.split('\0').map(|text| format!("\"{}\"", text.escape_debug())).collect();
            format!("multi:{}", texts.join(","))
        }
        (number, length) => {
            let kind = if number == BINARY { "hex".to_owned() } else { format!("hex({number:x})") };
            let digits: Vec<String> = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
            let rest = if length > SHOWN { format!(",... ({length} bytes)") } else { String::new() };
            format!("{kind}:{}{rest}", digits.join(","))
        }
    }
}

/// What is shown of a value; the edits made here are sound.
fn bytes(value: &RegistryValue) -> Vec<u8> {
    value.to_bytes().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_shown_as_a_person_writes_them() {
        let edit = |key: &str, name: &str, old, new| RegistryEdit::new(key, name, old, new);
        let edits = [
            ("boot driver", edit("CS\\X", "Start", Some(number(3)), Some(number(0)))),
            ("boot driver", edit("CS\\X", "", None, Some(text(SZ, "a\"b")))),
            ("tools", edit("CS\\Y", "Group", Some(texts(&["one", "two"])), None)),
            ("tools", edit("CS\\Y", "Path", None, Some(text(EXPAND_SZ, "%x%")))),
            ("tools", edit("CS\\Y", "Raw", None, Some(RegistryValue::new(0xffff_0012, &[1, 2])))),
            ("tools", edit("CS\\Y", "Long", None, Some(RegistryValue::new(BINARY, &[0xab; 65])))),
        ];
        let long = vec!["ab"; SHOWN].join(",");
        let wanted = format!(
            "; boot driver\n[HKLM\\CS\\X]\n-\"Start\"=dword:00000003\n+\"Start\"=dword:00000000\n+@=\"a\\\"b\"\n\
             ; tools\n[HKLM\\CS\\Y]\n-\"Group\"=multi:\"one\",\"two\"\n+\"Path\"=expand:\"%x%\"\n+\"Raw\"=hex(ffff0012):01,02\n\
             +\"Long\"=hex:{long},... (65 bytes)\n"
        );
        assert_eq!(diff("HKLM", &edits), wanted);
    }
}
