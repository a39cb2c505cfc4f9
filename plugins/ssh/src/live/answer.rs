//! What the guest's scripts print, read again. Nothing in it is believed beyond its form.

use vmdk2kvm_plugin_api::{Entry, FileKind, Stat};

use super::guest::kind;

/// What is at a path that was to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Nothing,
    File(Vec<u8>),
    Folder,
    Other,
    /// More than was asked for.
    Large,
}

/// A digit for each path, then a line for each one that is a 1.
pub(super) fn stats(text: &str, paths: usize) -> Option<Vec<Option<Stat>>> {
    let (digits, rest) = text.split_once('\n')?;
    if digits.len() != paths {
        return None;
    }
    let mut lines = rest.lines();
    let found = digits.bytes().map(|digit| match digit {
        b'0' => Some(None),
        b'1' => stat(lines.next()?).map(Some),
        _ => None,
    });
    let found = found.collect::<Option<Vec<_>>>()?;
    lines.all(str::is_empty).then_some(found)
}

/// `81a4 120 0 0`: mode in hexadecimal digits, size, owner, group.
fn stat(line: &str) -> Option<Stat> {
    let mut words = line.split(' ');
    let mode = u32::from_str_radix(words.next()?, 16).ok()?;
    let (size, uid, gid) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then(|| {
        Stat::new(kind(mode), size, mode & 0o7777).with(|it| {
            it.uid = uid;
            it.gid = gid;
        })
    })
}

/// For each path `f SIZE`, the bytes and a line feed; or a word without bytes. `None` also where a file got shorter meanwhile.
pub(super) fn contents(bytes: &[u8], paths: usize) -> Option<Vec<Content>> {
    let mut found = Vec::with_capacity(paths);
    let mut rest = bytes;
    for _ in 0..paths {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (word, size) = std::str::from_utf8(&rest[..end]).ok()?.split_once(' ')?;
        let size: usize = size.parse().ok()?;
        rest = &rest[end + 1..];
        found.push(match word {
            "n" => Content::Nothing,
            "d" => Content::Folder,
            "o" => Content::Other,
            "l" => Content::Large,
            "f" => {
                let content = rest.get(..size)?.to_vec();
                rest = rest[size..].strip_prefix(b"\n")?;
                Content::File(content)
            }
            _ => return None,
        });
    }
    rest.is_empty().then_some(found)
}

/// `fNAME`, each ended by a zero; names that are not UTF-8 are left out.
pub(super) fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut found = Vec::new();
    for item in bytes.split(|byte| *byte == 0).filter(|item| !item.is_empty()) {
        let kind = match item[0] {
            b'f' => FileKind::File,
            b'd' => FileKind::Dir,
            b'l' => FileKind::Symlink,
            b'o' => FileKind::Other,
            _ => return None,
        };
        // A name that is not UTF-8 cannot be named in a plan; nothing that a system needs has one.
        let Ok(name) = std::str::from_utf8(&item[1..]) else { continue };
        if name.is_empty() || name.contains('/') {
            return None;
        }
        found.push(Entry::new(name, kind));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_files() {
        let file = Stat::new(FileKind::File, 120, 0o644);
        let link = Stat::new(FileKind::Symlink, 7, 0o777).with(|it| (it.uid, it.gid) = (5, 6));
        assert_eq!(stats("101\n81a4 120 0 0\na1ff 7 5 6\n", 3), Some(vec![Some(file), None, Some(link)]));
        assert_eq!(stats("0\n", 1), Some(vec![None]));
        for bad in ["", "1\n", "10\n81a4 1 0 0\n", "1\n81a4 1 0\n", "1\nxyz 1 0 0\n", "1\n81a4 1 0 0\nmore\n", "2\n"] {
            assert_eq!(stats(bad, 1), None, "{bad:?}");
        }
    }

    #[test]
    fn contents_of_files() {
        let found = contents(b"f 3\na\nb\nn 0\nd 0\nl 900\no 0\nf 0\n\n", 6).unwrap();
        let file = |text: &str| Content::File(text.as_bytes().to_vec());
        assert_eq!(found, [file("a\nb"), Content::Nothing, Content::Folder, Content::Large, Content::Other, file("")]);
        for bad in ["f 4\na\nb\n", "f 2\na\nb\n", "f x\n", "n 0\nn 0\n", "f 99999999999999999999\n", ""] {
            assert_eq!(contents(bad.as_bytes(), 1), None, "{bad:?}");
        }
    }

    #[test]
    fn names_in_a_folder() {
        let found = entries(b"fz\0dsub dir\0l\xff\0o.s\0").unwrap();
        let names: Vec<(&str, FileKind)> = found.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
        assert_eq!(names, [(".s", FileKind::Other), ("sub dir", FileKind::Dir), ("z", FileKind::File)]);
        for bad in [&b"x\0"[..], b"f\0", b"f../x\0"] {
            assert_eq!(entries(bad), None);
        }
    }
}
