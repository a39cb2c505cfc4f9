//! The drivers of virtio devices: chosen for this Windows, made known before its start where it starts from them, and staged for its first
//! start otherwise.

use std::path::Path;

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Action, Change, Finding, Severity};

use super::FixSettings;
use super::boot_driver;
use super::first_boot::{FOLDER, Staged};
use super::package::Package;
use super::plan::Planning;
use crate::inf::Install;
use crate::inspect::system;
use crate::version::{Architecture, ProductType, Windows};
use crate::virtio_win::{Device, DriverSource, Missing, Selection, SourceFile, Wanted, find};

/// Devices without which the new machine lacks nothing, and that need no word here: what is virtual in them is for other uses.
const LEFT_OUT: [Device; 4] = [Device::FileSystem, Device::Socket, Device::PciSerial, Device::Other];

/// What is to be staged, and whether drivers for disk and network are among what was planned.
#[derive(Default)]
pub struct Planned {
    /// Scripts for the first start.
    pub staged: Vec<Staged>,
    /// Something is to be done at the first start.
    pub first_start: bool,
}

/// Plans the drivers, and the agent that lies beside them.
pub fn plan(planning: &mut Planning<'_>, settings: &FixSettings) -> Result<Planned> {
    let mut planned = Planned::default();
    let Some(windows) = which(planning)? else { return Ok(planned) };
    let agent = settings.guest_agent.as_str();
    if agent.starts_with('/') {
        file_of_this_machine(planning, agent)?;
        planned.first_start = true;
    }
    if windows.folders().is_empty() {
        let message =
            format!("there are no virtio drivers for {}: it gets IDE disks and an old network card", windows.name());
        planning.tell(
            Finding::new("no-drivers-for-windows", Severity::Warn, message)
                .hint("nothing is to be done; a newer Windows in its place would be faster"),
        );
        return Ok(planned);
    }
    let source = match settings.virtio_win.as_str() {
        "" => find(),
        named => Ok(named.into()),
    };
    let source = match source.and_then(|path| DriverSource::open(&path)) {
        Ok(source) => source,
        // What the user names must be right; what is looked for may be missing.
        Err(error) if !settings.virtio_win.is_empty() => return Err(error),
        Err(error) => {
            let message =
                format!("{}; the new machine gets SATA disks and e1000e cards, which are slower", error.message);
            let hint = error.hint.unwrap_or_default();
            planning.tell(
                Finding::new("no-virtio-drivers", Severity::Warn, message).hint(format!("{hint} with --virtio-win")),
            );
            return Ok(planned);
        }
    };
    if windows.is_newer_than_known() {
        let message = format!(
            "build {} is newer than this version knows: drivers of {} are taken",
            windows.build,
            windows.name()
        );
        planning.tell(
            Finding::new("windows-newer-than-known", Severity::Warn, message)
                .hint("look for a newer version of this program, or test the new machine before it is relied on"),
        );
    }
    let wanted = Wanted { windows, secure_boot: planning.context.vm.secure_boot };
    let selection = source.choose(&wanted);
    tell_what_is_missing(planning, &selection);
    let disk = [Device::Block, Device::Scsi].map(|device| selection.of(device));
    for package in disk.into_iter().flatten() {
        // What nobody vouches for stops a 64-bit system that starts from it; the same driver can be installed once it runs.
        if windows.architecture != Architecture::X86 && !package.doubts.is_empty() {
            let message =
                format!("the system does not start from {}: its driver's signature does not cover it", package.folder);
            planning.tell(
                Finding::new("disk-driver-doubtful", Severity::Warn, message)
                    .hint("take another release of virtio-win"),
            );
            continue;
        }
        planned.first_start |= boot(planning, &source, package, windows)?;
    }
    for package in selection.packages.iter().filter(|package| !LEFT_OUT.contains(&package.device)) {
        stage(planning, &source, package)?;
        planned.first_start = true;
    }
    // Without a disk that it can start from, no other driver ever gets its turn.
    for (device, word) in [(Device::Network, "virtio-net"), (Device::Gpu, "virtio-gpu")] {
        if selection.of(device).is_some() {
            planning.plan.drives.push(word.to_owned());
        }
    }
    if agent == "virtio-win" {
        match source.guest_agent(windows.architecture) {
            Some(file) => copy(
                planning,
                &source,
                file,
                &format!("{FOLDER}/agent.msi"),
                "the host reaches the guest through its agent",
            )?,
            None => planning.tell(
                Finding::new(
                    "no-guest-agent",
                    Severity::Info,
                    "the drivers' source has no installer of the guest agent",
                )
                .hint("name one by the setting guest_agent, or install it in the guest later"),
            ),
        }
    }
    Ok(planned)
}

