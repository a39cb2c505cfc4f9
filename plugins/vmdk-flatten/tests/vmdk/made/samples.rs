//! One small disk of each format whose files the fuzz targets and the mutation tests change, and how a changed file is presented
//! to the reader so that it gets past the descriptor.

use std::sync::OnceLock;

use super::{Noise, cowd, descriptor, hosted, se_sparse, stream};

/// A format with its changed file: the name of its fuzz target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    Descriptor,
    Sparse,
    Stream,
    Cowd,
    SeSparse,
}

impl Sample {
    pub const ALL: [Self; 5] = [Self::Descriptor, Self::Sparse, Self::Stream, Self::Cowd, Self::SeSparse];

    /// Whole files, as a writer would leave them.
    pub fn seeds(self) -> Vec<Vec<u8>> {
        let mut noise = Noise(0x5eed);
        match self {
            Self::Descriptor => DESCRIPTORS.iter().map(|text| text.replace('\n', "\r\n").into_bytes()).collect(),
            Self::Sparse => [8, 100, 511 * 8 + 3]
                .map(|sectors: u64| {
                    let cells = noise.cells(sectors.div_ceil(8) as usize, hosted::GRAIN, true);
                    // Few grains: what is fuzzed is the metadata.
                    hosted::write(&thinned(cells, 10), sectors, noise.order(sectors.div_ceil(8) as usize))
                })
                .into(),
            Self::Stream => [1usize, 70_000, 300_000]
                .map(|length| {
                    let mut disk = noise.bytes(length);
                    disk.resize(length.next_multiple_of(512), 0);
                    stream::write(&disk, "x.vmdk")
                })
                .into(),
            Self::Cowd => [1, 300, 9000]
                .map(|sectors| {
                    let cells = noise.cells(sectors as usize, 512, false);
                    cowd::write(&thinned(cells, 40), 1, sectors, noise.order(sectors as usize))
                })
                .into(),
            Self::SeSparse => [8, 800, 33_600]
                .map(|sectors| {
                    let cells = noise.cells(sectors as usize / 8, 4096, true);
                    se_sparse::write(&thinned(cells, 10), sectors, noise.order(sectors as usize / 8))
                })
                .into(),
        }
    }

    /// The disk whose changed file holds `bytes`: names and contents, that to be opened first.
    pub fn files(self, bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        let number = |at: usize, width: usize| {
            let bytes = bytes.get(at..at + width).unwrap_or_default();
            bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let above = |kind: &str, extent: &str, capacity: u64| {
            // The descriptor agrees with the header, so that the tables are reached.
            let text = descriptor(kind, 1, None, &format!("RW {} {extent} \"x\"", capacity.max(1)));
            vec![("d.vmdk", text.into_bytes()), ("x", bytes.to_vec())]
        };
        match self {
            Self::Descriptor => {
                static OTHERS: OnceLock<Vec<(&str, Vec<u8>)>> = OnceLock::new();
                let others = OTHERS.get_or_init(|| {
                    vec![
                        ("p.vmdk", descriptor("vmfs", 2, None, "RW 16 VMFS \"flat\"").into_bytes()),
                        ("flat", vec![7; 16 * 512]),
                        ("hosted", Self::Sparse.seeds().remove(1)),
                        ("cowd", Self::Cowd.seeds().remove(1)),
                        ("sesparse", Self::SeSparse.seeds().remove(1)),
                    ]
                });
                [&[("d.vmdk", bytes.to_vec())], others.as_slice()].concat()
            }
            Self::Sparse => above("monolithicSparse", "SPARSE", number(12, 8)),
            Self::Stream => vec![("x.vmdk", bytes.to_vec())],
            Self::Cowd => above("vmfsSparse", "VMFSSPARSE", number(12, 4)),
            Self::SeSparse => above("seSparse", "SESPARSE", number(16, 8)),
        }
    }
}

const DESCRIPTORS: &[&str] = &[
    "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"vmfs\"\nRW 16 VMFS \"flat\"\n",
    "# Disk DescriptorFile\nversion=1\nencoding=\"windows-1252\"\nCID=1\nparentCID=2\ncreateType=\"vmfsSparse\"\n\
     parentFileNameHint=\"p.vmdk\"\nRW 300 VMFSSPARSE \"cowd\"\nchangeTrackPath=\"d-ctk.vmdk\"\nddb.adapterType = \"lsilogic\"\n",
    "version = 1\ncid = fffffffe\nCREATETYPE = twoGbMaxExtentFlat\nRDONLY 4 FLAT \"flat\" 1\nRW 3 ZERO\nrw 2 FLAT \"flat\" 0\n\
     NOACCESS 2 ZERO\n",
    "# Disk DescriptorFile\nCID=1\nparentCID=2\ncreateType=\"seSparse\"\nparentFileNameHint=\"p.vmdk\"\n\
     RW 800 SESPARSE \"sesparse\"\nRW 100 SPARSE \"hosted\"\n",
];

/// The cells without most of their data.
fn thinned(cells: Vec<super::Cell>, most: usize) -> Vec<super::Cell> {
    let mut left = most;
    let keep = |cell| match cell {
        super::Cell::Data(_) if left == 0 => super::Cell::Absent,
        super::Cell::Data(bytes) => {
            left -= 1;
            super::Cell::Data(bytes)
        }
        other => other,
    };
    cells.into_iter().map(keep).collect()
}
