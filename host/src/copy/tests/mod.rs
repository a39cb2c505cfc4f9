//! The engine as a whole: images against real `qemu-img`, faults, crashes, and the cost of empty disks.

mod crashes;
mod faults;
mod images;
mod large;
pub(super) mod sources;

use std::path::Path;

use vmdk2kvm_plugin_api::{BlockSource, Result};

use super::{Control, CopyOutcome, CopyRequest, ImageFormat, Target, copy_image};
use crate::journal::{Fence, Records, StageKey};

/// Copies to `target`, with the records beside it.
fn copy(source: &dyn BlockSource, target: &Path, format: ImageFormat, control: &Control<'_>) -> Result<CopyOutcome> {
    let records = Records::in_folder(target.parent().unwrap(), Fence::default());
    let name = target.file_name().unwrap().to_str().unwrap();
    let key = StageKey::new(&["test"]);
    copy_image(
        &CopyRequest { source, target: &Target::File(target.to_owned(), format), records: &records, name, key: &key },
        control,
    )
}
