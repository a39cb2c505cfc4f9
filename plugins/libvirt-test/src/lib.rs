//! Boots the result as a transient domain of libvirt and looks for evidence.
//!
//! One call: a domain like the new machine (the library's `trial`) is started on the overlays at a daemon, or by a driver inside of this process
//! ([`embedded`]), and watched ([`running`]) until it is known whether its guest came up. Nothing of it outlives the test; should that go wrong,
//! the next test says so ([`leftover`]).

mod embedded;
mod leftover;
mod running;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use vmdk2kvm_boot_evidence::{Log, Watch, Watched, Windows, is_windows, save, windows_build};
use vmdk2kvm_kvm::{Accelerator, Choice};
use vmdk2kvm_libvirt::Connection;
use vmdk2kvm_libvirt::domain::{Hypervisor, opens};
use vmdk2kvm_libvirt::reach::{closed_folder, is_local_system, networks};
use vmdk2kvm_libvirt::trial::{PREFIX, Trial, trial_xml};
use vmdk2kvm_plugin_api::model::{TestRequest, Verdict};
use vmdk2kvm_plugin_api::{ErrorKind, Host, Plugin, PluginError, Result, Tester, tracing};

use leftover::Leftover;
use running::{Console, Machine};

/// Stands for a driver inside of this process, where a URI stands else.
const EMBED: &str = "embed";
/// qemu, for the probe of hardware acceleration; libvirt finds its own.
const QEMU: &str = "qemu-system-x86_64";

/// The plugin: its settings and the host.
#[derive(Clone)]
pub struct LibvirtTest {
    host: Host,
    settings: Settings,
}

/// The table `[plugin.libvirt-test]` of a job.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// The URI of a daemon of this machine, or `embed`.
    connect: String,
    /// The most memory a test's guest gets, in MiB.
    memory_mib: u64,
    /// The most processors it gets.
    cpus: u32,
    /// `auto`, `kvm`, `tcg`.
    accelerator: Choice,
}

impl Default for Settings {
    fn default() -> Self {
        Self { connect: "qemu:///system".to_owned(), memory_mib: 2048, cpus: 2, accelerator: Choice::Auto }
    }
}

impl Plugin for LibvirtTest {
    fn new(host: Host) -> Result<Self> {
        let settings: Settings = host.settings()?;
        if settings.memory_mib < 64 || settings.cpus == 0 {
            return Err(PluginError::config(
                "the plugin's settings: memory_mib must be 64 or more, and cpus 1 or more",
            ));
        }
        let is_remote = settings.connect.split_once("://").is_some_and(|(_, rest)| !rest.starts_with('/'));
        if is_remote {
            return Err(PluginError::config(
                "the plugin's settings: connect must name a daemon of this machine, where the images are",
            ));
        }
        Ok(Self { host, settings })
    }

    fn tester(&self) -> Option<Box<dyn Tester>> {
        Some(Box::new(self.clone()))
    }
}

impl Tester for LibvirtTest {
    fn test(&self, request: &TestRequest) -> Result<Verdict> {
        let begin = Instant::now();
        self.host.check_cancelled()?;
        check(request)?;
        Leftover::all().iter().for_each(|leftover| self.host.warn(leftover.warning()));
        let name = trial_name();
        let sockets = Path::new(&request.socket_dir);
        let is_daemon = self.settings.connect != EMBED;
        let uri = if is_daemon { self.settings.connect.clone() } else { embedded::uri(sockets)? };
        let connection = Connection::open(&uri)?;
        if is_daemon {
            // What the test itself does without, and the domain will need.
            networks(&connection, &request.machine).iter().for_each(|finding| self.host.warn(&finding.message));
        }
        let owner = (is_daemon && is_local_system(&uri)).then(own_numbers);
        if let Some((user, _)) = owner {
            reachable(request, user)?;
        }
        let console = Console::listen(sockets)?;
        let accelerator = self.accelerator(Path::new(&request.work_dir))?;
        let variables = Variables(Path::new(&request.work_dir).join(format!("{name}.fd")));
        let trial = Trial {
            uuid: random_uuid(),
            name,
            hypervisor: if accelerator == Accelerator::Kvm { Hypervisor::Kvm } else { Hypervisor::Tcg },
            memory_mib: self.settings.memory_mib,
            cpus: self.settings.cpus,
            console: console.path().to_string_lossy().into_owned(),
            variables: variables.0.to_string_lossy().into_owned(),
            owner,
        };
        let xml = trial_xml(&request.machine, &trial)?;
        let evidence = Path::new(&request.evidence_dir);
        let mut log = Log::create(evidence)?;
        self.host.check_cancelled()?;
        let machine = Machine::start(&connection, &xml, is_daemon)?;
        let mut running = machine.run(&console)?;
        let hostname = request.inspection.as_ref().map_or("", |inspection| inspection.os.hostname.as_str());
        let mut watch = Watch::new(&self.host, hostname, Duration::from_secs(request.timeout_seconds));
        if is_windows(request) {
            // Neither its agent nor its services can be asked through a daemon: it is judged by its screen.
            watch.windows = Some(Windows::new(None, Vec::new(), windows_build(request)));
        }
        let seen = watch.run(&mut running, &mut log)?;
        log.finish(seen.screen.as_deref());
        let picture = running.picture().and_then(|picture| save(&picture, evidence));
        let picture = picture.inspect_err(|error| tracing::warn!("no picture of the screen: {error}")).ok();
        Ok(seen.verdict("", picture).with(|it| {
            it.seconds = begin.elapsed().as_secs_f64();
            it.accelerator = accelerator.name().to_owned();
        }))
    }
}

