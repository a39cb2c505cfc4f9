//! Tars that cannot be trusted, and the sentence each is refused with. This plugin's own tests read them, and so does
//! the hostile corpus of the whole program.

use tar::{EntryType, Header};

/// A member of a tar: header with whatever is wrong with it, and data.
fn member(name: &[u8], kind: EntryType, size: u64, data: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    finish(header, data)
}

fn finish(mut header: Header, data: &[u8]) -> Vec<u8> {
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub fn file(name: &str, data: &[u8]) -> Vec<u8> {
    member(name.as_bytes(), EntryType::Regular, data.len() as u64, data)
}

fn pax(records: &str) -> Vec<u8> {
    let lines: String = records
        .split(';')
        .map(|record| {
            let mut length = record.len() + 3;
            while format!("{length} {record}\n").len() != length {
                length += 1;
            }
            format!("{length} {record}\n")
        })
        .collect();
    member(b"x", EntryType::XHeader, lines.len() as u64, lines.as_bytes())
}

fn sparse(map: &[(u64, u64)], real: u64, stored: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..4].copy_from_slice(b"disk");
    header.set_entry_type(EntryType::GNUSparse);
    header.set_size(stored.len() as u64);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_real_size(real);
    for (slot, (offset, length)) in gnu.sparse.iter_mut().zip(map) {
        slot.set_offset(*offset);
        slot.set_length(*length);
    }
    finish(header, stored)
}

/// Every tar; each begins with this OVF, whose disks are `a.vmdk` and `b.vmdk`.
pub fn hostile(ovf: &str) -> Vec<(Vec<u8>, String)> {
    let ovf = file("web.ovf", ovf.as_bytes());
    let with = |member: Vec<u8>| [ovf.clone(), member].concat();
    let link = |kind| member(b"a.vmdk", kind, 0, b"");
    let mut torn = file("a.vmdk", b"data");
    torn[0] ^= 1;
    let records: Vec<u8> = (0..20).flat_map(|_| pax("comment=x")).collect();
    let at = ovf.len();
    vec![
        (
            with(file("../a.vmdk", b"x")),
            "the name '../a.vmdk' is refused: it is a path that leads outside of its folder".to_owned(),
        ),
        (
            with(file("sub/../../a", b"x")),
            "the name 'sub/../../a' is refused: it is a path that leads outside of its folder".into(),
        ),
        (with(file("/etc/passwd", b"x")), "the name '/etc/passwd' is refused: it is an absolute path".into()),
        (
            with(file("C:\\a.vmdk", b"x")),
            "the name 'C:\\a.vmdk' is refused: it is an absolute path of a Windows machine".into(),
        ),
        (with(member(b"a\xff", EntryType::Regular, 0, b"")), "the member 'a\\xff' has a name that is not UTF-8".into()),
        (
            with(pax("path=../../x;comment=y")),
            "web.ovf: disk 'd1': a.vmdk: there is no such file in the archive".into(),
        ),
        (
            with([pax("path=../../x"), file("ok", b"x")].concat()),
            "the name '../../x' is refused: it is a path that leads outside of its folder".into(),
        ),
        (with([file("a", b"x"), file("./a", b"x")].concat()), "the archive has two members called 'a'".into()),
        (with([file("a", b"x"), file("a/b", b"x")].concat()), "'a' is a file and a folder at once".into()),
        (with(link(EntryType::Symlink)), "its member 'a.vmdk' is a symbolic link, not a file".into()),
        (with(link(EntryType::Link)), "its member 'a.vmdk' is a hard link, not a file".into()),
        (with(link(EntryType::Char)), "its member 'a.vmdk' is a character device, not a file".into()),
        (with(link(EntryType::Block)), "its member 'a.vmdk' is a block device, not a file".into()),
        (with(link(EntryType::Fifo)), "its member 'a.vmdk' is a FIFO, not a file".into()),
        (
            with(link(EntryType::new(b'M'))),
            "its member 'a.vmdk' is the rest of a file of another archive, not a file".into(),
        ),
        (with(link(EntryType::new(b'?'))), "its member 'a.vmdk' is of an unknown kind, not a file".into()),
        (
            with(member(b"a.vmdk", EntryType::Regular, 1 << 40, b"x")),
            format!(
                "its member 'a.vmdk' of 1099511627776 bytes ends past the end of the archive, which has {} bytes",
                at + 1024
            ),
        ),
        (
            with(member(b"a.vmdk", EntryType::Regular, u64::MAX, b"x")),
            format!(
                "its member 'a.vmdk' of 18446744073709551615 bytes ends past the end of the archive, which has {} bytes",
                at + 1024
            ),
        ),
        (
            with([pax("size=99999999"), file("a", b"x")].concat()),
            format!("its member 'a' of 99999999 bytes ends past the end of the archive, which has {} bytes", at + 2048),
        ),
        (
            with([pax("size=-1"), file("a", b"x")].concat()),
            format!("the tar is damaged at offset {}: a member's size is not a number", at + 512),
        ),
        (with(torn), format!("the tar is damaged at offset {at}: a header's checksum is wrong")),
        (with(vec![1; 100]), format!("the tar is damaged at offset {at}: the archive ends in the midst of a header")),
        (
            with(member(b"x", EntryType::GNULongName, 2 << 20, &[b'a'; 2 << 20])),
            format!(
                "the tar is damaged at offset {}: an extension record of 2097152 bytes; the limits are 1048576 bytes and 16 in a row",
                at + 512
            ),
        ),
        (
            with(records),
            format!(
                "the tar is damaged at offset {}: an extension record of 13 bytes; the limits are 1048576 bytes and 16 in a row",
                at + 512 + 16 * 1024
            ),
        ),
        (
            with(sparse(&[(0, 512), (256, 512)], 2048, &[1; 1024])),
            "disk: its 512 bytes at offset 256 do not lie inside of the file they are stored in, or overlap others"
                .into(),
        ),
        (
            with(sparse(&[(0, 1 << 30)], 2048, &[1; 1024])),
            format!(
                "disk: the tar is damaged at offset {}: the map of a sparse member names more than is stored",
                at + 512
            ),
        ),
        (
            with(sparse(&[(4096, 512)], 2048, &[1; 512])),
            "disk: its 512 bytes at offset 4096 do not lie inside of the file they are stored in, or overlap others"
                .into(),
        ),
        (
            with([pax("GNU.sparse.major=1;GNU.sparse.realsize=9"), file("a", b"99999999999999999999999")].concat()),
            format!("a: the tar is damaged at offset {}: the map in front of a sparse member is malformed", at + 1536),
        ),
        (
            with([pax("GNU.sparse.major=1;GNU.sparse.realsize=9"), file("a", b"2000000\n")].concat()),
            format!("a: the tar is damaged at offset {}: the map in front of a sparse member is malformed", at + 1536),
        ),
        (
            with([pax("GNU.sparse.map=0,x;GNU.sparse.size=9"), file("a", b"99")].concat()),
            format!("a: the tar is damaged at offset {}: the map of a sparse member holds no number", at + 1024),
        ),
        (
            with([pax("GNU.sparse.numblocks=1;GNU.sparse.size=9"), file("a", b"99")].concat()),
            "a: it is stored as a sparse file of a version that is not known".into(),
        ),
    ]
}
