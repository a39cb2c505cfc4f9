//! A writer of `streamOptimized` files as VMware makes them: directory at the end, found by a footer. qemu makes no such files.

use libdeflater::{CompressionLvl, Compressor};

const GRAIN: usize = 65536;

/// The streamed form of a disk. Grains of zeros are left out; grain tables are written behind their grains.
pub fn write(disk: &[u8], name: &str) -> Vec<u8> {
    let capacity = disk.len() as u64 / 512;
    let mut file = header(capacity, u64::MAX);
    let text = format!(
        "# Disk DescriptorFile\nversion=1\nCID=7e57ab1e\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\n\n\
         # Extent description\nRW {capacity} SPARSE \"{name}\"\n\n#DDB\nddb.adapterType = \"lsilogic\"\n"
    );
    file.extend_from_slice(text.as_bytes());
    file.resize(128 * 512, 0);
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut directory = Vec::new();
    for (number, part) in disk.chunks(GRAIN * 512).enumerate() {
        let mut table = Vec::new();
        for (slot, grain) in part.chunks(GRAIN).enumerate() {
            if grain.iter().all(|byte| *byte == 0) {
                table.push(0);
                continue;
            }
            table.push(sector(&file));
            // VMware fills the last grain up.
            let mut grain = grain.to_vec();
            grain.resize(GRAIN, 0);
            let mut packed = vec![0; compressor.zlib_compress_bound(GRAIN)];
            let length = compressor.zlib_compress(&grain, &mut packed).unwrap();
            let start = (number * 512 + slot) as u64 * 128;
            file.extend_from_slice(&start.to_le_bytes());
            file.extend_from_slice(&(length as u32).to_le_bytes());
            file.extend_from_slice(&packed[..length]);
            pad(&mut file);
        }
        table.resize(512, 0);
        if table.iter().all(|entry| *entry == 0) {
            directory.push(0);
            continue;
        }
        marker(&mut file, 4, 1);
        directory.push(sector(&file));
        file.extend(table.iter().flat_map(|entry| entry.to_le_bytes()));
    }
    marker(&mut file, (directory.len() as u64 * 4).div_ceil(512), 2);
    let place = u64::from(sector(&file));
    file.extend(directory.iter().flat_map(|entry| entry.to_le_bytes()));
    pad(&mut file);
    marker(&mut file, 1, 3);
    file.extend(header(capacity, place));
    file.extend([0; 512]);
    file
}

fn header(capacity: u64, directory: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(*b"KDMV");
    bytes.extend(3u32.to_le_bytes());
    bytes.extend(0x30001u32.to_le_bytes());
    for number in [capacity, 128, 1, 20] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(512u32.to_le_bytes());
    for number in [0, directory, 128] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(*b"\0\n \r\n\x01\0");
    bytes.resize(512, 0);
    bytes
}

/// A metadata marker: the number of sectors that follow it, and what they are.
fn marker(file: &mut Vec<u8>, sectors: u64, kind: u32) {
    file.extend(sectors.to_le_bytes());
    file.extend(0u32.to_le_bytes());
    file.extend(kind.to_le_bytes());
    pad(file);
}

fn sector(file: &[u8]) -> u32 {
    u32::try_from(file.len() / 512).unwrap()
}

fn pad(file: &mut Vec<u8>) {
    file.resize(file.len().next_multiple_of(512), 0);
}
