//! CONVERT: what FIX left in the overlays goes onto the working images; another format is converted; then every image gets its final
//! name, which is the moment the result exists.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::model::{CommitOverlay, Convert};
use vmdk2kvm_plugin_api::{Converter, PluginError, Result};

use super::attach::overlay_path;
use super::format::working_format;
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
    let is_ours = |(path, inode): &(PathBuf, u64)| path.symlink_metadata().is_ok_and(|found| found.ino() == *inode);
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
pub(super) fn commit(
    run: &Run<'_>,
    output: &Output,
    disks: impl Iterator<Item = usize>,
    converter: &dyn Converter,
    key: &StageKey,
) -> Result<()> {
    output.records.write(COMMIT_BEGAN, key, &())?;
    for index in disks {
        run.check_cancelled()?;
        converter.commit_overlay(&CommitOverlay::new(
            text(&overlay_path(&output.work, index))?,
            text(&output.part(index))?,
            working_format(run.job).as_str().to_owned(),
        ))?;
    }
    Ok(())
}

/// Converts where that is needed, and gives every image its final name.
pub(super) fn finish(
    run: &Run<'_>,
    output: &Output,
    disks: usize,
    converter: Option<&dyn Converter>,
    key: &StageKey,
) -> Result<Vec<PathBuf>> {
    let format = run.job.settings.format.as_str();
    let ours = promoted(output, key);
    let mut parts = Vec::new();
    for index in 0..disks {
        run.check_cancelled()?;
        if ours.contains(&output.image(index, format)) {
            continue;
        }
        let part = match converter {
            Some(converter) => {
                let converted = output.converted_part(index);
                remove_if_there(&converted)?;
                converter.convert(
                    &Convert::new(
                        text(&output.part(index))?,
                        working_format(run.job).as_str().to_owned(),
                        text(&converted)?,
                        format.to_owned(),
                    )
                    .with(|it| it.compress = run.job.settings.compress),
                )?;
                set_private(&converted)?;
                converted
            }
            None => output.part(index),
        };
        parts.push((index, part));
    }
    let mut images = Vec::new();
    for (index, part) in &parts {
        let inode = part.symlink_metadata().map_err(|error| output_error(part.display(), &error))?.ino();
        images.push((output.image(*index, format), inode));
    }
    for path in ours {
        let inode = path.symlink_metadata().map_err(|error| output_error(path.display(), &error))?.ino();
        images.push((path, inode));
    }
    output.records.write(PROMOTING, key, &Promoting { images })?;
    for (index, part) in parts {
        output.records.fence().check()?;
        promote(&part, &output.image(index, format))?;
    }
    // Converted images leave their working images behind, and so does a run that was killed in here.
    for index in 0..disks {
        remove_if_there(&output.part(index))?;
    }
    Ok((0..disks).map(|index| output.image(index, format)).collect())
}
