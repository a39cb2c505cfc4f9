//! A disk that is larger than its source: a hole behind its end.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Hints, PluginError, Result};

/// A disk with a hole behind its end.
pub(in crate::pipeline) struct Grown {
    pub source: Arc<dyn BlockSource>,
    pub size: u64,
}

impl BlockSource for Grown {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(PluginError::defect(format!("a read at offset {offset} ends past the end of a resized disk")));
        }
        let held = self.source.size().saturating_sub(offset).min(buffer.len() as u64) as usize;
        if held > 0 {
            return self.source.read_at(offset, &mut buffer[..held]);
        }
        buffer.fill(0);
        Ok(buffer.len())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let held = self.source.size().saturating_sub(offset).min(length);
        let mut extents = if held > 0 { self.source.extents(offset, held)? } else { Vec::new() };
        if held < length {
            extents.push(Extent::new(offset + held, length - held, ExtentKind::Hole));
        }
        Ok(extents)
    }

    fn hints(&self) -> Hints {
        self.source.hints()
    }
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::check_map;

    use super::super::ZeroSource;
    use super::*;

    fn grown() -> Grown {
        Grown { source: Arc::new(ZeroSource(1000)), size: 4096 }
    }

    #[test]
    fn reads_and_maps_go_on_behind_the_end() {
        let disk = grown();
        for (offset, length, expected) in [(0, 512, 512), (512, 1024, 488), (1000, 24, 24), (2048, 2048, 2048)] {
            let mut buffer = vec![1; length];
            assert_eq!(disk.read_at(offset, &mut buffer).unwrap(), expected);
            assert!(buffer[..expected].iter().all(|byte| *byte == 0));
            check_map(&disk.extents(offset, length as u64).unwrap(), offset, length as u64).unwrap();
        }
        assert!(disk.read_at(4000, &mut [0; 97]).is_err());
    }
}
