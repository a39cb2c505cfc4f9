//! The disk as the guest saw it, as a `BlockSource`.

use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Hints, PluginError, Result, read_exact_at};

use crate::blocks::Blocks;

/// The flat view of one image.
pub struct View {
    /// Its object, which messages name.
    pub object: String,
    /// Its file.
    pub file: Box<dyn BlockSource>,
    /// What is where.
    pub blocks: Blocks,
}

impl View {
    /// Stretches of `length` bytes from `offset` on, and where in the file each is.
    fn stretches(&self, offset: u64, length: u64) -> Result<impl Iterator<Item = (u64, u64, Option<u64>)>> {
        let end = offset.checked_add(length).filter(|end| *end <= self.blocks.capacity).ok_or_else(|| {
            let capacity = self.blocks.capacity;
            PluginError::defect(format!("{length} bytes at {offset} lie outside of the disk of {capacity} bytes"))
        })?;
        let (blocks, mut at) = (&self.blocks, offset);
        Ok(std::iter::from_fn(move || {
            let number = at / blocks.block;
            let within = at % blocks.block;
            let start = at;
            at = ((number + 1) * blocks.block).min(end);
            (start < end).then(|| (start, at - start, blocks.place(number).map(|place| place + within)))
        }))
    }
}

impl BlockSource for View {
    fn size(&self) -> u64 {
        self.blocks.capacity
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut rest = &mut *buffer;
        for (_, length, place) in self.stretches(offset, rest.len() as u64)? {
            let (part, others) = rest.split_at_mut(length as usize);
            match place {
                Some(place) => read_exact_at(&*self.file, place, part).map_err(|error| error.context(&self.object))?,
                None => part.fill(0),
            }
            rest = others;
        }
        Ok(buffer.len())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let mut extents: Vec<Extent> = Vec::new();
        for (start, length, place) in self.stretches(offset, length)? {
            let of_file = match place {
                Some(place) => self.file.extents(place, length)?,
                None => vec![Extent::new(0, length, ExtentKind::Hole)],
            };
            let mut at = start;
            for Extent { length, kind, .. } in of_file {
                match extents.last_mut() {
                    Some(last) if last.kind == kind => last.length += length,
                    _ => extents.push(Extent::new(at, length, kind)),
                }
                at += length;
            }
        }
        Ok(extents)
    }

    fn hints(&self) -> Hints {
        let alignment = self.blocks.block.min(4 << 20) as u32;
        Hints::default().with(|it| {
            it.alignment = alignment;
            it.request = 4 << 20;
        })
    }
}
