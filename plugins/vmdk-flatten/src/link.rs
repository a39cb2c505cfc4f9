//! One link of a chain: a descriptor and its extents, opened, checked, and ready to be read.
//!
//! Decides what a file is by its first bytes, and which [`Storage`] an extent gets. Knows nothing of parents.

use std::collections::HashSet;
use std::sync::Arc;

use vmdk2kvm_plugin_api::{Host, PluginError, Result};

use crate::descriptor::{Descriptor, LONGEST, looks_like_text, split_at_zero};
use crate::extent_line::{ExtentLine, Place, SparseFormat};
use crate::fault::{CLONE_FIRST, damaged, shown, unusable};
use crate::files::{File, Files};
use crate::flat::FlatStorage;
use crate::header::Header;
use crate::sparse::{Shared, SparseStorage};
use crate::storage::{SECTOR, Storage, ZeroStorage};
use crate::tables::Shape;
use crate::{cowd, header, se_sparse};

/// How many bytes of text may lie behind the zero byte that ends a descriptor. qemu leaves the end of the old text there when it
/// writes a content id with fewer digits in place; more than that means that extents would be lost.
const LEFT_OVER: usize = 8;

/// What links are opened with.
pub struct Opener {
    /// The files of the disk.
    pub files: Files,
    /// What its sparse extents share.
    pub shared: Shared,
    /// To ask whether to go on.
    pub host: Host,
}

/// A link.
pub struct Link {
    /// Object of the descriptor.
    pub object: String,
    /// What it says.
    pub descriptor: Descriptor,
    /// Every object whose bytes the link is made of, the descriptor's first.
    pub files: Vec<String>,
    /// The extents, by where they begin, without gaps.
    pub extents: Vec<Placed>,
    /// What is odd about it but does not matter for reading.
    pub warnings: Vec<String>,
}

/// An extent in its place.
pub struct Placed {
    /// First byte in the disk.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// Its bytes.
    pub storage: Box<dyn Storage>,
}

impl Opener {
    /// Opens the link whose descriptor is in `object`. `number` counts the sparse extents of the whole disk.
    pub fn open(&self, object: &str, number: &mut u32) -> Result<Link> {
        let file = self.files.open(object)?;
        let (text, own) = read_descriptor(&file)?;
        let descriptor = Descriptor::parse(object, &text)?;
        let mut link = Link {
            object: object.to_owned(),
            files: vec![object.to_owned()],
            extents: Vec::with_capacity(descriptor.extents.len()),
            warnings: Vec::new(),
            descriptor,
        };
        let mut known: HashSet<String> = link.files.iter().cloned().collect();
        let lines = std::mem::take(&mut link.descriptor.extents);
        if own.is_some()
            && !matches!(
                lines.as_slice(),
                [ExtentLine { place: Place::Sparse { format: SparseFormat::Hosted, .. }, .. }]
            )
        {
            return Err(damaged(
                object,
                "its embedded descriptor must name one sparse extent, the file itself, and names others",
            ));
        }
        let mut start = 0;
        for line in &lines {
            self.host.check_cancelled()?;
            let length = line.sectors * SECTOR; // The descriptor's sum was checked.
            let storage: Box<dyn Storage> = match (&line.place, &own) {
                (Place::Zero, _) => Box::new(ZeroStorage),
                // The name in an embedded descriptor is the file's own, often from before it was renamed.
                (Place::Sparse { .. }, Some(header)) => {
                    self.sparse(&mut link, number, Arc::clone(&file), shape(&file, header)?, length)?
                }
                (Place::Sparse { name, format }, None) => {
                    let listed = link.files.len();
                    let file = self.extent_file(&mut link, &mut known, line, name)?;
                    if link.files.len() == listed {
                        return Err(damaged(
                            object,
                            format_args!(
                                "the sparse extent in line {} of its descriptor is a file that the disk has already: {}",
                                line.line,
                                shown(name)
                            ),
                        ));
                    }
                    let shape = match format {
                        SparseFormat::Hosted => shape(&file, &header::read(&file)?)?,
                        SparseFormat::Cowd => cowd::read(&file)?,
                        SparseFormat::SeSparse => se_sparse::read(&file)?,
                    };
                    self.sparse(&mut link, number, file, shape, length)?
                }
                (Place::Flat { name, offset }, _) => {
                    let file = self.extent_file(&mut link, &mut known, line, name)?;
                    let begin = offset.checked_mul(SECTOR).ok_or_else(|| {
                        damaged(
                            object,
                            format_args!("the extent in line {} of its descriptor has an absurd offset", line.line),
                        )
                    })?;
                    Box::new(FlatStorage::open(file, begin, length)?)
                }
            };
            link.extents.push(Placed { start, length, storage });
            start += length;
        }
        link.descriptor.extents = lines;
        Ok(link)
    }

