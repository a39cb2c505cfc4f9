//! `Settings`: every setting there is, with its value after all layers.
//!
//! A setting is added here and nowhere else: its line of documentation, its type, what values it takes and, where it has one, its option on the
//! command line. Whether it is read is the pipeline's affair.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use vmdk2kvm_plugin_api::model::{CardModel, CardNetwork, Chipset, Clock, DiskBus, Firmware, TestExpectation, Video};

use super::command::Command::{
    Apply, Convert, Cutover, Define, Fix, Flatten, Inspect, Inventory, LiveFix, Migrate, Plan, Render, Test,
};
use super::command::{Command, SKIPPABLE};
use super::disk_out::DiskOut;
use super::option::{Flag, Kind, options};
use super::resize::Resize;
use super::values::{ContainmentMode, GuestReader, KeySource, SecretSource, TargetFormat};
use crate::events::{LogLevel, Stage};

/// The commands that read a source.
const READ: &[Command] = &[Migrate, Inventory, Inspect, Plan, Flatten];
/// Those that read its disks.
const READ_DISKS: &[Command] = &[Migrate, Inspect, Plan, Apply, Flatten];
/// Those that look into the guest.
const LOOK_INSIDE: &[Command] = &[Migrate, Inspect, Plan, Apply, Fix, Cutover];
/// Those that may have to change something at it.
const READ_RUNNING: &[Command] = &[Migrate, Inspect, Plan, Apply, Flatten, Cutover];
/// Those that leave images.
const MAKE_IMAGES: &[Command] = &[Migrate, Apply, Flatten, Fix, Convert];
/// Those whose images get a format.
const GIVE_FORMAT: &[Command] = &[Migrate, Apply, Flatten, Fix, Convert, Cutover];
/// Those that make a machine from a source.
const MAKE_FROM_SOURCE: &[Command] = &[Migrate, Apply];
/// Those that make a machine.
const MAKE_MACHINES: &[Command] = &[Migrate, Apply, Cutover];

options! {
    /// Every setting. What has no value has no default that could be named without knowing the source.
    Settings {
        /// What is read, and what may be changed at it.
        source: SourceOptions, Kind::Section(SourceOptions::KEYS);
        /// Folder for the result; created if missing
        output: Option<PathBuf>, Kind::Path, Flag::new("output", "DIR").short('o').of(MAKE_IMAGES);
        /// Name of the new virtual machine and of its files
        name: Option<String>, Kind::Text, Flag::new("name", "NAME").of(MAKE_IMAGES);
        /// Format of the images [default: qcow2]
        format: TargetFormat, Kind::Word(formats), Flag::new("format", "FORMAT").of(GIVE_FORMAT);
        /// Compress the images where the format can
        compress: bool, Kind::Flag, Flag::new("compress", "").of(GIVE_FORMAT);
        /// Grow a disk by SIZE (1=+20G) or to SIZE (1=40G); the root filesystem grows too where that is safe; repeatable
        resize: Vec<Resize>, Kind::Resizes, Flag::new("resize", "DISK=SIZE").of(&[Migrate, Plan, Flatten]);
        /// Write a disk onto a block device (1=/dev/vg/web), raw, instead of into a file; repeatable
        disk_out: Vec<DiskOut>, Kind::DiskOuts, Flag::new("disk-out", "DISK=DEVICE").of(MAKE_IMAGES);
        /// Allow --disk-out to overwrite a device that is not empty
        overwrite: bool, Kind::Flag, Flag::new("overwrite", "").of(MAKE_IMAGES);
        /// Do STAGE and the stages behind it again, even if a former run finished them
        from: Option<Stage>, Kind::Word(stages), Flag::new("from", "STAGE").of(MAKE_FROM_SOURCE);
        /// Stop after STAGE
        until: Stage = Stage::Test, Kind::Word(stages), Flag::new("until", "STAGE").of(MAKE_FROM_SOURCE);
        /// Leave STAGE out: fix (the guest is moved as it is, even if its plan is blocked) or test; repeatable
        skip: Vec<Stage>, Kind::Words(skippable), Flag::new("skip", "STAGE").of(MAKE_MACHINES);
        /// Keep the work folder after success
        keep_work: bool, Kind::Flag, Flag::new("keep-work", "").of(MAKE_MACHINES);
        /// Keep unfinished work in DIR [default: .vmdk2kvm-work in the output folder]
        work_dir: Option<PathBuf>, Kind::Path, Flag::new("work-dir", "DIR");
        /// Open the encrypted volume SELECTOR (a UUID, a device, or `all`) with the key in a file; repeatable
        keys: Vec<KeySource>, Kind::Keys, Flag::new("key", "SELECTOR:file:PATH").of(LOOK_INSIDE);
        /// Where secrets are, by the names under which plugins ask for them: a file, a variable, a credential
        secrets: BTreeMap<String, SecretSource>, Kind::Secrets;
        /// Root filesystem to migrate when the disks hold several systems: a device from `inspect`, UUID=... or LABEL=...
        root: Option<String>, Kind::Text, Flag::new("root", "DEVICE").of(LOOK_INSIDE);
        /// Looking into the guest.
        inspect: InspectOptions, Kind::Section(InspectOptions::KEYS);
        /// The boot test.
        test: TestOptions, Kind::Section(TestOptions::KEYS);
        /// A migration in rounds while the machine runs.
        warm: WarmOptions, Kind::Section(WarmOptions::KEYS);
        /// Which plugins do what. A stage without a name takes the plugin that suits the input best.
        plugins: PluginOptions, Kind::Section(PluginOptions::KEYS);
        /// Each plugin's own settings: see `vmdk2kvm plugin show NAME`
        plugin: BTreeMap<String, Value>, Kind::Tables("plugin");
        /// Write the machine's definition for the target NAME of an installed plugin; repeatable [default: the preferred one]
        targets: Vec<String>, Kind::Texts, Flag::new("target", "NAME").of(&[Migrate, Apply, Cutover, Render, Define]);
        /// Each target's own options
        target: BTreeMap<String, Value>, Kind::Tables("target");
        /// Defining a result at its target.
        define: DefineOptions, Kind::Section(DefineOptions::KEYS);
        /// The new machine. What is not said is decided from the guest.
        machine: MachineOptions, Kind::Section(MachineOptions::KEYS);
        /// Whether and how the worker is shut in.
        containment: ContainmentOptions, Kind::Section(ContainmentOptions::KEYS);
        /// What is logged.
        log: LogOptions, Kind::Section(LogOptions::KEYS);
    }
}

