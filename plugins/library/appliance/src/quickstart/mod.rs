//! An appliance that starts sooner under emulation.
//!
//! Of the appliance's 12 s start under emulation a third is its kernel unpacking itself, and a second the loading of drivers
//! that it has no devices for. So the kernel is unpacked here, once, natively ([`kernel`]), and those drivers are left out of
//! the initrd ([`initrd`]). The result is a "fixed appliance" (guestfs-internals(1)): a folder with our kernel and initrd and a
//! link to the root that supermin made. Anything unexpected means `None`, and the library starts its appliance as ever.

mod initrd;
mod kernel;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sha2::{Digest, Sha256};
use vmdk2kvm_child::{Limits, run};
use vmdk2kvm_plugin_api::tracing;
use vmdk2kvm_private_folder as private_folder;

/// Longest time for making the appliance, which takes half a minute the first time ever.
const SUPERMIN: Duration = Duration::from_secs(300);
/// Largest kernel or initrd that is considered, in bytes.
const MAX_PACKED: u64 = 64 << 20;

/// A fixed appliance with an unpacked kernel, made when it is not there yet. `search` and `cachedir` are the library's;
/// `stop` is asked while supermin runs.
pub fn fixed_appliance(search: &str, cachedir: &str, stop: &dyn Fn() -> bool) -> Option<PathBuf> {
    if cfg!(not(target_arch = "x86_64")) {
        return None;
    }
    let made = supermin(search, cachedir, stop)?;
    let (packed, initrd) = (read(&made.join("kernel"))?, read(&made.join("initrd"))?);
    // By content: the library touches the files on every start of its own.
    let digest = Sha256::new().chain_update(&packed).chain_update(&initrd).finalize();
    let key: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folder = private_folder::cache("guestfs")?.join(format!("appliance-{key}"));
    if !usable(&folder, &made) {
        let kernel = kernel::unpacked(&packed)?;
        let initrd = initrd::trimmed(&initrd).unwrap_or(initrd);
        let stored = store(&folder, &made, &kernel, &initrd);
        // Another run may have been quicker.
        if let (Err(error), false) = (stored, usable(&folder, &made)) {
            tracing::debug!(%error, "the unpacked kernel cannot be kept");
            return None;
        }
        tracing::info!(folder = %folder.display(), "unpacked the appliance's kernel for quicker starts");
    }
    Some(folder)
}

fn usable(folder: &Path, made: &Path) -> bool {
    folder.join("README.fixed").exists()
        && fs::read_link(folder.join("root")).is_ok_and(|root| root == made.join("root"))
}

/// Has supermin bring the library's own appliance up to date, exactly as the library would, and gives its folder.
fn supermin(search: &str, cachedir: &str, stop: &dyn Fn() -> bool) -> Option<PathBuf> {
    let sources = search.split(':').map(|one| Path::new(one).join("supermin.d")).find(|one| one.is_dir())?;
    let folder = Path::new(cachedir).join(format!(".guestfs-{}", rustix::process::geteuid().as_raw()));
    // It may exist already; whose it is is looked at next, by the same rule as the library's.
    let _ = fs::DirBuilder::new().mode(0o755).create(&folder);
    if !private_folder::trusted(&folder) {
        return None;
    }
    let mut command = Command::new("supermin");
    command
        .args(["--build", "--if-newer", "--lock"])
        .arg(folder.join("lock"))
        .args(["--copy-kernel", "-f", "ext2", "--host-cpu", "x86_64"])
        .arg(sources)
        .arg("-o")
        .arg(folder.join("appliance.d"));
    let ended = run(&mut command, &Limits { time: Some(SUPERMIN), stop }, |_, _| ()).ok()?;
    ended.status.success().then(|| folder.join("appliance.d"))
}

fn store(folder: &Path, made: &Path, kernel: &[u8], initrd: &[u8]) -> std::io::Result<()> {
    let parent = folder.parent().unwrap_or(folder);
    for old in fs::read_dir(parent)?.flatten() {
        // Kernels of former appliances; one is 60 MiB.
        if old.path() != folder && old.file_name().to_string_lossy().starts_with("appliance-") {
            fs::remove_dir_all(old.path())?;
        }
    }
    let part = tempfile::Builder::new().prefix("part-").tempdir_in(parent)?;
    fs::write(part.path().join("kernel"), kernel)?;
    fs::write(part.path().join("initrd"), initrd)?;
    symlink(made.join("root"), part.path().join("root"))?;
    fs::write(part.path().join("README.fixed"), "Made by vmdk2kvm from libguestfs' own appliance; may be removed.\n")?;
    fs::rename(part.keep(), folder)
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(MAX_PACKED).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
