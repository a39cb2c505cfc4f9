//! The arguments of a kernel command line that name devices: found in any text, changed in place.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::devices::{Devices, Reference};

/// Where in a value the device stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// It is the value.
    Whole,
    /// `DEVICE:NAME`, `DEVICE:FSTYPE:PATH`.
    BeforeColon,
    /// `PATH:DEVICE`, `PATH:DEVICE:ENCRYPTED`.
    BehindColon,
    /// `target=NAME,source=DEVICE,key=PATH`.
    Source,
}

/// What names a device. `boot=` is that of FIPS mode, `real_` and `crypt_` are
/// Gentoo's, `cryptroot=` is Alpine's, `cryptopts=` Debian's, `cryptdevice=` and `cryptkey=` are Arch's, `rd.luks.key=` is dracut's and
/// systemd's.
const KEYS: [(&str, Shape); 16] = [
    ("root=", Shape::Whole),
    ("real_root=", Shape::Whole),
    ("resume=", Shape::Whole),
    ("real_resume=", Shape::Whole),
    ("cryptdevice=", Shape::BeforeColon),
    ("cryptkey=", Shape::BeforeColon),
    ("cryptroot=", Shape::Whole),
    ("cryptopts=", Shape::Source),
    ("crypt_root=", Shape::Whole),
    ("crypt_swap=", Shape::Whole),
    ("root_keydev=", Shape::Whole),
    ("rd.luks.key=", Shape::BehindColon),
    ("luks.key=", Shape::BehindColon),
    ("swap=", Shape::Whole),
    ("boot=", Shape::Whole),
    ("mount.usr=", Shape::Whole),
];

/// Whether the text is the key of an argument that names a device.
pub(in crate::fix) fn is_key(text: &str) -> bool {
    KEYS.iter().any(|(key, _)| *key == text)
}

/// Changes arguments and remembers those that name nothing.
pub(in crate::fix) struct Arguments<'a> {
    devices: &'a Devices<'a>,
    /// Without an initramfs only `PARTUUID=` works.
    bare: bool,
    /// Arguments that name a device by its place.
    pub unstable: BTreeSet<String>,
    /// Of these, the arguments whose device is not known.
    pub unknown: BTreeSet<String>,
}

impl<'a> Arguments<'a> {
    pub fn new(devices: &'a Devices<'a>, bare: bool) -> Self {
        Self { devices, bare, unstable: BTreeSet::new(), unknown: BTreeSet::new() }
    }

    /// The text with every device by place in an argument turned into a stable name. Quotes, spacing and everything else
    /// stay. An argument begins at the start, after white space, or after a quote.
    pub fn rewrite(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut fresh = true;
        while let Some(first) = rest.chars().next() {
            let key = KEYS.iter().find(|(key, _)| fresh && rest.starts_with(*key));
            if let Some((key, shape)) = key {
                let value = &rest[key.len()..];
                // A quoted value: `root="/dev/sda1"`.
                let quote =
                    value.chars().next().filter(|letter| matches!(letter, '"' | '\'')).map_or("", |_| &value[..1]);
                let value = &value[quote.len()..];
                let end = value
                    .find(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '\\'))
                    .unwrap_or(value.len());
                let device = device(&value[..end], *shape);
                out.push_str(key);
                out.push_str(quote);
                out.push_str(&value[..device.start]);
                let old = &value[device.clone()];
                match self.devices.refer(old) {
                    Reference::Stable | Reference::Removable | Reference::Other => out.push_str(old),
                    found @ (Reference::Place(_) | Reference::Unknown) => {
                        self.unstable.insert(format!("{key}{old}"));
                        match self.stable(found) {
                            Some(stable) => out.push_str(&stable),
                            None => {
                                self.unknown.insert(format!("{key}{old}"));
                                out.push_str(old);
                            }
                        }
                    }
                }
                out.push_str(&value[device.end..end]);
                rest = &value[end..];
                fresh = false;
                continue;
            }
            fresh = first.is_whitespace() || matches!(first, '"' | '\'');
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
        out
    }

    /// The value of the argument with this key, changed like the whole; of no key, arguments.
    pub fn rewrite_value(&mut self, key: &str, value: &str) -> String {
        self.rewrite(&format!("{key}{value}"))[key.len()..].to_owned()
    }

    fn stable(&self, found: Reference<'_>) -> Option<String> {
        let Reference::Place(device) = found else { return None };
        if self.bare { self.devices.partition_name(device) } else { self.devices.stable_name(device) }
    }
}

/// Where the device stands in a value; nowhere, at its end, when it has none.
fn device(value: &str, shape: Shape) -> Range<usize> {
    let (start, stop) = match shape {
        Shape::Whole => (Some(0), None),
        Shape::BeforeColon => (Some(0), Some(':')),
        Shape::BehindColon => (value.find(':').map(|colon| colon + 1), Some(':')),
        Shape::Source => {
            let found = value.match_indices("source=").find(|(at, _)| *at == 0 || value[..*at].ends_with(','));
            (found.map(|(at, key)| at + key.len()), Some(','))
        }
    };
    let start = start.unwrap_or(value.len());
    let end = stop.and_then(|stop| value[start..].find(stop)).map_or(value.len(), |length| start + length);
    start..end
}
