//! The flat view of a chain: what the guest saw, as a `BlockSource`.
//!
//! A stretch that an image does not store is looked up in the next one; past the end of a shorter backing file, and below the
//! last image, there are zeros that nobody wrote. What should be in a file and is not is an error.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Hints, PluginError, Result, read_exact_at};

use crate::cache::Cache;
use crate::compression::Inflaters;
use crate::image::Image;
use crate::run::{Run, Stored};

/// Bytes of inflated clusters kept, for readers that take less than a cluster at once.
const CLUSTER_CACHE: usize = 16 << 20;

/// An image of the chain.
pub struct Layer {
    /// Its object, which messages name.
    object: String,
    file: Arc<dyn BlockSource>,
    /// Guest bytes it covers.
    pub size: u64,
    /// `None`: a raw file.
    image: Option<Image>,
}

impl Layer {
    /// A raw file at the end of a chain.
    pub fn raw(object: String, file: Arc<dyn BlockSource>) -> Self {
        Self { object, size: file.size(), file, image: None }
    }

    /// A QCOW2 image of `size` guest bytes.
    pub fn qcow2(object: String, file: Arc<dyn BlockSource>, size: u64, image: Image) -> Self {
        Self { object, file, size, image: Some(image) }
    }

    fn run(&self, start: u64, end: u64) -> Result<Run> {
        match &self.image {
            None => Ok(Run { start, end, stored: Stored::Plain(start) }),
            Some(image) => image.run(start, end).map_err(|error| error.context(&self.object)),
        }
    }

    /// The file must have `length` bytes at `offset`, where guest byte `guest` is.
    fn check(&self, offset: u64, length: u64, guest: u64) -> Result<()> {
        let size = self.file.size();
        if offset.checked_add(length).is_some_and(|end| end <= size) {
            return Ok(());
        }
        Err(PluginError::unusable(format!(
            "{}: guest offset {guest} is stored at offset {offset}, {length} bytes long, in a file of {size} bytes; the file is \
             cut off or damaged",
            self.object
        ))
        .hint("copy the image again"))
    }
}

/// What the chain has for a stretch of the guest: the image that stores it, or nothing.
struct Found<'a> {
    layer: Option<(usize, &'a Layer)>,
    run: Run,
}

/// The flat view.
pub struct View {
    layers: Vec<Layer>,
    size: u64,
    inflated: Cache,
    inflaters: Inflaters,
}

impl View {
    /// A view of these layers, topmost first.
    pub fn new(layers: Vec<Layer>) -> Self {
        let size = layers.first().map_or(0, |layer| layer.size);
        Self { layers, size, inflated: Cache::new(CLUSTER_CACHE), inflaters: Inflaters::default() }
    }

    fn check(&self, offset: u64, length: u64) -> Result<u64> {
        offset.checked_add(length).filter(|end| *end <= self.size).ok_or_else(|| {
            let object = self.layers.first().map_or("", |layer| &layer.object);
            PluginError::unusable(format!(
                "{object}: {length} bytes at guest offset {offset} lie past the end of the disk, which has {} bytes",
                self.size
            ))
        })
    }

    fn walk(&self) -> Walk<'_> {
        Walk { view: self, known: vec![None; self.layers.len()] }
    }

    /// Fills `out`, which is the part of a compressed cluster that starts at guest offset `start`.
    fn inflate(
        &self,
        number: usize,
        layer: &Layer,
        start: u64,
        offset: u64,
        length: u64,
        out: &mut [u8],
    ) -> Result<()> {
        let Some(image) = &layer.image else {
            return Err(PluginError::defect("a raw file has no compressed clusters"));
        };
        let cluster = image.cluster();
        let inflate = |out: &mut [u8]| {
            // The last sector may be cut off where the file ends; a stream that lacks bytes does not come out whole.
            let length = length.min(layer.file.size().saturating_sub(offset)).max(1);
            layer.check(offset, length, start)?;
            let mut input = vec![0; length as usize];
            read_exact_at(&*layer.file, offset, &mut input)?;
            self.inflaters.inflate(image.compression(), &input, out).map_err(|error| {
                error
                    .context(format_args!("{}: guest offset {start}, in the cluster at offset {offset}", layer.object))
                    .hint("copy the image again")
            })
        };
        if out.len() as u64 == cluster {
            return inflate(out);
        }
        let whole = self.inflated.get((number, offset), || {
            let mut whole = vec![0; cluster as usize];
            inflate(&mut whole)?;
            Ok(whole.into())
        })?;
        let from = (start % cluster) as usize;
        let part = whole.get(from..from + out.len());
        out.copy_from_slice(part.ok_or_else(|| PluginError::defect("a run longer than its cluster"))?);
        Ok(())
    }
}

