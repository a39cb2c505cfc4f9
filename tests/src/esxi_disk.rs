//! Disks as an ESXi host keeps them: descriptors, flat extents, and sparse ones of snapshots (`vmfsSparse`, "Virtual Disk Format 5.0", section "ESX Server Sparse Extents").

/// Entries of a grain table, and sectors of a grain.
const TABLE: usize = 4096;
const SECTOR: usize = 512;
/// Where the directory is, in sectors.
const DIRECTORY: usize = 4;

/// A descriptor with one extent. `parent_cid` and `parent`: of a snapshot.
pub fn descriptor(
    cid: u32,
    parent_cid: Option<&str>,
    create_type: &str,
    sectors: u64,
    kind: &str,
    extent: &str,
    parent: Option<&str>,
) -> String {
    let parent_line = parent.map(|name| format!("parentFileNameHint=\"{name}\"\n")).unwrap_or_default();
    let parent_cid = parent_cid.unwrap_or("ffffffff");
    format!(
        "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID={cid:08x}\nparentCID={parent_cid}\nisNativeSnapshot=\"no\"\ncreateType=\"{create_type}\"\n{parent_line}\
         # Extent description\nRW {sectors} {kind} \"{extent}\"\n\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"lsilogic\"\nddb.virtualHWVersion = \"19\"\n"
    )
}

/// The value of a key of a descriptor.
pub fn value_of(descriptor: &str, key: &str) -> Option<String> {
    descriptor.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix('=')?.trim_matches('"').to_owned()))
}

/// A sparse extent in which these sectors were written.
pub fn sparse_extent(sectors: u64, written: &[(usize, [u8; SECTOR])]) -> Vec<u8> {
    let put =
        |file: &mut Vec<u8>, at: usize, number: usize| file[at..at + 4].copy_from_slice(&(number as u32).to_le_bytes());
    let tables = (sectors as usize).div_ceil(TABLE);
    let mut file = vec![0; (DIRECTORY * SECTOR + tables * 4).next_multiple_of(SECTOR)];
    file[..4].copy_from_slice(b"COWD");
    for (index, number) in [1, 3, sectors as usize, 1, DIRECTORY, tables].into_iter().enumerate() {
        put(&mut file, 4 + index * 4, number);
    }
    for (sector, bytes) in written {
        let entry = DIRECTORY * SECTOR + sector / TABLE * 4;
        let mut table = u32::from_le_bytes(file[entry..entry + 4].try_into().unwrap()) as usize;
        if table == 0 {
            table = file.len() / SECTOR;
            put(&mut file, entry, table);
            file.resize(file.len() + TABLE * 4, 0);
        }
        let place = file.len() / SECTOR;
        put(&mut file, table * SECTOR + sector % TABLE * 4, place);
        file.extend_from_slice(bytes);
    }
    let end = file.len() / SECTOR;
    put(&mut file, 28, end);
    file
}
