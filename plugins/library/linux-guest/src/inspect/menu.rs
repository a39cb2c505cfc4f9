//! What the boot loader's menu starts: the kernels and boot archives of its entries, where in the guest they are, and those that are not
//! there. systemd-boot's own entries are in `loader_entries`.

use std::collections::BTreeSet;

use vmdk2kvm_plugin_api::model::{Finding, MountInfo, Severity};
use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use crate::grub::{Constants, MenuEntry, place, read, sourced, visit};
use crate::textfile::TextFile;

/// A menu that reads itself along must end.
const MOST_FILES: usize = 64;
/// Boot Loader Specification entries that GRUB reads.
const ENTRIES: &str = "/boot/loader/entries";

/// A boot loader's menu.
#[derive(Debug, Default)]
pub(super) struct Menu {
    entries: Vec<Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    title: String,
    /// The file that has it.
    file: String,
    kernels: Vec<String>,
    archives: Vec<String>,
    /// Kernels that it starts and that are nowhere.
    missing: Vec<String>,
    /// Boot archives that are nowhere: the kernel is started without them.
    missing_archives: Vec<String>,
    is_default: bool,
}

impl Menu {
    /// Reads the menu of this boot loader.
    pub fn read(loader: Option<&str>, config: Option<&str>, mounts: &[MountInfo], guest: &dyn Guest) -> Result<Self> {
        let Some(config) = config else { return Ok(Self::default()) };
        let reader = Reader { mounts, guest };
        let entries = match loader {
            Some("grub2") => reader.grub(config)?,
            Some("grub-legacy") => reader.by_lines(config, "title", |key| key == "kernel", |key| key == "initrd")?,
            Some("extlinux") => {
                reader.by_lines(config, "label", |key| matches!(key, "kernel" | "linux"), |key| key == "initrd")?
            }
            _ => Vec::new(),
        };
        Ok(Self { entries })
    }

    /// Every kernel that an entry starts, as a path of the guest.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().flat_map(|entry| &entry.kernels).map(String::as_str)
    }

    /// Every boot archive that an entry gives to its kernel, each once, in the menu's order.
    pub fn archives(&self) -> Vec<&str> {
        let mut out: Vec<&str> = Vec::new();
        for archive in self.entries.iter().flat_map(|entry| &entry.archives) {
            if !out.contains(&archive.as_str()) {
                out.push(archive);
            }
        }
        out
    }

    /// The boot archive that goes with a kernel: the last, as microcode comes before it.
    pub fn archive_of(&self, kernel: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.kernels.iter().any(|own| own == kernel))?;
        entry.archives.last().map(String::as_str)
    }

    /// A finding for each entry that starts what is not there: of severity `block` when it is a kernel, and the entry is the default, or no
    /// other is left.
    pub fn findings(&self) -> Vec<Finding> {
        let mut starting = self.entries.iter().filter(|entry| !entry.kernels.is_empty() || !entry.missing.is_empty());
        let nothing_left = starting.all(|entry| !entry.missing.is_empty());
        self.entries.iter().filter_map(|entry| entry.finding(nothing_left)).collect()
    }

    /// A menu of these kernels and their archives.
    #[cfg(test)]
    pub fn of(entries: &[(&str, &[&str])]) -> Self {
        let entry = |(kernel, archives): &(&str, &[&str])| Entry {
            kernels: vec![(*kernel).to_owned()],
            archives: archives.iter().map(|path| (*path).to_owned()).collect(),
            ..Entry::default()
        };
        Self { entries: entries.iter().map(entry).collect() }
    }
}

impl Entry {
    fn finding(&self, nothing_left: bool) -> Option<Finding> {
        let missing: Vec<&str> = self.missing.iter().chain(&self.missing_archives).map(String::as_str).collect();
        if missing.is_empty() {
            return None;
        }
        let blocks = !self.missing.is_empty() && (self.is_default || nothing_left);
        let severity = if blocks { Severity::Block } else { Severity::Warn };
        let of = if self.title.is_empty() { String::new() } else { format!(" of its entry \"{}\"", self.title) };
        let message = format!("{} starts {}{of}, which is not there", self.file, missing.join(" and "));
        let hint = "give all disks of the VM; where it is really gone, regenerate the boot loader's menu in the guest and migrate again";
        Some(Finding::new("menu-entry-broken", severity, message).hint(hint))
    }
}

