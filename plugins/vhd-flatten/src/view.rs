//! The flat view of a chain: what the guest saw, as a `BlockSource`.
//!
//! A stretch that an image does not store is looked up in its parent; past the end of a smaller parent, and below the last image, there are
//! zeros that nobody wrote.

use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Hints, PluginError, Result, read_exact_at};

use crate::image::Image;

/// The flat view.
pub struct View {
    images: Vec<Image>,
    size: u64,
}

/// Called with a stretch of the disk, and where it is: an image and an offset in its file, or nowhere.
type Visit<'a> = &'a mut dyn FnMut(u64, u64, Option<(&Image, u64)>) -> Result<()>;

impl View {
    /// A view of these images, topmost first.
    pub fn new(images: Vec<Image>) -> Self {
        let size = images.first().map_or(0, |image| image.capacity);
        Self { images, size }
    }

    fn check(&self, offset: u64, length: u64) -> Result<u64> {
        offset.checked_add(length).filter(|end| *end <= self.size).ok_or_else(|| {
            PluginError::defect(format!("{length} bytes at {offset} lie outside of the disk of {} bytes", self.size))
        })
    }

    /// Walks `start..end` through the images from `depth` on.
    fn walk(&self, depth: usize, start: u64, end: u64, visit: Visit<'_>) -> Result<()> {
        let Some(image) = self.images.get(depth) else { return visit(start, end, None) };
        let held = end.min(image.capacity.max(start));
        if start < held {
            image.walk(start, held, &mut |start, end, place| match place {
                Some(place) => visit(start, end, Some((image, place))),
                None => self.walk(depth + 1, start, end, visit),
            })?;
        }
        if held < end { visit(held, end, None) } else { Ok(()) }
    }
}

impl BlockSource for View {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let end = self.check(offset, buffer.len() as u64)?;
        if !buffer.is_empty() {
            self.walk(0, offset, end, &mut |start, end, found| {
                let part = &mut buffer[(start - offset) as usize..(end - offset) as usize];
                match found {
                    Some((image, place)) => {
                        read_exact_at(&*image.file, place, part).map_err(|error| error.context(&image.object))
                    }
                    None => {
                        part.fill(0);
                        Ok(())
                    }
                }
            })?;
        }
        Ok(buffer.len())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let end = self.check(offset, length)?;
        let mut extents: Vec<Extent> = Vec::new();
        if length == 0 {
            return Ok(extents);
        }
        let mut push = |offset: u64, length: u64, kind: ExtentKind| match extents.last_mut() {
            Some(last) if last.kind == kind => last.length += length,
            _ => extents.push(Extent::new(offset, length, kind)),
        };
        self.walk(0, offset, end, &mut |start, end, found| {
            let Some((image, place)) = found else {
                push(start, end - start, ExtentKind::Hole);
                return Ok(());
            };
            // A block may be a hole of the file, and most of a fixed image often is.
            for extent in image.file.extents(place, end - start)? {
                push(start + (extent.offset - place), extent.length, extent.kind);
            }
            Ok(())
        })?;
        Ok(extents)
    }

    fn hints(&self) -> Hints {
        let block = self.images.iter().filter_map(Image::block).max().unwrap_or(4096).min(4 << 20);
        Hints::default().with(|it| {
            it.alignment = block as u32;
            it.request = 4 << 20;
        })
    }
}