fn which(planning: &mut Planning<'_>) -> Result<Option<Windows>> {
    let hives = planning.hives;
    let key = hives.current("Control\\ProductOptions");
    let product = hives.system.text(&key, "ProductType")?.and_then(|word| ProductType::parse(&word));
    let architecture = Architecture::parse(&system::processor(hives)?);
    Ok(match (system::build(hives)?, architecture) {
        (Some(build), Some(architecture)) => {
            Some(Windows::new(build, product.unwrap_or(ProductType::Client), architecture))
        }
        _ => None,
    })
}

fn tell_what_is_missing(planning: &mut Planning<'_>, selection: &Selection) {
    let lacks_disk = selection.of(Device::Block).is_none() && selection.of(Device::Scsi).is_none();
    for (driver, code, lacks, instead) in [
        ("viostor", "no-disk-driver", lacks_disk, "SATA disks"),
        ("netkvm", "no-network-driver", selection.of(Device::Network).is_none(), "e1000e cards"),
    ] {
        if !lacks {
            continue;
        }
        let missing = selection.missing.iter().find(|missing| missing.driver == driver);
        let message =
            format!("no driver {driver} is for this Windows: the new machine gets {instead} ({})", why(missing));
        planning.tell(Finding::new(code, Severity::Warn, message).hint("take another release of virtio-win"));
    }
    for package in &selection.packages {
        for doubt in &package.doubts {
            let message = format!("{}: {doubt}", package.folder);
            planning.tell(
                Finding::new("driver-doubtful", Severity::Warn, message).hint("take another release of virtio-win"),
            );
        }
        if let Some(needs) = &package.needs {
            let message = format!("{} only loads when the guest has {needs}", package.folder);
            planning.tell(
                Finding::new("driver-needs-update", Severity::Warn, message)
                    .hint("install that update before the move"),
            );
        }
    }
}

fn why(missing: Option<&Missing>) -> String {
    match missing {
        None => "the source does not have it".to_owned(),
        Some(missing) if missing.rejected.is_empty() => format!("the source has it for {}", missing.has.join(", ")),
        Some(missing) => {
            let reasons: Vec<String> =
                missing.rejected.iter().map(|one| format!("{}: {}", one.folder, one.reason)).collect();
            reasons.join("; ")
        }
    }
}

/// Makes a driver of disks known before the start. Whether it is.
fn boot(
    planning: &mut Planning<'_>,
    source: &DriverSource,
    chosen: &crate::virtio_win::Package,
    windows: Windows,
) -> Result<bool> {
    let Some(model) = chosen.models.first() else { return Ok(false) };
    let install: Install = chosen.inf.install(&model.install, &windows)?;
    let Some(service) = install.function().cloned() else { return Ok(false) };
    let package = described(source, chosen, windows)?;
    let reason = chosen.why();
    for copy_of in &install.copies {
        let Some(folder) = copy_of.directory.in_windows().or(Some("System32\\drivers")) else { continue };
        let file = chosen.files.iter().find(|file| file.name().eq_ignore_ascii_case(&copy_of.source));
        // A driver of the store is loaded from there later; before the first installation it is loaded from the folder of drivers.
        let is_driver = copy_of.name.to_ascii_lowercase().ends_with(".sys");
        if let (Some(file), true) = (file, is_driver || copy_of.directory.in_windows().is_some()) {
            let target = [folder, &copy_of.subfolder, &copy_of.name]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("/");
            copy(planning, source, file, &target.replace('\\', "/"), &reason)?;
        }
    }
    if planning.packages == super::DriverPackages::Whole {
        let store = format!("System32/DriverStore/FileRepository/{}", package.stored_as());
        for file in chosen.all_files() {
            copy(planning, source, file, &format!("{store}/{}", file.name()), &reason)?;
        }
        copy(planning, source, &chosen.inf_file, &format!("INF/{}", package.published()), &reason)?;
        if let Some((file, _)) = &chosen.catalogue {
            let name = package.published().replace(".inf", ".cat");
            copy(
                planning,
                source,
                file,
                &format!("System32/CatRoot/{{F750E6C3-38EE-11D1-85E5-00C04FC295EE}}/{name}"),
                &reason,
            )?;
        }
    }
    boot_driver::service(planning, &package, &install, &service)?;
    let word = if chosen.device == Device::Block { "virtio-blk" } else { "virtio-scsi" };
    planning.plan.drives.push(word.to_owned());
    Ok(true)
}