impl LibvirtTest {
    fn accelerator(&self, folder: &Path) -> Result<Accelerator> {
        // libvirt offers KVM wherever there is a device of this name, and a guest that it starts there may abort.
        self.settings.accelerator.accelerator(Path::new(QEMU), folder, &|| self.host.cancelled())
    }
}

/// What no test of libvirt's can be asked.
fn check(request: &TestRequest) -> Result<()> {
    if request.expect.ssh_address.is_some() || request.expect.ssh_port.is_some() {
        let message = "an sshd is expected, but a test by libvirt has no network";
        return Err(PluginError::new(ErrorKind::Usage, message).hint("test with --test qemu, or expect no sshd"));
    }
    if request.machine.disks.is_empty() {
        return Err(PluginError::new(ErrorKind::Usage, "there is no image to boot"));
    }
    match request.machine.disks.iter().find(|disk| !opens(&disk.format)) {
        Some(disk) => Err(PluginError::unusable(format!("{}: libvirt opens no {} disks", disk.image, disk.format))),
        None => Ok(()),
    }
}

/// The machine's process is this user's, but has none of root's rights: what it cannot enter is said before libvirt says it.
fn reachable(request: &TestRequest, user: u32) -> Result<()> {
    let closed = request.machine.disks.iter().find_map(|disk| closed_folder(Path::new(&disk.image), Some(user)));
    match closed {
        Some(folder) => {
            let folder = folder.display();
            Err(PluginError::output(format!("{folder} is closed to the machine that libvirt's daemon starts"))
                .hint(format!("chmod o+x '{folder}', or test with --set plugin.libvirt-test.connect=embed")))
        }
        None => Ok(()),
    }
}

fn own_numbers() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// A name that no other domain has, and that says whose it is.
fn trial_name() -> String {
    format!("{PREFIX}{}-{:08x}", std::process::id(), random() as u32)
}

fn random_uuid() -> String {
    let (high, low) = (random(), random());
    // RFC 9562, version 4.
    let (high, low) = (high & !0xf000 | 0x4000, low & !(0xc << 60) | 0x8 << 60);
    let text = format!("{high:016x}{low:016x}");
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// Random enough to be nobody else's: the keys of the standard library's hash tables come from the kernel.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The file of a UEFI's variables, which libvirt makes. Dropped, it is gone.
struct Variables(PathBuf);

impl Drop for Variables {
    fn drop(&mut self) {
        // Not every machine has any, and it lies in the run's own folder.
        let _ = std::fs::remove_file(&self.0);
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: LibvirtTest,
    name: "libvirt-test",
    summary: "Boots the result as a domain of libvirt and looks for evidence",
    kinds: ["tester"],
    guests: [],
    capabilities: ["bios", "uefi", "secure-boot", "serial-console", "text-screen"],
    libraries: [("libvirt.so.0", "libvirt0", "libvirt-libs")],
    programs: [("qemu-system-x86_64", "qemu-system-x86", "qemu-system-x86-core")],
    settings: [
        ("connect", "string", "qemu:///system", "The URI of a daemon of this machine, or embed for a driver inside of the run"),
        ("memory_mib", "integer", "2048", "The most memory the guest gets, in MiB"),
        ("cpus", "integer", "2", "The most processors the guest gets"),
        ("accelerator", "string", "auto", "auto (kvm when a probe shows that it runs a guest), kvm or tcg"),
    ],
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vmdk2kvm_plugin_api::model::canonical_uuid;
    use vmdk2kvm_plugin_testing::FakeHost;

    use super::*;

    #[test]
    fn names_and_uuids_are_of_their_own() {
        let (one, other) = (random_uuid(), random_uuid());
        assert_ne!(one, other);
        assert_eq!(canonical_uuid(&one).as_deref(), Some(one.as_str()));
        assert_eq!((&one[14..15], "89ab".contains(&one[19..20])), ("4", true), "{one}");
        assert_ne!(trial_name(), trial_name());
    }

    #[test]
    fn a_daemon_of_another_machine_is_refused() {
        let made = |connect: &str| LibvirtTest::new(FakeHost::new().host(json!({ "connect": connect }))).err();
        for good in ["qemu:///system", "qemu+unix:///system?socket=/x", "embed", "qemu:///session"] {
            assert_eq!(made(good), None, "{good}");
        }
        assert_eq!(made("qemu+ssh://root@host/system").unwrap().kind, ErrorKind::Config);
    }
}