    fn extent_file(
        &self,
        link: &mut Link,
        known: &mut HashSet<String>,
        line: &ExtentLine,
        name: &str,
    ) -> Result<Arc<File>> {
        let open = || {
            let object = self.files.resolve(&link.object, name)?;
            self.files.open(&object)
        };
        let file = open().map_err(|error| {
            with_hint(
                error.context(format_args!(
                    "{}: extent {} (line {} of the descriptor)",
                    shown(&link.object),
                    shown(name),
                    line.line
                )),
                "every file that the descriptor names must lie where the descriptor says, relative to it",
            )
        })?;
        if known.insert(file.object().to_owned()) {
            link.files.push(file.object().to_owned());
        }
        Ok(file)
    }

    fn sparse(
        &self,
        link: &mut Link,
        number: &mut u32,
        file: Arc<File>,
        shape: Shape,
        length: u64,
    ) -> Result<Box<dyn Storage>> {
        *number += 1;
        let (storage, warnings) = SparseStorage::open(*number, file, shape, length, &self.shared, &self.host)?;
        link.warnings.extend(warnings);
        Ok(Box::new(storage))
    }
}

fn shape(file: &Arc<File>, header: &Header) -> Result<Shape> {
    header.shape().ok_or_else(|| damaged(file.object(), "it does not say where its grain directory is"))
}

/// Adds advice where the error has none.
pub fn with_hint(error: PluginError, hint: &str) -> PluginError {
    match error.hint {
        Some(_) => error,
        None => error.hint(hint),
    }
}

/// The descriptor's text; and the sparse header when the file that carries it is also its only extent.
fn read_descriptor(file: &Arc<File>) -> Result<(Vec<u8>, Option<Header>)> {
    let mut head = vec![0; file.size().min(SECTOR) as usize];
    file.read(0, &mut head)?;
    let refuse = |what: &str, hint: &str| Err(unusable(file.object(), what).hint(hint));
    if head.starts_with(&header::MAGIC) {
        let header = header::read(file)?;
        let Some((at, length)) = header.descriptor else {
            return refuse(
                "it is one extent of a split disk and has no descriptor",
                "give the small text file that names the extents, usually the same name without -s001",
            );
        };
        let text = read_text(file, at, length)?;
        let (text, _) = split_at_zero(&text);
        return Ok((text.to_vec(), (header.capacity > 0).then_some(header)));
    }
    if head.starts_with(&cowd::MAGIC) || head.starts_with(&se_sparse::MAGIC) {
        return refuse(
            "it is the data of an ESX snapshot, not the disk",
            "give the small text file beside it, usually the same name without -delta or -sesparse",
        );
    }
    if !looks_like_text(&head) {
        return refuse(
            "it is not a VMDK: neither a sparse header nor a text descriptor",
            "for a -flat.vmdk file give the small text file beside it, or read it as a raw disk",
        );
    }
    let text = read_text(file, 0, file.size())?;
    let (text, rest) = split_at_zero(&text);
    if rest.iter().filter(|byte| **byte != 0).count() > LEFT_OVER {
        return Err(damaged(file.object(), "its descriptor holds a zero byte in the midst of its text"));
    }
    Ok((text.to_vec(), None))
}

fn read_text(file: &Arc<File>, at: u64, length: u64) -> Result<Vec<u8>> {
    if length > LONGEST {
        return Err(unusable(
            file.object(),
            format_args!("its descriptor of {length} bytes is longer than {} MiB", LONGEST >> 20),
        )
        .hint(CLONE_FIRST));
    }
    if !file.holds(at, length) {
        return Err(damaged(
            file.object(),
            format_args!(
                "its embedded descriptor of {length} bytes at offset {at} lies outside of the file of {} bytes",
                file.size()
            ),
        ));
    }
    let mut text = vec![0; length as usize];
    file.read(at, &mut text)?;
    Ok(text)
}
