//! The arguments of a kernel command line that name devices: found in any text, changed in place.

use std::collections::BTreeSet;

use crate::devices::{Devices, Reference};

/// What names a device. `cryptdevice=` has `:NAME` behind it; `boot=` is that of FIPS mode, `rootpartition=` a variable of Photon's
/// `grub.cfg`.
const KEYS: [&str; 10] = [
    "root=",
    "real_root=",
    "resume=",
    "real_resume=",
    "cryptdevice=",
    "crypt_root=",
    "swap=",
    "boot=",
    "mount.usr=",
    "rootpartition=",
];

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
            let key = KEYS.iter().find(|key| fresh && rest.starts_with(**key));
            if let Some(key) = key {
                let value = &rest[key.len()..];
                // A quoted value: `root="/dev/sda1"`.
                let quote =
                    value.chars().next().filter(|letter| matches!(letter, '"' | '\'')).map_or("", |_| &value[..1]);
                let value = &value[quote.len()..];
                let stop = if *key == "cryptdevice=" { &[':'][..] } else { &[] };
                let end = value
                    .find(|letter: char| {
                        letter.is_whitespace() || matches!(letter, '"' | '\'' | '\\') || stop.contains(&letter)
                    })
                    .unwrap_or(value.len());
                out.push_str(key);
                out.push_str(quote);
                let old = &value[..end];
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

    fn stable(&self, found: Reference<'_>) -> Option<String> {
        let Reference::Place(device) = found else { return None };
        if self.bare { self.devices.partition_name(device) } else { self.devices.stable_name(device) }
    }
}
