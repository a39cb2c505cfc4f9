//! What `vim-cmd` prints, as far as it is needed. Its output is for people: what it says of a VM is held against what stands in its files, and text that a
//! VM's owner wrote (names, notes) may look like anything.

use vmdk2kvm_plugin_api::model::PowerState;

use super::place::Place;

/// The longest answer that is read, in bytes: a host has at most 1024 VMs, and a configuration some 100 KiB.
pub const LONGEST: u64 = 8 << 20;
/// The most VMs of a host.
const MOST: usize = 4096;

/// A line of `vmsvc/getallvms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The host's number for the VM.
    pub id: u32,
    /// The whole line, or the lines that begin with the number: name, file and notes are not told apart by it.
    pub text: String,
}

/// The lines of `vmsvc/getallvms` that can be VMs. Notes of several lines go on below their VM's: a line that only looks like a VM has a number that the
/// host does not know, or that is another VM's.
pub fn rows(output: &str) -> Vec<Row> {
    let mut found: Vec<Row> = Vec::new();
    for line in output.lines() {
        let line = line.trim_start();
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = line.split_at(digits);
        let is_one = rest.starts_with(' ') && rest.contains("] ") && rest.to_ascii_lowercase().contains(".vmx");
        let Some(id) = number.parse().ok().filter(|_| is_one) else { continue };
        let room = found.len() < MOST;
        match found.iter_mut().find(|row| row.id == id) {
            // Notes may look like a VM that comes later: which line is its own is not known.
            Some(row) => {
                row.text.push('\n');
                row.text.push_str(line);
            }
            None if room => found.push(Row { id, text: line.to_owned() }),
            None => {}
        }
    }
    found
}

/// What is used of `vmsvc/get.config`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Config {
    /// The VM's name.
    pub name: String,
    /// `[DATASTORE] FOLDER/VM.vmx`.
    pub vmx: String,
    /// Names of datastores and the paths that they are mounted at.
    pub datastores: Vec<(String, String)>,
    /// Whether changed blocks are tracked.
    pub tracking: Option<bool>,
}

