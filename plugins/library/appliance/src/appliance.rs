//! One running appliance: started, called one call at a time, stopped in time, shut down.
//!
//! The appliance is the wall between a hostile guest and this machine: the guest's filesystems are parsed, and its programs
//! run, only in there. So nothing is given to it but the disks: no network, no folder of this machine.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vmdk2kvm_kvm::Accelerator;
use vmdk2kvm_plugin_api::model::OpenGuest;
use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result, tracing};

use crate::binding::{CallError, Drive, Handle};
use crate::quickstart;
use crate::settings::{AccelSetting, Settings};
use crate::watch::{Stopped, kill, kill_children_with, watched};

/// A running appliance.
pub struct Appliance {
    handle: Mutex<Option<Handle>>,
    host: Host,
    pid: i32,
    command_timeout: Duration,
}

/// Longest time for a call that runs no program of the guest, however large the file.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(600);
/// Longest time for discarding what a filesystem does not use: some thousand requests for each TiB.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(3600);
/// Longest start of an appliance. It takes 3 to 20 seconds; the first one ever builds the appliance as well.
const START_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest start with hardware virtualisation, which may pass the probe and hang all the same.
const KVM_START_TIMEOUT: Duration = Duration::from_secs(90);

impl Appliance {
    /// Starts an appliance with the request's disks as `/dev/sda`, `/dev/sdb`, ... in their order.
    pub fn launch(request: &OpenGuest, settings: &Settings, host: &Host) -> Result<Self> {
        let begin = Instant::now();
        let mut failure = None;
        for way in ways(settings, Path::new(&request.work_dir), host)? {
            host.check_cancelled()?;
            match start(request, settings, &way, host) {
                Ok(mut handle) => {
                    let seconds = begin.elapsed().as_secs_f64();
                    tracing::info!(accel = ?way.accel, quick = way.quick.is_some(), seconds, "the appliance is up");
                    let pid = handle.pid().unwrap_or(0);
                    let command_timeout = Duration::from_secs(u64::from(settings.command_timeout_seconds));
                    let handle = Mutex::new(Some(handle));
                    return Ok(Self { handle, host: host.clone(), pid, command_timeout });
                }
                Err(error) if error.kind == ErrorKind::Interrupted => return Err(error),
                Err(error) => {
                    tracing::warn!(accel = ?way.accel, quick = way.quick.is_some(), %error, "the appliance did not start");
                    failure = Some(error);
                }
            }
        }
        let failure = failure.unwrap_or_else(|| PluginError::defect("no way to start the appliance was tried"));
        Err(failure.hint("run libguestfs-test-tool: it shows why the appliance does not start"))
    }

    /// Makes one short call.
    pub fn call<T>(&self, call: impl FnOnce(&mut Handle) -> Result<T, CallError>) -> Result<T, CallError> {
        match self.lock().as_mut() {
            Some(handle) => call(handle),
            None => Err(CallError { call: "handle", errno: libc::EBADF, message: "the guest was closed".into() }),
        }
    }

    /// Makes a call that moves many bytes; a cancelled run ends it.
    pub fn transfer<T>(&self, call: impl FnOnce(&mut Handle) -> Result<T, CallError>) -> Result<T> {
        self.watched("a transfer", TRANSFER_TIMEOUT, call)
    }

    /// Makes a call that discards what a filesystem does not use; a cancelled run ends it.
    pub fn discard(&self, call: impl FnOnce(&mut Handle) -> Result<(), CallError>) -> Result<()> {
        self.watched("a discard", DISCARD_TIMEOUT, call)
    }

    /// Runs a program of the guest; a cancelled run ends it, and so does its time limit.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        let name = arguments.iter().find(|one| !one.contains('=') && **one != "env").unwrap_or(&"a program");
        let begin = Instant::now();
        let result = self.watched(name, self.command_timeout, |handle| handle.command(arguments));
        tracing::debug!(
            program = name,
            seconds = begin.elapsed().as_secs_f64(),
            ok = result.is_ok(),
            "ran in the guest"
        );
        result
    }

    /// Writes everything out and stops the appliance. A second call does nothing.
    pub fn close(&self) -> Result<()> {
        let Some(mut handle) = self.lock().take() else { return Ok(()) };
        let done = handle.sync().and_then(|()| handle.umount_all()).and_then(|()| handle.shutdown());
        Ok(done?)
    }

    /// The host's services.
    pub fn host(&self) -> &Host {
        &self.host
    }

    fn lock(&self) -> MutexGuard<'_, Option<Handle>> {
        // A panic in another thread's call leaves the handle usable: the library keeps its own state.
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watched<T>(
        &self,
        what: &str,
        limit: Duration,
        call: impl FnOnce(&mut Handle) -> Result<T, CallError>,
    ) -> Result<T> {
        self.host.check_cancelled()?;
        let (result, stopped) = watched(&self.host, limit, || kill(self.pid), || self.call(call));
        match (result, stopped) {
            (Ok(value), _) => Ok(value),
            (Err(error), Stopped::No) => Err(error.into()),
            (Err(_), Stopped::Cancelled) => Err(PluginError::interrupted()),
            (Err(_), Stopped::Late) => Err(PluginError::new(
                ErrorKind::Temporary,
                format!("{what} did not end within {} seconds in the guest", limit.as_secs()),
            )
            .hint("run again on a quieter machine, or raise command_timeout_seconds")),
        }
    }
}

