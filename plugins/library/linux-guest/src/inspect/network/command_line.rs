//! The kernel's command line where boot loaders keep it: what it says of the network (dracut.cmdline(7); kernel documentation, "nfsroot").

use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use super::graph::{Graph, Kind};
use super::udev::Pin;
use super::{files, mac};

/// Files of boot loaders, and of what the initramfs adds to their arguments.
const FILES: [&str; 14] = [
    "/boot/grub2/grub.cfg",
    "/boot/grub/grub.cfg",
    "/boot/grub2/grubenv",
    "/boot/grub/grubenv",
    "/boot/grub/menu.lst",
    "/boot/grub/grub.conf",
    "/boot/extlinux/extlinux.conf",
    "/boot/extlinux.conf",
    "/boot/syslinux/syslinux.cfg",
    "/etc/kernel/cmdline",
    "/etc/lilo.conf",
    "/boot/photon.cfg",
    "/boot/systemd.cfg",
    "/etc/dracut.conf",
];
const FOLDERS: [&str; 5] =
    ["/boot/loader/entries", "/boot/efi/loader/entries", "/efi/loader/entries", "/etc/cmdline.d", "/etc/dracut.conf.d"];

/// The arguments of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CommandLine {
    pub path: String,
    words: Vec<String>,
    /// It starts a kernel, and is not a part of what others use.
    pub is_entry: bool,
}

impl CommandLine {
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }

    /// The values of a key.
    fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.words.iter().filter_map(move |word| word.strip_prefix(key)?.strip_prefix('='))
    }
}

/// Every line that holds arguments.
pub(crate) fn read(guest: &dyn Guest, graph: &mut Graph) -> Result<Vec<CommandLine>> {
    let mut texts = Vec::new();
    for path in FILES {
        if guest.stat(path)?.is_some_and(|own| own.kind != FileKind::Dir) {
            texts.extend(files::read(guest, path, graph)?);
        }
    }
    for folder in FOLDERS {
        texts.extend(files::of_folder(guest, folder, |name| name.ends_with(".conf"), graph)?);
    }
    let mut lines = Vec::new();
    for file in texts {
        let joined = file.text.replace("\\\n", " ");
        for line in joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<String> =
                line.split_whitespace().map(|word| word.trim_matches(['"', '\'', ';']).to_owned()).collect();
            // `set root=...` of GRUB is none of the kernel's.
            let is_entry =
                words.first().is_none_or(|word| word != "set") && words.iter().any(|word| word.starts_with("root="));
            // `kernel_cmdline="ip=..."`, `append="..."`: the first argument is joined with its key.
            let words = words.into_iter().map(|word| match word.split_once("=\"") {
                Some((_, value)) => value.to_owned(),
                None => word,
            });
            lines.push(CommandLine { path: file.path.clone(), words: words.collect(), is_entry });
        }
    }
    Ok(lines)
}

/// Adds what the lines say of interfaces.
pub(super) fn add(lines: &[CommandLine], graph: &mut Graph) {
    for line in lines {
        let path = &line.path;
        for value in line.values("ifname") {
            // `ifname=lan:00:50:56:aa:bb:01`
            if let Some((name, card)) = value.split_once(':').and_then(|(name, card)| Some((name, mac(card)?))) {
                graph.pins.push(Pin::new(name, Some(card), path, false));
            }
        }
        for value in line.values("ip") {
            if let Some(name) = interface_of_ip(value) {
                graph.interface(&name, path).active = true;
            }
        }
        for (key, kind) in [("bond", Kind::Bond), ("bridge", Kind::Bridge), ("team", Kind::Team), ("vlan", Kind::Vlan)]
        {
            for value in line.values(key) {
                // `bond=bond0:ens192,ens224:mode=1`
                let mut parts = value.split(':');
                let (Some(name), Some(lowers)) = (parts.next().filter(|name| !name.is_empty()), parts.next()) else {
                    continue;
                };
                graph.device(name, kind, path).active = true;
                for lower in lowers.split(',').filter(|lower| !lower.is_empty()) {
                    graph.stack(name, lower, path);
                }
            }
        }
        for value in line.values("bootdev").chain(line.values("ksdevice")) {
            if mac(value).is_none() && !matches!(value, "link" | "bootif" | "ibft") {
                graph.interface(value, path).active = true;
            }
        }
    }
}

/// The interface of `ip=`: `ens192:dhcp`, or the sixth field of `client:server:gateway:mask:host:ens192:none`. An address of IPv6 has its
/// colons in brackets.
fn interface_of_ip(value: &str) -> Option<String> {
    let mut fields = vec![String::new()];
    let mut depth = 0;
    for letter in value.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            ':' if depth == 0 => fields.push(String::new()),
            _ => {}
        }
        if letter != ':' || depth != 0 {
            fields.last_mut()?.push(letter);
        }
    }
    const METHODS: [&str; 9] = ["dhcp", "on", "any", "dhcp6", "auto6", "either6", "link6", "link-local", "single-dhcp"];
    let name = match fields.as_slice() {
        [name, method, ..] if METHODS.contains(&method.as_str()) => name,
        [_, _, _, _, _, name, ..] => name,
        _ => return None,
    };
    Some(name.clone()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_of_ip() {
        for (value, name) in [
            ("ens192:dhcp", Some("ens192")),
            ("ens192:dhcp:1500", Some("ens192")),
            ("dhcp", None),
            ("10.0.2.5::10.0.2.1:255.255.255.0:web:ens192:none", Some("ens192")),
            ("10.0.2.5::10.0.2.1:255.255.255.0::ens192:off:1.1.1.1", Some("ens192")),
            ("[2001:db8::5]::[2001:db8::1]:64:web:ens192:none", Some("ens192")),
            ("10.0.2.5", None),
            (":::::ens192:dhcp", Some("ens192")),
            ("10.0.2.5::10.0.2.1:255.255.255.0:web::none", None),
        ] {
            assert_eq!(interface_of_ip(value).as_deref(), name, "{value}");
        }
    }
}
