//! `[Match]` of systemd's `.network` and `.link` files: what it asks of an interface (systemd.network(5), systemd.link(5)).

use super::mac;
use super::pattern::{Pattern, matches};
use super::udev::names_old_driver;

/// What a file asks of an interface; everything that is asked has to hold.
#[derive(Debug, Default)]
pub(super) struct Match {
    /// `Name=` or `OriginalName=`.
    pub names: Pattern,
    /// `MACAddress=` and `PermanentMACAddress=`: one of these.
    pub macs: Vec<String>,
    /// `Path=`: one of these.
    pub paths: Pattern,
    pub drivers: Pattern,
    /// `Type=` and `Kind=`.
    types: Pattern,
    kinds: Pattern,
    /// It asks for VMware's driver or a place on its bus.
    pub by_hardware: bool,
    /// `Virtualization=vmware` or its like.
    pub old_machine: Option<String>,
    /// It holds in containers or on real machines only, so in no VM.
    pub never: bool,
    /// It asks for what only the running system knows.
    asks_more: bool,
}

impl Match {
    /// Reads the settings of a file. An empty value forgets what the key had before.
    pub fn read(settings: &[(String, String, String)]) -> Self {
        let mut out = Self::default();
        for (_, key, value) in settings.iter().filter(|(section, ..)| section == "Match") {
            let words = Pattern::of_words(value.split_whitespace());
            // One `!` at the front excludes the whole list.
            let words = match value.strip_prefix('!') {
                Some(rest) => Pattern { any: Vec::new(), none: rest.split_whitespace().map(str::to_owned).collect() },
                None => words,
            };
            match key.as_str() {
                "Name" | "OriginalName" => add(&mut out.names, words, value),
                "MACAddress" | "PermanentMACAddress" => {
                    if value.is_empty() {
                        out.macs.clear();
                    }
                    out.macs.extend(value.split_whitespace().filter_map(mac));
                }
                "Path" => {
                    out.by_hardware |= words.any.iter().any(|path| path.starts_with("pci-"));
                    add(&mut out.paths, words, value);
                }
                "Driver" => {
                    out.by_hardware |= names_old_driver(words.any.iter().map(String::as_str));
                    add(&mut out.drivers, words, value);
                }
                "Property" => {
                    out.by_hardware |=
                        value.contains("ID_NET_NAME") || value.contains("ID_PATH") || value.contains("ID_VENDOR")
                }
                "Type" => add(&mut out.types, words, value),
                "Kind" => add(&mut out.kinds, words, value),
                "Virtualization" if value.eq_ignore_ascii_case("vmware") => {
                    out.asks_more = true;
                    out.old_machine = Some(format!("{key}={value}"));
                }
                "Virtualization" => {
                    out.asks_more = true;
                    out.never |= matches!(
                        value.to_ascii_lowercase().as_str(),
                        "container" | "no" | "false" | "!vm" | "!yes" | "lxc" | "docker" | "podman" | "systemd-nspawn"
                    );
                }
                _ => out.asks_more |= !value.is_empty(),
            }
        }
        out
    }

    /// Whether a card can be meant: no other type of interface is asked for.
    pub fn is_card(&self) -> bool {
        let types = (self.types.any.is_empty() || self.types.any.iter().any(|word| matches(word, "ether")))
            && !self.types.none.iter().any(|word| word == "ether");
        !self.is_empty() && types && (self.kinds.any.is_empty() || self.kinds.any.iter().any(|word| word == "*"))
    }

    /// Whether it asks for nothing at all, and so applies to nothing.
    fn is_empty(&self) -> bool {
        let lists = [&self.names, &self.paths, &self.drivers, &self.types, &self.kinds];
        !self.asks_more && self.macs.is_empty() && lists.iter().all(|list| **list == Pattern::default())
    }

    /// Whether it can mean this card, which has this MAC and is driven by this driver; what only the running system knows may hold.
    pub fn may_mean(&self, card: &str, driver: &str) -> bool {
        let fits = |pattern: &Pattern, word: &str| {
            (pattern.any.is_empty() || pattern.any.iter().any(|glob| matches(glob, word)))
                && !pattern.none.iter().any(|glob| matches(glob, word))
        };
        self.is_card()
            && (self.macs.is_empty() || self.macs.iter().any(|own| own == card))
            && fits(&self.drivers, driver)
            && self.old_machine.is_none()
    }
}

fn add(to: &mut Pattern, words: Pattern, value: &str) {
    if value.is_empty() {
        *to = Pattern::default();
    }
    to.any.extend(words.any);
    to.none.extend(words.none);
}

#[cfg(test)]
mod tests {
    use super::super::ini;
    use super::*;

    fn read(text: &str) -> Match {
        Match::read(&ini::parse(&format!("[Match]\n{text}")))
    }

    #[test]
    fn what_a_file_asks_for() {
        for (text, is_card, by_hardware, meant) in [
            ("Name=en*", true, false, true),
            ("Name=!en* eth*", true, false, true),
            ("MACAddress=00:50:56:AA:BB:01 00-50-56-aa-bb-02", true, false, true),
            ("MACAddress=00:50:56:00:00:09", true, false, false),
            ("MACAddress=00:50:56:00:00:09\nMACAddress=", false, false, false),
            ("Driver=vmxnet3", true, true, false),
            ("Driver=vmxnet3 virtio_net", true, false, true),
            ("Driver=!virtio_net", true, false, false),
            ("Path=pci-0000:0b:00.0", true, true, true),
            ("Type=ether\nKind=!*", true, false, true),
            ("Type=wlan", false, false, false),
            ("Type=!wlan", true, false, true),
            ("Kind=bond", false, false, false),
            ("Virtualization=vmware\nName=*", true, false, false),
            ("Virtualization=yes\nName=*", true, false, true),
            ("", false, false, false),
        ] {
            let found = read(text);
            assert_eq!((found.is_card(), found.by_hardware), (is_card, by_hardware), "{text}");
            assert_eq!(found.may_mean("00:50:56:aa:bb:01", "virtio_net"), meant, "{text}");
        }
        assert_eq!(read("Name=!a b").names, Pattern { any: vec![], none: vec!["a".into(), "b".into()] });
    }
}
