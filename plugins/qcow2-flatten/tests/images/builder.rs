//! Builds QCOW2 images by hand, right ones and wrong ones: no reference counts, which reading does not need.

/// What a cluster of a built image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    Nowhere,
    /// By the zero flag of version 3.
    Zero,
    /// Filled with this byte.
    Plain(u8),
    /// Filled with this byte, deflated.
    Deflated(u8),
    /// Subclusters by bitmap: allocated ones filled with this byte, then those that read as zeros. Extended L2 only.
    Sub(u8, u32, u32),
}

/// An image to be built.
#[derive(Debug, Clone)]
pub struct Image {
    pub version: u32,
    pub cluster_bits: u32,
    pub extended: bool,
    pub size: u64,
    /// From the first cluster on; the rest is nowhere.
    pub clusters: Vec<Cluster>,
    /// Name and format of the backing file.
    pub backing: Option<(String, Option<String>)>,
}

impl Image {
    pub fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    fn per_table(&self) -> usize {
        (self.cluster() / if self.extended { 16 } else { 8 }) as usize
    }

    /// The image's bytes: header, L1 table, L2 tables, clusters; each at the beginning of a cluster.
    pub fn build(&self) -> Vec<u8> {
        let cluster = self.cluster() as usize;
        let tables = (self.size.div_ceil(self.cluster()) as usize).div_ceil(self.per_table());
        let mut out = vec![0; cluster];
        let l1 = out.len();
        out.resize(out.len() + (tables * 8).next_multiple_of(cluster), 0);
        for (number, clusters) in self.clusters.chunks(self.per_table()).enumerate() {
            let table = out.len();
            put64(&mut out, l1 + number * 8, 1 << 63 | table as u64);
            out.resize(table + cluster, 0);
            for (index, what) in clusters.iter().enumerate() {
                let (entry, bitmap) = self.store(*what, &mut out);
                if self.extended {
                    put64(&mut out, table + index * 16, entry);
                    put64(&mut out, table + index * 16 + 8, bitmap);
                } else {
                    put64(&mut out, table + index * 8, entry);
                }
            }
            out.resize(out.len().next_multiple_of(cluster), 0);
        }
        self.header(&mut out, l1 as u64, tables as u32);
        out
    }

    fn store(&self, what: Cluster, out: &mut Vec<u8>) -> (u64, u64) {
        let cluster = self.cluster() as usize;
        let plain = |out: &mut Vec<u8>, byte: u8| {
            out.resize(out.len().next_multiple_of(cluster), 0);
            let at = out.len() as u64;
            out.resize(out.len() + cluster, byte);
            1 << 63 | at
        };
        match what {
            Cluster::Nowhere => (0, 0),
            Cluster::Zero if self.extended => (0, 0xffff_ffff << 32),
            Cluster::Zero => (1, 0),
            Cluster::Plain(byte) => (plain(out, byte), 0xffff_ffff),
            Cluster::Sub(byte, allocated, zero) => {
                (plain(out, byte), u64::from(allocated) | u64::from(zero & !allocated) << 32)
            }
            Cluster::Deflated(byte) => {
                let mut compressor = libdeflater::Compressor::default();
                let mut data = vec![0; cluster + 1000];
                let length = compressor.deflate_compress(&vec![byte; cluster], &mut data).unwrap();
                let at = out.len();
                out.extend(&data[..length]);
                let sectors = (at % 512 + length).div_ceil(512) - 1;
                (1 << 62 | (sectors as u64) << (62 - (self.cluster_bits - 8)) | at as u64, 0)
            }
        }
    }

    fn header(&self, out: &mut [u8], l1: u64, tables: u32) {
        out[..4].copy_from_slice(b"QFI\xfb");
        put32(out, 4, self.version);
        put32(out, 20, self.cluster_bits);
        put64(out, 24, self.size);
        put32(out, 36, tables);
        put64(out, 40, l1);
        let mut at = 72;
        if self.version >= 3 {
            put64(out, 72, u64::from(self.extended) << 4);
            put32(out, 96, 4);
            put32(out, 100, 104);
            at = 104;
        }
        let Some((name, format)) = &self.backing else { return };
        if let Some(format) = format {
            put32(out, at, 0xe279_2aca);
            put32(out, at + 4, format.len() as u32);
            out[at + 8..at + 8 + format.len()].copy_from_slice(format.as_bytes());
            at += 8 + format.len().next_multiple_of(8);
        }
        at += 8;
        put64(out, 8, at as u64);
        put32(out, 16, name.len() as u32);
        out[at..at + name.len()].copy_from_slice(name.as_bytes());
    }

    /// What a guest sees of this image above `below`.
    pub fn model(&self, below: &[u8]) -> Vec<u8> {
        let mut disk = below.to_vec();
        disk.resize(self.size as usize, 0);
        let sub = self.cluster() as usize / 32;
        for (chunk, what) in disk.chunks_mut(self.cluster() as usize).zip(&self.clusters) {
            match *what {
                Cluster::Nowhere => {}
                Cluster::Zero => chunk.fill(0),
                Cluster::Plain(byte) | Cluster::Deflated(byte) => chunk.fill(byte),
                Cluster::Sub(byte, allocated, zero) => {
                    for (index, part) in chunk.chunks_mut(sub).enumerate() {
                        if allocated >> index & 1 != 0 {
                            part.fill(byte);
                        } else if zero >> index & 1 != 0 {
                            part.fill(0);
                        }
                    }
                }
            }
        }
        disk
    }
}

pub fn put32(out: &mut [u8], at: usize, value: u32) {
    out[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

pub fn put64(out: &mut [u8], at: usize, value: u64) {
    out[at..at + 8].copy_from_slice(&value.to_be_bytes());
}