struct Reader<'a> {
    mounts: &'a [MountInfo],
    guest: &'a dyn Guest,
}

impl Reader<'_> {
    fn text(&self, path: &str) -> Result<Option<String>> {
        Ok(TextFile::read(self.guest, path, &mut Vec::new())?.map(|file| file.text))
    }

    /// Puts a path that an entry names where it belongs.
    fn take(&self, path: &str, found: &mut Vec<String>, missing: &mut Vec<String>) -> Result<()> {
        match place(path, self.mounts, self.guest)? {
            Some(there) => found.push(there),
            None => missing.push(path.to_owned()),
        }
        Ok(())
    }

    fn grub(&self, config: &str) -> Result<Vec<Entry>> {
        let mut out = Vec::new();
        let mut left = vec![config.to_owned()];
        let mut seen = BTreeSet::new();
        let mut default = Default::default();
        while let Some(path) = left.pop().filter(|_| seen.len() < MOST_FILES) {
            if !seen.insert(path.clone()) {
                continue;
            }
            let Some(text) = self.text(&path)? else { continue };
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for along in sourced(&text, folder) {
                left.extend(place(&along, self.mounts, self.guest)?);
            }
            if path == config {
                default = self.default_of(&text, folder)?;
            }
            let commands = read(&text);
            let mut has_entries = false;
            visit(&commands, &mut |command| has_entries |= command.name() == "blscfg");
            if has_entries {
                self.specification(&default, &mut out)?;
            }
            for entry in MenuEntry::all(&text) {
                out.extend(self.grub_entry(entry, &path, &default)?);
            }
        }
        Ok(out)
    }

    /// An entry of GRUB; `None` when it is for another system's filesystem.
    fn grub_entry(&self, entry: MenuEntry, file: &str, default: &GrubDefault) -> Result<Option<Entry>> {
        let uuids: Vec<&str> = self.mounts.iter().filter_map(|mount| mount.uuid.as_deref()).collect();
        let is_own = |uuid: &String| uuids.is_empty() || uuids.iter().any(|own| own.eq_ignore_ascii_case(uuid));
        if !entry.root_uuid.as_ref().is_none_or(is_own) {
            return Ok(None);
        }
        let is_default = default.means(&entry);
        let mut out = Entry { title: entry.title, file: file.to_owned(), is_default, ..Entry::default() };
        for kernel in entry.kernels.iter().flatten() {
            self.take(kernel, &mut out.kernels, &mut out.missing)?;
        }
        for archive in entry.initrds.iter().flatten() {
            self.take(archive, &mut out.archives, &mut out.missing_archives)?;
        }
        Ok(Some(out))
    }

    fn default_of(&self, text: &str, folder: &str) -> Result<GrubDefault> {
        let commands = read(text);
        let mut last = None;
        visit(&commands, &mut |command| {
            if let Some((_, word)) = crate::grub::assignment(command).filter(|(name, _)| name == "default") {
                last = Constants::default()
                    .value(word)
                    .and_then(|word| Some(word.split_once('=')?.1.to_owned()))
                    .or(last.take());
            }
        });
        if let Some(word) = last.filter(|word| !word.is_empty()) {
            return Ok(GrubDefault(Some(word)));
        }
        let environment = self.text(&format!("{folder}/grubenv"))?.unwrap_or_default();
        let saved =
            environment.lines().find_map(|line| line.strip_prefix("saved_entry=")).filter(|entry| !entry.is_empty());
        Ok(GrubDefault(saved.map(str::to_owned)))
    }

    /// Boot Loader Specification entries, the newest first as GRUB shows them. What stands behind a variable is not known.
    fn specification(&self, default: &GrubDefault, out: &mut Vec<Entry>) -> Result<()> {
        let entries = self.guest.list(ENTRIES)?.into_iter().flatten();
        let mut names: Vec<String> =
            entries.filter(|entry| entry.kind == FileKind::File).map(|entry| entry.name).collect();
        names.retain(|name| name.ends_with(".conf"));
        names.sort_by(|a, b| crate::kernel_version::compare(b, a));
        for name in names {
            let file = format!("{ENTRIES}/{name}");
            let id = name.trim_end_matches(".conf");
            let Some(text) = self.text(&file)? else { continue };
            let mut entry = Entry { is_default: default.0.as_deref() == Some(id), file, ..Entry::default() };
            for (key, value) in text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace)) {
                let paths = value.split_whitespace().filter(|path| !path.contains('$'));
                for path in paths {
                    match key {
                        "linux" => self.take(path, &mut entry.kernels, &mut entry.missing)?,
                        "initrd" => self.take(path, &mut entry.archives, &mut entry.missing_archives)?,
                        _ => {}
                    }
                }
            }
            out.push(entry);
        }
        Ok(())
    }

    /// Menus whose lines are a key and values: GRUB legacy, SYSLINUX and EXTLINUX. The entry that `default` names, by its number or its word.
    fn by_lines(
        &self,
        config: &str,
        begins: &str,
        is_kernel: fn(&str) -> bool,
        is_archive: fn(&str) -> bool,
    ) -> Result<Vec<Entry>> {
        let Some(text) = self.text(config)? else { return Ok(Vec::new()) };
        let mut out: Vec<Entry> = Vec::new();
        let mut default = None;
        for line in text.lines().map(str::trim) {
            let Some((key, value)) = line.split_once(|letter: char| letter.is_whitespace() || letter == '=') else {
                continue;
            };
            let (key, value) = (key.to_ascii_lowercase(), value.trim());
            if key == begins {
                out.push(Entry { title: value.to_owned(), file: config.to_owned(), ..Entry::default() });
            } else if key == "default" && out.is_empty() {
                default = Some(value.to_owned());
            }
            let Some(entry) = out.last_mut() else { continue };
            // Paths of SYSLINUX that begin elsewhere are relative to its own folder.
            let folder = config.rsplit_once('/').map_or("", |(folder, _)| folder);
            let whole =
                |path: &str| if path.starts_with(['/', '(']) { path.to_owned() } else { format!("{folder}/{path}") };
            let mut words = value.split_whitespace().filter(|word| !word.starts_with("--"));
            let paths: Vec<String> = match () {
                () if is_kernel(&key) => words.next().map(whole).into_iter().collect(),
                () if is_archive(&key) => value.split([',', ' ']).filter(|path| !path.is_empty()).map(whole).collect(),
                () if key == "append" => words
                    .filter_map(|word| word.strip_prefix("initrd="))
                    .flat_map(|list| list.split(','))
                    .map(whole)
                    .collect(),
                () => continue,
            };
            for path in paths {
                let (found, missing) = match is_kernel(&key) {
                    true => (&mut entry.kernels, &mut entry.missing),
                    false => (&mut entry.archives, &mut entry.missing_archives),
                };
                self.take(&path, found, missing)?;
            }
        }
        let named = default.as_deref();
        let number = named.and_then(|word| word.parse::<usize>().ok()).or_else(|| named.is_none().then_some(0));
        for (at, entry) in out.iter_mut().enumerate() {
            entry.is_default = number == Some(at) || named == Some(entry.title.as_str());
        }
        Ok(out)
    }
}

