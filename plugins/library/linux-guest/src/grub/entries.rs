//! What a script starts: its menu entries with their kernels and boot archives, and the other files that it reads.

use super::script::{Command, read, visit};
use super::variables::Constants;

/// Commands that take a kernel, or what is booted like one, with a command line behind it (GRUB manual, "The list of commands"; Xen's
/// guests take theirs from `module`).
const STARTS: [&str; 8] =
    ["linux", "linux16", "linuxefi", "multiboot", "multiboot2", "module", "module2", "xen_module"];

/// Whether the command of this name takes a kernel and its command line.
pub(crate) fn starts(name: &str) -> bool {
    STARTS.contains(&name)
}

/// A menu entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MenuEntry {
    /// Its title.
    pub title: String,
    /// Its identifier; empty when it has none.
    pub id: String,
    /// The entry's place in its menu, behind those of the submenus that it is in.
    pub place: Vec<usize>,
    /// Paths as they stand, for GRUB's own root; `None`: not certain.
    pub kernels: Vec<Option<String>>,
    /// Boot archives, likewise.
    pub initrds: Vec<Option<String>>,
    /// UUID of the filesystem that it makes GRUB's root.
    pub root_uuid: Option<String>,
}

impl MenuEntry {
    /// The entries of a script in their order. What stands outside of all entries is one without a title, when it starts something.
    pub fn all(text: &str) -> Vec<Self> {
        let commands = read(text);
        let constants = Constants::of(&commands, &[]);
        let mut out = Vec::new();
        gather(&commands, &constants, &mut Vec::new(), &mut out);
        out
    }
}

fn gather(commands: &[Command], constants: &Constants, above: &mut Vec<usize>, out: &mut Vec<MenuEntry>) {
    let mut number = 0;
    let mut alone = MenuEntry { place: above.clone(), ..MenuEntry::default() };
    for command in commands {
        match command.name().as_str() {
            "submenu" => {
                above.push(number);
                gather(&command.body, constants, above, out);
                above.pop();
                number += 1;
            }
            "menuentry" | "hiddenentry" => {
                let word = |index: usize| command.words.get(index).and_then(|word| constants.value(word));
                let id = command
                    .words
                    .iter()
                    .position(|word| matches!(word.literal().as_str(), "--id" | "${menuentry_id_option}"));
                let mut place = above.clone();
                place.push(number);
                let mut entry = MenuEntry {
                    title: word(1).unwrap_or_default(),
                    id: id.and_then(|at| word(at + 1)).unwrap_or_default(),
                    place,
                    ..MenuEntry::default()
                };
                visit(&command.body, &mut |inner| take(inner, constants, &mut entry));
                out.push(entry);
                number += 1;
            }
            // What a function starts, it starts for the entries that call it, with their words.
            "function" => {}
            _ => {
                take(command, constants, &mut alone);
                gather(&command.body, constants, above, out);
            }
        }
    }
    if !alone.kernels.is_empty() {
        out.push(alone);
    }
}

fn take(command: &Command, constants: &Constants, entry: &mut MenuEntry) {
    let name = command.name();
    let value = |word| constants.value(word);
    // Options such as `--nounzip` stand before the path.
    let mut paths = command.words.iter().skip(1).filter(|word| !word.literal().starts_with("--"));
    match name.as_str() {
        "initrd" | "initrd16" | "initrdefi" => entry.initrds.extend(paths.map(value)),
        "search" => {
            let by_uuid = command.words.iter().any(|word| matches!(word.literal().as_str(), "--fs-uuid" | "-u"));
            let last = command.words.last().and_then(|word| constants.value(word));
            entry.root_uuid = last.filter(|_| by_uuid).or(entry.root_uuid.take());
        }
        _ if starts(&name) => entry.kernels.extend(paths.next().map(value)),
        _ => {}
    }
}

/// The files that a script reads as scripts, as paths for GRUB's own root; `prefix` is the folder of GRUB's files.
pub(crate) fn sourced(text: &str, prefix: &str) -> Vec<String> {
    let commands = read(text);
    let constants = Constants::of(&commands, &[("prefix", prefix), ("config_directory", prefix)]);
    let mut out = Vec::new();
    visit(&commands, &mut |command| {
        if matches!(command.name().as_str(), "source" | "." | "configfile" | "normal") {
            let path = command.words.get(1).map(|word| {
                // A device in front is GRUB's root or found by UUID: where that is, the caller looks.
                let mut word = word.clone();
                if let Some(at) =
                    word.pieces.iter().position(|piece| matches!(piece, super::Piece::Text(text) if text.contains(')')))
                {
                    if let super::Piece::Text(text) = &mut word.pieces[at] {
                        *text = text.split_once(')').map(|(_, path)| path.to_owned()).unwrap_or_default();
                    }
                    word.pieces.drain(..at);
                }
                word
            });
            out.extend(path.and_then(|word| constants.value(&word)));
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_with_what_they_start() {
        let text = "set kernels=/boot\nset default=0\n\
            menuentry 'Debian' --class x --id deb {\n  search --no-floppy --fs-uuid --set=root 1-2\n  linux $kernels/vmlinuz-6.1 root=x\n  initrd /ucode.img /boot/initrd-6.1\n}\n\
            submenu 'More' {\n  menuentry 'Old' { linux (hd0,1)/vmlinuz-5.10; initrd $where/i }\n  menuentry 'Memtest' { linux16 --x /memtest.bin }\n}\n\
            menuentry 'Firmware' { fwsetup }\nif [ x ]; then menuentry Xen { multiboot2 /xen.gz\n module2 /vmlinuz-xen root=x\n module2 /initrd-xen }; fi\n";
        let shown: Vec<String> = MenuEntry::all(text)
            .iter()
            .map(|entry| {
                format!(
                    "{:?} {} {} {:?} {:?} {:?}",
                    entry.place, entry.title, entry.id, entry.kernels, entry.initrds, entry.root_uuid
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "[0] Debian deb [Some(\"/boot/vmlinuz-6.1\")] [Some(\"/ucode.img\"), Some(\"/boot/initrd-6.1\")] Some(\"1-2\")",
                "[1, 0] Old  [Some(\"(hd0,1)/vmlinuz-5.10\")] [None] None",
                "[1, 1] Memtest  [Some(\"/memtest.bin\")] [] None",
                "[2] Firmware  [] [] None",
                "[3] Xen  [Some(\"/xen.gz\"), Some(\"/vmlinuz-xen\"), Some(\"/initrd-xen\")] [] None",
            ]
        );
        let alone = MenuEntry::all("linux /vmlinuz root=x\ninitrd /i\nboot");
        assert_eq!((alone.len(), alone[0].title.as_str(), alone[0].kernels.len()), (1, "", 1));
    }

    #[test]
    fn files_that_are_read_along() {
        for (text, want) in [
            ("source $prefix/custom.cfg", &["/boot/grub/custom.cfg"][..]),
            ("if [ -f ${config_directory}/a.cfg ]; then source ${config_directory}/a.cfg; fi", &["/boot/grub/a.cfg"]),
            (
                "search --fs-uuid --set=dev 1-2\nset prefix=($dev)/boot/grub\nconfigfile ($dev)/boot/grub/grub.cfg",
                &["/boot/grub/grub.cfg"],
            ),
            (". (hd0,msdos1)/x.cfg\nsource \"$who\"\nsource", &["/x.cfg"]),
            ("echo source /x", &[]),
        ] {
            assert_eq!(sourced(text, "/boot/grub"), want, "{text}");
        }
    }
}