impl Config {
    /// Reads an answer: of each member the first, which is the host's own: what notes pretend comes behind the name.
    pub fn parse(output: &str) -> Self {
        let mut found = Self::default();
        for (path, value) in members(output) {
            let set = |to: &mut String| {
                if to.is_empty() {
                    *to = value.to_owned();
                }
            };
            match path.as_str() {
                "name" => set(&mut found.name),
                "files.vmPathName" => set(&mut found.vmx),
                "changeTrackingEnabled" => found.tracking = found.tracking.or(value.parse().ok()),
                "datastoreUrl.name" => found.datastores.push((value.to_owned(), String::new())),
                "datastoreUrl.url" => {
                    if let Some((_, url)) = found.datastores.last_mut() {
                        value.clone_into(url);
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Every path of the VMX: by its datastore's name, and by the datastore's id.
    pub fn places(&self) -> Vec<Place> {
        let Some(place) = Place::of_datastore(&self.vmx) else { return Vec::new() };
        let id = |url: &str| url.trim_end_matches('/').rsplit('/').next().and_then(|id| place.on(id));
        let named = self.datastores.iter().filter(|(name, _)| name == place.datastore());
        let others: Vec<Place> = named.filter_map(|(_, url)| id(url)).collect();
        std::iter::once(place.clone()).chain(others).collect()
    }
}

/// The members of an object as it is printed, with the names of those around them; members of lists have the list's.
fn members(output: &str) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    let mut around: Vec<&str> = Vec::new();
    let mut in_text = false;
    for line in output.lines().map(str::trim) {
        let ends_text = line.ends_with('"') || line.ends_with("\",");
        if in_text {
            in_text = !ends_text;
            continue;
        }
        if matches!(line.trim_end_matches(','), "}" | "]") {
            around.pop();
            continue;
        }
        let (name, value) = line.split_once(" = ").unwrap_or(("", line));
        if value.ends_with('{') || value.ends_with('[') {
            around.push(name);
        } else if let Some(text) = value.strip_prefix('"') {
            let whole = text.strip_suffix("\",").or_else(|| text.strip_suffix('"'));
            in_text = whole.is_none();
            if let Some(text) = whole {
                found.push((path(&around, name), text));
            }
        } else if !name.is_empty() {
            found.push((path(&around, name), value.trim_end_matches(',')));
        }
    }
    found
}

fn path(around: &[&str], name: &str) -> String {
    let names = around.iter().copied().chain([name]).filter(|part| !part.is_empty());
    names.collect::<Vec<_>>().join(".")
}

/// What `vmsvc/power.getstate` says.
pub fn power(output: &str) -> PowerState {
    let is = |word: &str| output.lines().any(|line| line.trim().eq_ignore_ascii_case(word));
    match () {
        () if is("Powered on") => PowerState::On,
        () if is("Powered off") => PowerState::Off,
        () if is("Suspended") => PowerState::Suspended,
        () => PowerState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_cannot_be_vms_are_passed_over() {
        let output = "Vmid   Name     File                      Guest OS          Version   Annotation\n\
            1      web 1    [ds 1] web 1/web 1.vmx    debian12_64Guest  vmx-19    by hand\n\
            7 of them: [ds] x.vmx\n\
            12     db       [ds] db/db.vmx            otherGuest        vmx-14\n\
            1      fake     [ds] fake/fake.vmx        otherGuest        vmx-14\n\
            Skipping invalid VM '3'\n";
        let found: Vec<u32> = rows(output).iter().map(|row| row.id).collect();
        assert_eq!(found, [1, 7, 12]);
        let first = &rows(output)[0].text;
        assert!(first.contains("[ds 1] web 1/web 1.vmx") && first.contains("[ds] fake/fake.vmx"), "{first}");
        assert!(rows("99999999999999999999 x [ds] a.vmx\n").is_empty());
    }

    #[test]
    fn a_configuration_is_read_and_notes_are_not() {
        let output = r#"Configuration:

(vim.vm.ConfigInfo) {
   changeVersion = "2026-01-01",
   name = "web "1"",
   guestFullName = <unset>,
   annotation = "first line
   name = "other",
   files = (vim.vm.FileInfo) {
      vmPathName = "[ds] evil/evil.vmx",
end",
   files = (vim.vm.FileInfo) {
      vmPathName = "[ds 1] web/web.vmx",
      snapshotDirectory = "[ds 1] web/"
   },
   cpuAffinity = (vim.vm.AffinityInfo) null,
   hardware = (vim.vm.VirtualHardware) {
      device = (vim.vm.device.VirtualDevice) [
         (vim.vm.device.VirtualDisk) {
            key = 2000,
            name = "not it"
         }
      ]
   },
   datastoreUrl = (vim.vm.ConfigInfo.DatastoreUrlPair) [
      (vim.vm.ConfigInfo.DatastoreUrlPair) {
         name = "other",
         url = "/vmfs/volumes/5e01"
      },
      (vim.vm.ConfigInfo.DatastoreUrlPair) {
         name = "ds 1",
         url = "/vmfs/volumes/5e00/"
      }
   ],
   changeTrackingEnabled = true,
}
"#;
        let config = Config::parse(output);
        assert_eq!(config.name, "web \"1\"");
        // The notes end a text early and pretend to be a file: that is held against the list of VMs, and refused.
        assert_eq!(config.vmx, "[ds] evil/evil.vmx");
        let honest = Config::parse(
            &output.replace("   files = (vim.vm.FileInfo) {\n      vmPathName = \"[ds] evil/evil.vmx\",\n", ""),
        );
        assert_eq!(honest.tracking, Some(true));
        let places: Vec<String> = honest.places().iter().map(|place| place.path().to_owned()).collect();
        assert_eq!(places, ["/vmfs/volumes/ds 1/web/web.vmx", "/vmfs/volumes/5e00/web/web.vmx"]);
        assert_eq!(Config::parse(""), Config::default());
    }

    #[test]
    fn power_states_are_read() {
        for (output, state) in [
            ("Retrieved runtime info\nPowered on\n", PowerState::On),
            ("Retrieved runtime info\nPowered off\n", PowerState::Off),
            ("Retrieved runtime info\nSuspended\n", PowerState::Suspended),
            ("", PowerState::Unknown),
        ] {
            assert_eq!(power(output), state);
        }
    }
}
