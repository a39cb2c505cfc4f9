//! Cuts a source into tasks: aligned spans of the disk with the data ranges inside, in ascending order.
//!
//! A span is a whole number of 1 MiB chunks, so that a chunk's digest is always made by one thread. Spans without data give no
//! task. Does not read data and knows nothing of images.

use std::ops::Range;

use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Result};

use super::control::Progress;
use super::map_walk::{MapWalk, WINDOW_ALIGNMENT};

/// A chunk of the content digest, in bytes.
pub(super) const CHUNK: usize = 1 << 20;

/// The unit of zero detection and of allocation, in bytes.
pub(super) const CLUSTER: usize = 64 << 10;

/// The longest span, in bytes: 64 clusters, one bit each in a `u64`.
pub(super) const MAX_SPAN: usize = 4 << 20;

const _: () = assert!(MAX_SPAN / CLUSTER == 64 && WINDOW_ALIGNMENT as usize % MAX_SPAN == 0);

/// What one worker does at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    /// Position in the order of tasks, from 0.
    pub sequence: u64,
    /// First byte of the span; a multiple of the span.
    pub start: u64,
    /// Length of the span in bytes; short at the end of the disk.
    pub length: usize,
    /// What must be read, in bytes from `start`; ascending, at least a cluster apart.
    pub ranges: Vec<Range<usize>>,
    /// How much data the map named in this span.
    pub data: u64,
}

/// The tasks of a source.
pub(super) struct Tasks<'a> {
    walk: MapWalk<'a>,
    extents: std::vec::IntoIter<Extent>,
    /// What is left of the data extent at hand.
    pending: Option<Range<u64>>,
    size: u64,
    span: u64,
    sequence: u64,
    data: u64,
}

impl<'a> Tasks<'a> {
    /// Tasks of `span` bytes: a power of two from [`CHUNK`] to [`MAX_SPAN`]. `from` is how far a former run came.
    pub(super) fn new(source: &'a dyn BlockSource, span: usize, from: Progress) -> Self {
        debug_assert!(span.is_power_of_two() && (CHUNK..=MAX_SPAN).contains(&span));
        let size = source.size();
        Self {
            walk: MapWalk::new(source, from.position, size),
            extents: Vec::new().into_iter(),
            pending: None,
            size,
            span: span as u64,
            sequence: 0,
            data: from.data,
        }
    }

    /// How many tasks were handed out.
    pub(super) fn handed_out(&self) -> u64 {
        self.sequence
    }

    /// Data bytes named by the map so far.
    pub(super) fn known_data(&self) -> u64 {
        self.data
    }

    /// The next span that holds data; `None` when the disk is done.
    pub(super) fn next(&mut self) -> Result<Option<Task>> {
        let Some(first) = self.take_across_windows()? else { return Ok(None) };
        let start = first.start - first.start % self.span;
        let end = (start + self.span).min(self.size);
        let mut task =
            Task { sequence: self.sequence, start, length: (end - start) as usize, ranges: Vec::new(), data: 0 };
        self.pending = Some(first);
        // A window ends on a span's boundary, so that a span never needs the next window.
        while let Some(range) = self.take_in_window() {
            if range.start >= end {
                self.pending = Some(range);
                break;
            }
            let stop = range.end.min(end);
            task.push((range.start - start) as usize..(stop - start) as usize);
            if range.end > stop {
                self.pending = Some(stop..range.end);
                break;
            }
        }
        self.sequence += 1;
        Ok(Some(task))
    }

    fn take_in_window(&mut self) -> Option<Range<u64>> {
        self.pending.take().or_else(|| {
            let extent = self.extents.find(|extent| extent.kind == ExtentKind::Data)?;
            Some(extent.offset..extent.offset + extent.length)
        })
    }

    fn take_across_windows(&mut self) -> Result<Option<Range<u64>>> {
        loop {
            if let Some(range) = self.take_in_window() {
                return Ok(Some(range));
            }
            let Some(extents) = self.walk.next()? else { return Ok(None) };
            let data = extents.iter().filter(|extent| extent.kind == ExtentKind::Data);
            self.data += data.map(|extent| extent.length).sum::<u64>();
            self.extents = extents.into_iter();
        }
    }
}

impl Task {
    /// Adds a data range. A gap of less than a cluster is read too: it saves a request, costs no cluster, and bounds the number
    /// of ranges whatever the map looks like.
    fn push(&mut self, range: Range<usize>) {
        self.data += range.len() as u64;
        match self.ranges.last_mut() {
            Some(last) if range.start - last.end < CLUSTER => last.end = range.end,
            _ => self.ranges.push(range),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::sources::MapSource;
    use super::*;

    proptest! {
        /// The tasks' ranges hold every data byte of the map, each once, in ascending spans.
        #[test]
        fn tasks_cover_the_data(lengths in prop::collection::vec((1u64..3 << 20, any::<bool>()), 1..60), wide in any::<bool>()) {
            let source = MapSource::alternating(&lengths);
            let span = if wide { MAX_SPAN } else { CHUNK };
            let mut tasks = Tasks::new(&source, span, Progress::default());
            let mut covered = vec![false; source.size() as usize / 512 + 1];
            let (mut last, mut data) = (None, 0);
            while let Some(task) = tasks.next().unwrap() {
                prop_assert!(last.is_none_or(|last| task.start >= last));
                prop_assert_eq!(task.start % span as u64, 0);
                prop_assert!(task.ranges.len() <= MAX_SPAN / CLUSTER);
                last = Some(task.start + task.length as u64);
                data += task.data;
                for range in &task.ranges {
                    prop_assert!(range.end <= task.length);
                    let first = (task.start as usize + range.start).div_ceil(512);
                    let end = (task.start as usize + range.end) / 512;
                    for sector in covered.iter_mut().take(end).skip(first) {
                        prop_assert!(!*sector);
                        *sector = true;
                    }
                }
            }
            prop_assert_eq!(data, source.data_bytes());
            prop_assert_eq!(tasks.known_data(), data);
            for extent in source.map().iter().filter(|extent| extent.kind == ExtentKind::Data) {
                for sector in extent.offset.div_ceil(512)..(extent.offset + extent.length) / 512 {
                    prop_assert!(covered[sector as usize]);
                }
            }
        }
    }
}
