//! The loader that a UEFI starts when it knows of no entry: the new machine's firmware has none of the old one's entries.

use vmdk2kvm_plugin_api::model::{Action, Change, Finding, Firmware, Severity};
use vmdk2kvm_plugin_api::{Guest, Result};

use super::plan::Planning;

/// The EFI system partition, as the inspector mounts it.
const ESP: &str = "/EFI";
/// Largest loader, in bytes.
const LIMIT: u64 = 64 << 20;

/// Copies Windows' own loader to the place that every firmware tries, when nothing is there.
pub fn plan(planning: &mut Planning<'_>) -> Result<()> {
    if planning.context.inspection.firmware != Some(Firmware::Uefi) {
        return Ok(());
    }
    let own = format!("{ESP}/EFI/Microsoft/Boot/bootmgfw.efi");
    let name = match planning.context.inspection.os.arch.as_str() {
        "aarch64" => "bootaa64.efi",
        "i686" => "bootia32.efi",
        _ => "bootx64.efi",
    };
    let fallback = format!("{ESP}/EFI/Boot/{name}");
    if is_there(planning.guest, &fallback)? {
        return Ok(());
    }
    let Some(loader) = planning.guest.read(&own, LIMIT)?.filter(|loader| !loader.is_empty()) else {
        let message = "the EFI system partition has no loader of Windows";
        planning.tell(
            Finding::new("loader-missing", Severity::Block, message)
                .hint("repair its start with Windows' installation medium (bcdboot C:\\Windows) and migrate again"),
        );
        return Ok(());
    };
    let source_sha256 = crate::sha256(&loader);
    let action = Action::CopyFile { from: own, source_sha256, old_sha256: None };
    let change = Change::new(
        action,
        fallback,
        "put Windows' loader where every firmware looks",
        "the new machine's firmware has none of the old one's boot entries",
    );
    planning.plan.changes.push(change.critical());
    Ok(())
}

fn is_there(guest: &dyn Guest, path: &str) -> Result<bool> {
    Ok(guest.stat(path)?.is_some_and(|found| found.size > 0))
}