/// What GRUB's `default` says: a number, a title or an identifier, and those of submenus before it behind `>`; nothing: the first entry.
#[derive(Default)]
struct GrubDefault(Option<String>);

impl GrubDefault {
    fn means(&self, entry: &MenuEntry) -> bool {
        let Some(word) = self.0.as_deref() else { return entry.place.iter().all(|number| *number == 0) };
        let place = entry.place.iter().map(ToString::to_string).collect::<Vec<_>>().join(">");
        let last = word.rsplit('>').next().unwrap_or(word);
        place == word || (!last.is_empty() && (last == entry.title || last == entry.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::MapGuest;

    /// The findings of a menu in a guest with `/boot/good` and `/boot/archive`.
    fn found(loader: &str, config: &str, more: &[(&str, &str)]) -> Vec<(Severity, String)> {
        let mut files = vec![("/boot/good", "x"), ("/boot/archive", "x")];
        files.extend(more);
        let root = MountInfo::new("/dev/sda1".to_owned(), "/".to_owned(), "ext4".to_owned())
            .with(|it| it.uuid = Some("1-2".to_owned()));
        let menu = Menu::read(Some(loader), Some(config), &[root], &MapGuest::new(&files)).unwrap();
        menu.findings().into_iter().map(|finding| (finding.severity, finding.message)).collect()
    }

    const GRUB: &str = "/boot/grub/grub.cfg";
    const GOOD: &str =
        "menuentry 'Good' { search --fs-uuid --set=root 1-2\n linux /boot/good root=x\n initrd /archive }\n";
    const BAD: &str = "menuentry 'Bad' --id bad { linux /boot/gone root=x\n initrd /archive }\n";

    #[test]
    fn an_entry_whose_kernel_is_missing_blocks_when_it_is_the_one_that_starts() {
        let message = "/boot/grub/grub.cfg starts /boot/gone of its entry \"Bad\", which is not there".to_owned();
        let warn = [(Severity::Warn, message.clone())];
        let block = [(Severity::Block, message)];
        for (text, want) in [
            (GOOD.to_owned(), &[][..]),
            (format!("{GOOD}{BAD}"), &warn),
            (format!("{BAD}{GOOD}"), &block),
            (BAD.to_owned(), &block),
            (format!("set default=1\n{GOOD}{BAD}"), &block),
            (format!("set default=bad\n{GOOD}{BAD}"), &block),
            (format!("set default=\"${{next_entry}}\"\nset default=\"1\"\n{BAD}{GOOD}"), &warn),
            (format!("set default=\"1>0\"\n{GOOD}submenu x {{\n{BAD} }}"), &block),
            // Another system's, and what is not known.
            (format!("{GOOD}menuentry x {{ search --fs-uuid --set=root 3-4\n linux /gone }}"), &[]),
            (format!("menuentry x {{ linux $what }}\n{GOOD}"), &[]),
            (format!("menuentry x {{ chainloader +1 }}\n{GOOD}"), &[]),
            ("set timeout=1\n".to_owned(), &[]),
        ] {
            assert_eq!(found("grub2", GRUB, &[(GRUB, &text)]), want, "{text}");
        }
        let saved = format!("set default=\"${{saved_entry}}\"\n{GOOD}{BAD}");
        let environment = "# GRUB Environment Block\nsaved_entry=bad\n####";
        assert_eq!(found("grub2", GRUB, &[(GRUB, &saved), ("/boot/grub/grubenv", environment)]), block);
    }

    #[test]
    fn other_menus() {
        for (loader, path, text, want) in [
            (
                "grub-legacy",
                "/boot/grub/menu.lst",
                "default 1\ntitle a\n root (hd0,0)\n kernel /good root=x\n initrd /archive\ntitle b\n kernel (hd0,0)/gone\n",
                Some(Severity::Block),
            ),
            (
                "grub-legacy",
                "/boot/grub/menu.lst",
                "default=0\ntitle a\n kernel /good\ntitle b\n kernel /gone\n",
                Some(Severity::Warn),
            ),
            (
                "extlinux",
                "/boot/extlinux.conf",
                "DEFAULT lts\nLABEL lts\n  LINUX good\n  INITRD archive\n  APPEND root=x\n",
                None,
            ),
            (
                "extlinux",
                "/boot/extlinux.conf",
                "DEFAULT lts\nLABEL lts\n  KERNEL /good\n  APPEND initrd=archive,gone root=x\n",
                Some(Severity::Warn),
            ),
            ("grub2", "/boot/grub2/grub.cfg", "blscfg\n", Some(Severity::Warn)),
            ("lilo", "/etc/lilo.conf", "image=/gone\n", None),
        ] {
            let entries = [
                ("/boot/loader/entries/a-1.conf", "title a\nlinux /good\ninitrd /archive $tuned_initrd\n"),
                ("/boot/loader/entries/a-2.conf", "title b\nlinux /gone\n"),
                (path, text),
            ];
            let findings = found(loader, path, &entries);
            assert_eq!(findings.iter().map(|(severity, _)| *severity).next(), want, "{text}");
            assert!(findings.iter().all(|(_, message)| message.contains("gone")));
        }
    }
}