fn described<'a>(
    source: &DriverSource,
    chosen: &'a crate::virtio_win::Package,
    windows: Windows,
) -> Result<Package<'a>> {
    let ids =
        chosen.models.iter().flat_map(|model| model.ids.iter().zip(1u8..).map(|(id, rank)| (rank, id.to_uppercase())));
    let signer = chosen.catalogue.as_ref().and_then(|(_, catalogue)| catalogue.signers.first());
    let signer =
        signer.and_then(|signer| signer.subject.as_ref()).map_or_else(String::new, |name| name.common_name.clone());
    let mut content = Vec::new();
    for file in chosen.all_files() {
        content.extend(source.read(file)?);
    }
    Ok(Package {
        windows,
        inf: &chosen.inf,
        inf_name: chosen.inf_file.name().to_lowercase(),
        catalogue_name: chosen.catalogue.as_ref().map_or_else(String::new, |(file, _)| file.name().to_owned()),
        signer,
        ids: ids.collect(),
        models: chosen.models.clone(),
        digest: crate::sha256(&content)[..16].to_owned(),
    })
}

/// Puts a package where the first start installs it from.
fn stage(planning: &mut Planning<'_>, source: &DriverSource, chosen: &crate::virtio_win::Package) -> Result<()> {
    let name: String =
        chosen.driver.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    for file in chosen.all_files() {
        copy(planning, source, file, &format!("{FOLDER}/drivers/{name}/{}", file.name()), &chosen.why())?;
    }
    Ok(())
}

/// Copies a file of the source below the Windows folder.
fn copy(
    planning: &mut Planning<'_>,
    source: &DriverSource,
    file: &SourceFile,
    below: &str,
    reason: &str,
) -> Result<()> {
    let content = source.read(file)?;
    let (from, offset) = source.on_this_machine(file)?;
    copy_in(planning, (&from, offset), &content, below, reason)
}

fn file_of_this_machine(planning: &mut Planning<'_>, path: &str) -> Result<()> {
    let content = super::user::read(path, "guest_agent", crate::virtio_win::LARGEST_FILE)?;
    copy_in(
        planning,
        (Path::new(path), 0),
        &content,
        &format!("{FOLDER}/agent.msi"),
        "the host reaches the guest through its agent",
    )
}

fn copy_in(planning: &mut Planning<'_>, from: (&Path, u64), content: &[u8], below: &str, reason: &str) -> Result<()> {
    let target = planning.place.path(below);
    let old = planning.guest.read(&target, crate::virtio_win::LARGEST_FILE)?;
    if old.as_deref() == Some(content) {
        return Ok(());
    }
    let action = Action::CopyIn {
        from: from.0.to_string_lossy().into_owned(),
        offset: from.1,
        sha256: crate::sha256(content),
        bytes: content.len() as u64,
        old_sha256: old.as_deref().map(crate::sha256),
    };
    let name = below.rsplit('/').next().unwrap_or_default();
    planning.plan.changes.push(Change::new(action, target, format!("copy {name} into the guest"), reason).critical());
    Ok(())
}