options! {
    /// What is read, and what may be changed at it.
    SourceOptions {
        /// The source, as SOURCE on the command line
        uri: Option<String>, Kind::Uri;
        /// A further disk of the same virtual machine; repeatable, in order
        disks: Vec<String>, Kind::Uris, Flag::new("disk", "PATH").of(READ);
        /// Virtual machine to take when the source has several
        vm: Option<String>, Kind::Text, Flag::new("vm", "NAME").of(READ);
        /// Allow a snapshot at the source; it is removed after reading
        snapshot: bool, Kind::Flag, Flag::new("snapshot", "").of(READ_DISKS);
        /// Allow change tracking to be turned on at the source
        enable_cbt: bool, Kind::Flag, Flag::new("enable-cbt", "").of(READ_DISKS);
        /// Allow the virtual machine to be shut down at the source
        power_off: bool, Kind::Flag, Flag::new("power-off", "").of(READ_RUNNING);
        /// Allow a guest to be changed while it runs
        live: bool, Kind::Flag, Flag::new("live", "").of(&[LiveFix]);
    }
}

options! {
    /// Looking into the guest.
    InspectOptions {
        /// Reader of guests for `inspect` and `plan`: `native` reads the disks' flat views in a moment, `appliance` starts an appliance; `auto`: the first, and the second when that cannot; `migrate` then starts no appliance for a guest that needs no change, gets none, or cannot be moved
        reader: GuestReader, Kind::Word(|| vec!["auto", "native", "appliance"]);
    }
}

options! {
    /// The boot test.
    TestOptions {
        /// Tester for the boot test: NAME for the plugin NAME or NAME-test; `none` leaves the test out [default: by preference]
        plugin: Option<String>, Kind::Text, Flag::new("test", "TESTER").of(&[Migrate, Apply, Cutover, Test]);
        /// Longest time for the boot test, in seconds
        // Ten times what a guest takes on a busy machine without hardware virtualisation.
        timeout_seconds: u64 = 600, Kind::Number(1, 86_400);
        /// An sshd must answer at this address of the guest
        ssh_address: Option<String>, Kind::Text;
        /// Port of that sshd
        ssh_port: Option<u16>, Kind::Number(1, 65_535);
        /// Most guests that boot at once on this machine, counted over all runs; others wait
        at_once: Option<u32>, Kind::Number(1, 1000);
        /// Try a guest that does not come up, or of which nothing is proven, once more on a lesser machine, and deliver that
        fallback: bool, Kind::Flag;
    }
}