impl BlockSource for View {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let end = self.check(offset, buffer.len() as u64)?;
        let mut walk = self.walk();
        let mut at = offset;
        while at < end {
            let found = walk.next(at, end)?;
            let out = &mut buffer[(at - offset) as usize..(found.run.end - offset) as usize];
            match (found.layer, found.run.stored) {
                (None, _) | (_, Stored::Nowhere | Stored::Zero) => out.fill(0),
                (Some((_, layer)), Stored::Plain(stored)) => {
                    layer.check(stored, out.len() as u64, at)?;
                    read_exact_at(&*layer.file, stored, out)?;
                }
                (Some((number, layer)), Stored::Compressed { offset, length }) => {
                    self.inflate(number, layer, at, offset, length, out)?;
                }
            }
            at = found.run.end;
        }
        Ok(buffer.len())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let end = self.check(offset, length)?;
        let mut walk = self.walk();
        let mut extents = Vec::new();
        let mut at = offset;
        while at < end {
            let Found { layer, run } = walk.next(at, end)?;
            let length = run.end - run.start;
            match (layer, run.stored) {
                (None, _) | (_, Stored::Nowhere) => push(&mut extents, at, length, ExtentKind::Hole),
                (_, Stored::Zero) => push(&mut extents, at, length, ExtentKind::Zero),
                (_, Stored::Compressed { .. }) => push(&mut extents, at, length, ExtentKind::Data),
                (Some((_, layer)), Stored::Plain(stored)) => {
                    layer.check(stored, length, at)?;
                    // An allocated cluster may be a hole of the file: preallocation makes a whole disk of them.
                    let hole = if layer.image.is_some() { ExtentKind::Zero } else { ExtentKind::Hole };
                    for extent in layer.file.extents(stored, length)? {
                        let kind = if extent.kind == ExtentKind::Hole { hole } else { extent.kind };
                        push(&mut extents, at + (extent.offset - stored), extent.length, kind);
                    }
                }
            }
            at = run.end;
        }
        Ok(extents)
    }

    fn hints(&self) -> Hints {
        let cluster = self.layers.iter().filter_map(|layer| layer.image.as_ref()).map(Image::cluster).max();
        let alignment = cluster.unwrap_or(4096).max(4096) as u32;
        Hints::default().with(|it| {
            it.alignment = alignment;
            it.request = (4 << 20).max(alignment);
        })
    }
}

/// Adds an extent, or lengthens the last one.
fn push(extents: &mut Vec<Extent>, offset: u64, length: u64, kind: ExtentKind) {
    match extents.last_mut() {
        Some(last) if last.kind == kind && last.offset + last.length == offset => last.length += length,
        _ => extents.push(Extent::new(offset, length, kind)),
    }
}

/// A walk upwards through the guest's bytes. It remembers each layer's run, so that a long run of an upper image is not
/// looked up again for each short one of a lower image.
struct Walk<'a> {
    view: &'a View,
    known: Vec<Option<Run>>,
}

impl<'a> Walk<'a> {
    fn next(&mut self, at: u64, end: u64) -> Result<Found<'a>> {
        let mut end = end;
        for (number, (layer, known)) in self.view.layers.iter().zip(&mut self.known).enumerate() {
            if at >= layer.size {
                break;
            }
            let run = match known {
                Some(run) if run.contains(at) => *run,
                _ => *known.insert(layer.run(at, end.min(layer.size))?),
            };
            let part = run.part(at, end);
            if part.stored != Stored::Nowhere {
                return Ok(Found { layer: Some((number, layer)), run: part });
            }
            end = part.end;
        }
        Ok(Found { layer: None, run: Run { start: at, end, stored: Stored::Nowhere } })
    }
}
