//! Boots the result under qemu and looks for evidence.
//!
//! One call: a machine like the new one ([`plan`], [`command`], [`firmware`]) is started on its overlays ([`machine`]) and shown ([`window`])
//! to the library that judges it, `boot-evidence`, until it is known whether the guest came up.

pub mod command;
pub mod firmware;
mod folder;
pub mod machine;
mod plan;
mod process;
pub mod qmp;
mod window;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use vmdk2kvm_boot_evidence::{Agent, Log, Protocol, Service, Watch, Watched, Windows, is_windows, save, windows_build};
use vmdk2kvm_kvm::{Accelerator, Choice};
use vmdk2kvm_plugin_api::model::{TestRequest, Verdict};
use vmdk2kvm_plugin_api::{Host, Plugin, PluginError, Result, Tester, tracing};

use machine::Running;
use window::Window;

/// The plugin: its settings and the host.
#[derive(Clone)]
pub struct QemuTest {
    host: Host,
    settings: Settings,
}

/// The table `[plugin.qemu-test]` of a job.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// qemu: a name on `PATH` or an absolute path.
    program: PathBuf,
    /// The most memory a test's guest gets, in MiB.
    memory_mib: u64,
    /// The most processors it gets.
    cpus: u32,
    /// `auto`, `kvm`, `tcg`.
    accelerator: Choice,
    /// Folders with UEFI images; empty: the distributions' own.
    firmware_folders: Vec<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            program: "qemu-system-x86_64".into(),
            memory_mib: 2048,
            cpus: 2,
            accelerator: Choice::Auto,
            firmware_folders: Vec::new(),
        }
    }
}

impl Plugin for QemuTest {
    fn new(host: Host) -> Result<Self> {
        let settings: Settings = host.settings()?;
        if settings.memory_mib < 64 || settings.cpus == 0 {
            return Err(PluginError::config(
                "the plugin's settings: memory_mib must be 64 or more, and cpus 1 or more",
            ));
        }
        Ok(Self { host, settings })
    }

    fn tester(&self) -> Option<Box<dyn Tester>> {
        Some(Box::new(self.clone()))
    }
}

impl Tester for QemuTest {
    fn test(&self, request: &TestRequest) -> Result<Verdict> {
        let begin = Instant::now();
        let stop = || self.host.cancelled();
        self.host.check_cancelled()?;
        let evidence_dir = Path::new(&request.evidence_dir);
        let reach = plan::reach(request)?;
        let uefi = plan::firmware(request, &self.settings.firmware_folders)?;
        let folder = folder::Folder::create(Path::new(&request.work_dir))?;
        let accelerator = self.accelerator(folder.path())?;
        let flash = uefi.map(|uefi| folder.flash(&uefi)).transpose()?;
        let limits = plan::Limits { memory_mib: self.settings.memory_mib, cpus: self.settings.cpus };
        let socket = match plan::has_agent_channel(request) {
            true => Some(folder::Socket::of(&folder, Path::new(&request.socket_dir))?),
            false => None,
        };
        let agent = socket.as_ref().map(|socket| socket.path().to_owned());
        let machine = plan::machine(request, limits, accelerator, flash, &reach, agent)?;
        let mut log = Log::create(evidence_dir)?;

        let mut running = Running::start(&self.settings.program, &command::render(&machine)?, &stop)?;
        let ports = running.forwarded_ports(&stop);
        let mut window = Window { running: &mut running, folder: folder.path(), stop: &stop };
        let timeout = Duration::from_secs(request.timeout_seconds);
        let mut watch = Watch::new(&self.host, plan::hostname(request), timeout);
        (watch.sshd, watch.sshd_required) = (ports.get(&reach.port).copied().map(Service::sshd), reach.required);
        if is_windows(request) {
            let service = |protocol: Protocol| Some(Service::new(protocol, *ports.get(&protocol.port())?));
            let services = plan::services(request, &reach).into_iter().filter_map(service).collect();
            let agent = socket.as_ref().map(|socket| agent_at(socket.path())).transpose()?;
            watch.windows = Some(Windows::new(agent, services, windows_build(request)));
        }
        let seen = watch.run(&mut window, &mut log)?;
        log.finish(seen.screen.as_deref());
        let picture = window.picture().and_then(|picture| save(&picture, evidence_dir));
        let picture = picture.inspect_err(|error| tracing::warn!("no picture of the screen: {error}")).ok();
        Ok(seen.verdict(&format!("{}:{}", reach.address, reach.port), picture).with(|it| {
            it.seconds = begin.elapsed().as_secs_f64();
            it.accelerator = accelerator.name().to_owned();
        }))
    }
}

/// The agent's channel, which qemu offers at this socket.
fn agent_at(socket: &Path) -> Result<Agent> {
    let connected = UnixStream::connect(socket).and_then(|stream| Agent::new(stream, Instant::now()));
    connected.map_err(|error| PluginError::from_io(socket.display(), &error))
}

impl QemuTest {
    fn accelerator(&self, folder: &Path) -> Result<Accelerator> {
        self.settings.accelerator.accelerator(&self.settings.program, folder, &|| self.host.cancelled())
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: QemuTest,
    name: "qemu-test",
    summary: "Boots the result under qemu and looks for evidence",
    kinds: ["tester"],
    guests: [],
    capabilities: ["bios", "uefi", "secure-boot", "serial-console", "text-screen", "pictures", "sshd", "guest-agent"],
    libraries: [],
    programs: [("qemu-system-x86_64", "qemu-system-x86", "qemu-system-x86-core")],
    settings: [
        ("program", "string", "qemu-system-x86_64", "The program: a name on PATH or an absolute path"),
        ("memory_mib", "integer", "2048", "The most memory the guest gets, in MiB"),
        ("cpus", "integer", "2", "The most processors the guest gets"),
        ("accelerator", "string", "auto", "auto (kvm when a probe shows that it runs a guest), kvm or tcg"),
        ("firmware_folders", "list", "[]", "Folders with UEFI images; empty for the usual ones of the distributions"),
    ],
    preference: 100,
}
