//! CONVERT: what FIX left in the overlays goes onto the working images; another format is converted; then every image gets its final
//! name, which is the moment the result exists.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::model::{CommitOverlay, Convert};
use vmdk2kvm_plugin_api::{Converter, PluginError, Result};

use super::attach::overlay_path;
use super::disk::Disk;
use super::format::{final_format, must_convert, working_format};
use super::output::Output;
use super::paths::{remove_if_there, set_private, text};
use super::run::Run;
use crate::journal::{StageKey, output_error, promote};

/// Record: the working images are no longer what was copied.
pub(super) const COMMIT_BEGAN: &str = "commit-began";
/// Record: which files are about to get their final names.
pub(super) const PROMOTING: &str = "promoting";

/// A file about to get its final name, known by its inode, which a rename keeps.
#[derive(Serialize, Deserialize)]
struct Promoting {
    images: Vec<(PathBuf, u64)>,
}

/// The images that a former run had given their final names.
pub(super) fn promoted(output: &Output, key: &StageKey) -> Vec<PathBuf> {
    let Some(promoting) = output.records.read::<Promoting>(PROMOTING, key) else { return Vec::new() };
    // A device that a disk went onto is in the key.
    let is_device = |path: &Path| path.metadata().is_ok_and(|found| found.file_type().is_block_device());
    let is_ours = |(path, inode): &(PathBuf, u64)| {
        is_device(path) || path.symlink_metadata().is_ok_and(|found| found.ino() == *inode)
    };
    promoting.images.into_iter().filter(is_ours).map(|(path, _)| path).collect()
}

/// Refuses to change images of which some have their final names.
pub(super) fn refuse_promoted(output: &Output) -> Result<()> {
    if !output.records.exists(PROMOTING) {
        return Ok(());
    }
    let dir = output.dir.display();
    Err(PluginError::output(format!("a cut-over in {dir} has come as far as its images"))
        .hint(format!("`vmdk2kvm cutover {dir}` goes on with it; another output folder takes another migration")))
}

/// Commits the overlays of these disks. Safe to repeat: an overlay keeps what it holds.
pub(super) fn commit<'a>(
    run: &Run<'_>,
    output: &Output,
    disks: impl Iterator<Item = &'a Disk>,
    converter: &dyn Converter,
    key: &StageKey,
) -> Result<()> {
    output.records.write(COMMIT_BEGAN, key, &())?;
    for disk in disks {
        run.check_cancelled()?;
        converter.commit_overlay(&CommitOverlay::new(
            text(&overlay_path(&output.work, disk.index))?,
            text(output.part(run.job, disk).path())?,
            working_format(run.job, disk),
        ))?;
    }
    Ok(())
}

/// Converts where that is needed, and gives every image its final name.
pub(super) fn finish(
    run: &Run<'_>,
    output: &Output,
    disks: &[Disk],
    converter: Option<&dyn Converter>,
    key: &StageKey,
) -> Result<Vec<PathBuf>> {
    let job = run.job;
    let ours = promoted(output, key);
    let mut parts = Vec::new();
    for disk in disks {
        run.check_cancelled()?;
        if ours.contains(&output.image(job, disk)) {
            continue;
        }
        let working = output.part(job, disk).path().to_owned();
        let part = match converter.filter(|_| must_convert(job, disk)) {
            Some(converter) => {
                let converted = output.converted_part(disk.index);
                remove_if_there(&converted)?;
                converter.convert(
                    &Convert::new(
                        text(&working)?,
                        working_format(job, disk),
                        text(&converted)?,
                        final_format(job, disk),
                    )
                    .with(|it| it.compress = job.settings.compress),
                )?;
                set_private(&converted)?;
                converted
            }
            None => working,
        };
        parts.push((disk, part));
    }
    let mut images = Vec::new();
    for (disk, part) in &parts {
        let inode = part.symlink_metadata().map_err(|error| output_error(part.display(), &error))?.ino();
        images.push((output.image(job, disk), inode));
    }
    for path in ours {
        let inode = path.symlink_metadata().map_err(|error| output_error(path.display(), &error))?.ino();
        images.push((path, inode));
    }
    output.records.write(PROMOTING, key, &Promoting { images })?;
    for (disk, part) in parts.into_iter().filter(|(disk, _)| disk.device.is_none()) {
        output.records.fence().check()?;
        promote(&part, &output.image(job, disk))?;
    }
    // Converted images leave their working images behind, and so does a run that was killed in here.
    for disk in disks {
        output.part(job, disk).remove()?;
    }
    Ok(disks.iter().map(|disk| output.image(job, disk)).collect())
}