impl TestOptions {
    /// What must be seen beyond a login prompt.
    pub fn expectation(&self) -> TestExpectation {
        TestExpectation::default().with(|expect| {
            expect.ssh_address.clone_from(&self.ssh_address);
            expect.ssh_port = self.ssh_port;
        })
    }
}

options! {
    /// A migration in rounds while the machine runs. A run ends with a round that is small, or after so many; then `cutover` ends the migration.
    WarmOptions {
        /// Copy the disks in rounds while the machine runs, each from a snapshot that is removed afterwards; `cutover` finishes; implies --snapshot and --enable-cbt
        enabled: bool, Kind::Flag, Flag::new("warm", "").of(&[Migrate]);
        /// Rounds in one run at most, the first with all of the disks counted
        rounds: u32 = 10, Kind::Number(1, 1000);
        /// A later round that moves less than this many MiB is small, and the last of its run
        small_mib: u64 = 256, Kind::Number(0, 1 << 30);
        /// So is one that takes less than this many seconds [default: only the bytes count]
        small_seconds: Option<u64>, Kind::Number(1, 86_400);
        /// Seconds that the guest may take to shut down
        shutdown_seconds: u64 = 300, Kind::Number(1, 86_400);
    }
}

options! {
    /// Which plugins do what. A stage without a name takes the plugin that suits the input best.
    PluginOptions {
        /// The plugin for FETCH
        fetcher: Option<String>, Kind::Text;
        /// Read the disks by this plugin, whatever describes the machine [default: the best way that a plugin carries]
        transport: Option<String>, Kind::Text, Flag::new("transport", "NAME").of(READ_RUNNING);
        /// The plugin for FLATTEN
        flattener: Option<String>, Kind::Text;
        /// The plugin for INSPECT
        inspector: Option<String>, Kind::Text;
        /// The plugin for CONVERT
        converter: Option<String>, Kind::Text;
        /// Plugins that are not used, whatever they offer
        disabled: Vec<String>, Kind::Texts;
        /// Search DIR for plugins before the usual folders; repeatable
        dirs: Vec<PathBuf>, Kind::Paths, Flag::new("plugin-dir", "DIR");
    }
}

options! {
    /// Defining a result at its target.
    DefineOptions {
        /// Where the target is, as its plugin takes it [default: its usual place]
        connect: Option<String>, Kind::Text, Flag::new("connect", "URI").of(&[Define]);
        /// Copy the images into the target's pool NAME [default: they stay where they are]
        pool: Option<String>, Kind::Text, Flag::new("pool", "NAME").of(&[Define]);
        /// Replace a machine that this program defined there; machines of others are never replaced
        replace: bool, Kind::Flag, Flag::new("replace", "").of(&[Define]);
    }
}

options! {
    /// The new machine. What is not said is decided from the guest.
    MachineOptions {
        /// Networks of the new host by the names of the old ones; `*` for all others
        networks: BTreeMap<String, CardNetwork>, Kind::Networks, Flag::new("network", "OLD=NEW").of(&[Define]);
        /// Bus of all disks; else the best that the guest drives
        disk_bus: Option<DiskBus>, Kind::Word(|| vec!["virtio", "virtio-scsi", "sata", "ide"]);
        /// The disk that is booted from, counted from 1
        boot_disk: Option<u32>, Kind::Number(1, 1000);
        /// Model of all network cards; else the best that the guest drives
        card: Option<CardModel>, Kind::Word(|| vec!["virtio", "e1000e", "e1000", "rtl8139"]);
        /// Family of boards
        chipset: Option<Chipset>, Kind::Word(|| vec!["q35", "pc"]);
        /// Boot firmware; else what the disks are made for
        firmware: Option<Firmware>, Kind::Word(|| vec!["bios", "uefi"]);
        /// Secure Boot; else as it was
        secure_boot: Option<bool>, Kind::Flag;
        /// A TPM 2.0; else as it was, or as the guest wants it
        tpm: Option<bool>, Kind::Flag;
        /// Processors; else as many as before
        cpus: Option<u32>, Kind::Number(1, 4096);
        /// Cores of each socket; else as before
        cores_per_socket: Option<u32>, Kind::Number(1, 4096);
        /// Memory in MiB; else as much as before
        memory_mib: Option<u64>, Kind::Number(1, 1 << 30);
        /// The time that the hardware clock shows; else as the guest wants it
        clock: Option<Clock>, Kind::Word(|| vec!["utc", "local"]);
        /// Graphics card; else the best that the guest drives
        video: Option<Video>, Kind::Word(|| vec!["virtio", "vga"]);
        /// Interfaces by which some guests run better; else as the guest wants it
        enlightenments: Option<bool>, Kind::Flag;
        /// A serial console; there is one unless told
        serial_console: Option<bool>, Kind::Flag;
        /// Agent channel, random numbers, balloon; else where the guest drives them
        paravirtual: Option<bool>, Kind::Flag;
    }
}