/// Memory for unlocking LUKS2 in MiB: its key derivation asks for up to 1 GiB.
const UNLOCKING_MIB: u32 = 1536;

/// One way to start the appliance.
struct Way {
    accel: Accelerator,
    quick: Option<std::path::PathBuf>,
}

/// The ways to try, the quickest first; each later one is there for when an earlier one does not start.
fn ways(settings: &Settings, work_dir: &Path, host: &Host) -> Result<Vec<Way>> {
    let stop = || host.cancelled();
    let mut handle = Handle::new()?;
    let forced = |handle: &mut Handle, name| handle.backend_setting(name).is_some_and(|value| value == "1");
    let accel = match settings.accel {
        AccelSetting::Kvm => Accelerator::Kvm,
        AccelSetting::Tcg => Accelerator::Tcg,
        AccelSetting::Auto if forced(&mut handle, "force_tcg") => Accelerator::Tcg,
        AccelSetting::Auto if forced(&mut handle, "force_kvm") => Accelerator::Kvm,
        AccelSetting::Auto => {
            let hypervisor = handle.hypervisor().map_err(PluginError::from)?;
            vmdk2kvm_kvm::choose(Path::new(&hypervisor), work_dir, &stop)?
        }
    };
    let mut ways = Vec::new();
    if accel == Accelerator::Kvm {
        ways.push(Way { accel, quick: None });
        if settings.accel == AccelSetting::Kvm {
            return Ok(ways);
        }
    }
    if settings.quick_start && accel == Accelerator::Tcg {
        let kernel = match (handle.path(), handle.cachedir()) {
            (Ok(search), Ok(cachedir)) => quickstart::fixed_appliance(&search, &cachedir, &stop),
            _ => None,
        };
        ways.extend(kernel.map(|kernel| Way { accel: Accelerator::Tcg, quick: Some(kernel) }));
    }
    ways.push(Way { accel: Accelerator::Tcg, quick: None });
    Ok(ways)
}

fn start(request: &OpenGuest, settings: &Settings, way: &Way, host: &Host) -> Result<Handle> {
    let mut handle = Handle::new()?;
    // Never through libvirt: its daemon may run as another user, who cannot read the disks.
    handle.set_backend("direct")?;
    handle.set_backend_setting("force_tcg", if way.accel == Accelerator::Tcg { "1" } else { "0" })?;
    if !request.socket_dir.is_empty() {
        handle.set_sockdir(Path::new(&request.socket_dir))?;
    }
    handle.set_tmpdir(Path::new(&request.work_dir))?;
    // By default a full disk of this machine stops the appliance in the middle of a write, and every call waits for ever.
    handle.hypervisor_argument("-global", "scsi-hd.werror=report")?;
    handle.without_network()?;
    // One processor: a second one costs memory and start time, and nothing here runs in parallel.
    let memory = if request.keys.is_empty() { settings.memory_mib } else { settings.memory_mib.max(UNLOCKING_MIB) };
    handle.set_size(memory, 1)?;
    if let Some(kernel) = &way.quick {
        handle.set_path(&kernel.to_string_lossy())?;
    }
    for disk in &request.disks {
        handle.add_drive(Drive {
            path: Path::new(&disk.path),
            format: &disk.format,
            readonly: !request.writable,
            discard: settings.discard_unused,
        })?;
    }
    // Every disk's path, or the library's overlay in the work folder, is in the hypervisor's arguments.
    let mark = request.disks.first().filter(|_| request.writable).map_or(&request.work_dir, |disk| &disk.path);
    let limit = if way.accel == Accelerator::Kvm { KVM_START_TIMEOUT } else { START_TIMEOUT };
    match watched(host, limit, || kill_children_with(mark), || handle.launch()) {
        (Ok(()), _) => Ok(handle),
        (Err(_), Stopped::Cancelled) => Err(PluginError::interrupted()),
        (Err(_), Stopped::Late) => Err(PluginError::new(
            ErrorKind::Temporary,
            format!("the appliance did not start within {} seconds", limit.as_secs()),
        )),
        (Err(error), Stopped::No) => Err(error.into()),
    }
}
