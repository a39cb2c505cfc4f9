//! What every `Converter` promises: it reads what it was given, and replaces nothing.

use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::model::{CommitOverlay, Convert, CreateOverlay};
use vmdk2kvm_plugin_api::{Converter, ErrorKind, PluginError};

use crate::folder::Folder;
use crate::{CancelSwitch, Checks, Report, Why, failed, is_plain, skipped, state_of, well_refused};

/// Size of the image that is converted, in bytes.
const SIZE: usize = 3 << 20;

/// Checks a converter on images that it makes in a folder of its own. `host` is the one that its plugin was made with.
pub fn converter(converter: &dyn Converter, host: &dyn CancelSwitch) -> Report {
    let mut checks = Checks::of("converter");
    let formats = converter.formats();
    checks.check("it names the formats that it writes", || match formats.iter().find(|format| !is_plain(format)) {
        Some(format) => failed(format!("{format:?} is not lower case letters, digits and dashes")),
        None if formats.is_empty() => failed("there is none"),
        None => Ok(()),
    });
    let Some(room) = checks.check("there is room for images", Room::new) else { return checks.report };
    let [first, ..] = formats.as_slice() else { return checks.report };
    for format in &formats {
        checks.check("an image comes out, and its source stays", || converts(converter, &room, format, &formats));
    }
    checks.check("what exists is not replaced", || {
        let target = room.file("taken", b"precious")?;
        match converter.convert(&room.convert(first, &target)) {
            Ok(()) => return failed("it wrote over a file"),
            Err(error) => well_refused(&error)?,
        }
        if state_of(&target)?.2 == b"precious" { Ok(()) } else { failed("the file that was there changed") }
    });
    checks.check("a source that is not there is refused, and leaves nothing", || {
        let target = room.path("of-nothing");
        let request = room.convert(first, &target).with(|it| it.source = text(&room.path("nothing")));
        match converter.convert(&request) {
            Ok(()) => return failed("it converted a file that does not exist"),
            Err(error) => well_refused(&error)?,
        }
        if target.exists() { failed("it left a target") } else { Ok(()) }
    });
    checks.check("an overlay takes what is written, and its backing file stays", || overlay(converter, &room));
    checks.check_cancel(host, || converter.convert(&room.convert(first, &room.path("cancelled"))));
    checks.report
}

/// A folder with a raw image whose content is known.
struct Room {
    folder: Folder,
    source: PathBuf,
}

impl Room {
    fn new() -> Result<Self, Why> {
        let failed = |error| Why::from(PluginError::from_io("a folder for images", &error));
        let folder = Folder::new().map_err(failed)?;
        let source = folder.path().join("source.raw");
        let mut bytes = vec![0; SIZE];
        bytes[..1 << 20].iter_mut().enumerate().for_each(|(at, byte)| *byte = (at / 512 % 251) as u8);
        std::fs::write(&source, bytes).map_err(failed)?;
        Ok(Self { folder, source })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> Result<PathBuf, Why> {
        let path = self.path(name);
        std::fs::write(&path, content).map_err(|error| Why::from(PluginError::from_io(path.display(), &error)))?;
        Ok(path)
    }

    fn convert(&self, format: &str, target: &Path) -> Convert {
        Convert::new(text(&self.source), "raw".to_owned(), text(target), format.to_owned())
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// To the format, and back to raw where it writes that: then nothing may be lost.
fn converts(converter: &dyn Converter, room: &Room, format: &str, formats: &[String]) -> Result<(), Why> {
    let (before, target) = (state_of(&room.source)?, room.path(&format!("target.{format}")));
    converter.convert(&room.convert(format, &target)).map_err(|error| of(format, error))?;
    if !target.is_file() {
        return failed(format!("{format}: there is no image"));
    }
    if state_of(&room.source)? != before {
        return failed(format!("{format}: the source changed"));
    }
    if formats.iter().any(|known| known == "raw") {
        let back = room.path(&format!("back-from-{format}"));
        let request = room.convert("raw", &back).with(|it| {
            it.source = text(&target);
            it.source_format = format.to_owned();
        });
        match converter.convert(&request) {
            // It need not read what it writes.
            Err(error) if error.kind == ErrorKind::Unusable => return Ok(()),
            other => other.map_err(|error| of(format, error))?,
        }
        let content = state_of(&back)?.2;
        // Some formats round a disk's size up.
        if content.get(..SIZE) != Some(before.2.as_slice()) || content[SIZE..].iter().any(|byte| *byte != 0) {
            return failed(format!("{format}: what comes back is not what went in"));
        }
    }
    Ok(())
}

fn of(format: &str, error: PluginError) -> Why {
    Why::from(error.context(format))
}

fn overlay(converter: &dyn Converter, room: &Room) -> Result<(), Why> {
    let (backing, path) = (room.file("backing.raw", &state_of(&room.source)?.2)?, room.path("overlay.qcow2"));
    let before = state_of(&backing)?;
    let request = CreateOverlay::new(text(&path), text(&backing), "raw".to_owned(), SIZE as u64);
    match converter.create_overlay(&request) {
        Err(error) if error.kind == ErrorKind::Unusable => return skipped(error.message),
        other => other?,
    }
    if !state_of(&path)?.2.starts_with(b"QFI\xfb") {
        return failed("the overlay is not a qcow2 image");
    }
    if state_of(&backing)? != before {
        return failed("making an overlay changed the backing file");
    }
    let commit = CommitOverlay::new(text(&path), text(&backing), "raw".to_owned());
    converter.commit_overlay(&commit)?;
    if state_of(&backing)?.2 == before.2 { Ok(()) } else { failed("committing an empty overlay changed the image") }
}