options! {
    /// Whether and how the worker is shut in.
    ContainmentOptions {
        /// Shut plugins and their tools in with Landlock; `auto`: where the kernel can
        mode: ContainmentMode, Kind::Word(|| vec!["auto", "off", "required"]);
        /// Further folders that plugins and their tools may read and write
        folders: Vec<PathBuf>, Kind::Paths;
    }
}

options! {
    /// What is logged.
    LogOptions {
        /// Log nothing less important than LEVEL [default: warn]
        level: LogLevel = LogLevel::Warn, Kind::Word(levels), Flag::new("log-level", "LEVEL");
    }
}

fn formats() -> Vec<&'static str> {
    TargetFormat::ALL.map(TargetFormat::as_str).to_vec()
}

fn stages() -> Vec<&'static str> {
    Stage::ALL.map(Stage::as_str).to_vec()
}

fn skippable() -> Vec<&'static str> {
    SKIPPABLE.map(Stage::as_str).to_vec()
}

fn levels() -> Vec<&'static str> {
    (0..=5).map(|number| LogLevel::from_number(number).as_str()).collect()
}

impl Settings {
    /// As one document with secrets masked.
    pub fn masked(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        super::secret::mask(&mut value);
        value
    }

    /// As TOML for people, secrets masked, settings without a value left out.
    pub fn masked_toml(&self) -> String {
        let mut value = self.masked();
        drop_empty(&mut value);
        toml::to_string(&value).unwrap_or_default()
    }
}

/// TOML has no null; an empty section says nothing.
fn drop_empty(value: &mut Value) {
    if let Value::Object(members) = value {
        members.values_mut().for_each(drop_empty);
        members.retain(|_, member| !member.is_null() && !member.as_object().is_some_and(serde_json::Map::is_empty));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_unique_among_those_of_its_command() {
        let keys = crate::config::option::paths(Settings::KEYS);
        let flags: Vec<_> = keys.iter().filter_map(|(_, key)| key.flag).collect();
        for command in Command::ALL {
            let here = flags.iter().filter(|flag| flag.commands.is_none_or(|commands| commands.contains(&command)));
            let mut longs: Vec<_> = here.map(|flag| flag.long).collect();
            longs.sort_unstable();
            assert!(longs.windows(2).all(|pair| pair[0] != pair[1]), "{}: {longs:?}", command.as_str());
        }
    }

    #[test]
    fn what_is_shown_is_toml_without_secrets() {
        let mut settings = Settings::default();
        settings.source.uri = Some("vsphere://root:hunter2@vc/dc/web".into());
        settings.plugin.insert("vsphere".into(), serde_json::json!({"password": "hunter2", "insecure": false}));
        assert_eq!(
            settings.masked_toml(),
            r#"compress = false
disk_out = []
format = "qcow2"
keep_work = false
keys = []
overwrite = false
resize = []
skip = []
targets = []
until = "test"

[containment]
folders = []
mode = "auto"

[define]
replace = false

[inspect]
reader = "auto"

[log]
level = "warn"

[plugin.vsphere]
insecure = false
password = "********"

[plugins]
dirs = []
disabled = []

[source]
disks = []
enable_cbt = false
live = false
power_off = false
snapshot = false
uri = "vsphere://root:********@vc/dc/web"

[test]
fallback = false
timeout_seconds = 600

[warm]
enabled = false
rounds = 10
shutdown_seconds = 300
small_mib = 256
"#
        );
    }
}
