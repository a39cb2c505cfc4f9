//! What the fuzz targets share: a sound filesystem, which an input damages where a walk reads it, is walked to its end or to an error.
//!
//! How to run one is in the plugin's README.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use vmdk2kvm_native_offline::open_filesystem;
use vmdk2kvm_offline_guest::Filesystem;
use vmdk2kvm_plugin_api::{BlockSource, FileKind, PluginError, Result};

/// Most names of a walk: more than a sound filesystem of these has.
const MAX_NAMES: usize = 20_000;
/// Most bytes of a file that is read.
const MAX_FILE: u64 = 4 << 20;

/// Where the sound filesystem of a type is.
pub fn base(fstype: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/base")).join(fstype)
}

/// A filesystem in memory, of which some bytes are others.
struct Image {
    bytes: &'static [u8],
    damage: Vec<(u64, u8)>,
    read: Mutex<Vec<(u64, u64)>>,
}

impl BlockSource for Image {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let from = offset as usize;
        let found = self.bytes.get(from..from.saturating_add(buffer.len()));
        buffer.copy_from_slice(found.ok_or_else(|| PluginError::io("a read outside of the device"))?);
        for (at, value) in &self.damage {
            if let Some(byte) = at.checked_sub(offset).and_then(|at| buffer.get_mut(at as usize)) {
                *byte = *value;
            }
        }
        if self.damage.is_empty() {
            self.read.lock().expect("no reader panics").push((offset, buffer.len() as u64));
        }
        Ok(buffer.len())
    }
}

/// The filesystem, and where a walk of it reads.
fn sound(fstype: &str) -> &'static (&'static [u8], Vec<(u64, u64)>) {
    static SOUND: OnceLock<(&[u8], Vec<(u64, u64)>)> = OnceLock::new();
    SOUND.get_or_init(|| {
        let bytes: &[u8] = std::fs::read(base(fstype)).expect("the seeds were made").leak();
        let image = Arc::new(Image { bytes, damage: Vec::new(), read: Mutex::default() });
        let filesystem = open_filesystem(fstype, image.clone(), None).expect("a sound filesystem").expect("its top");
        assert!(walk(filesystem.as_ref()).expect("a sound filesystem") > 10);
        let mut places = image.read.lock().expect("no reader panics").clone();
        places.sort_unstable();
        places.dedup();
        (bytes, places)
    })
}

/// Each five bytes of the input: which of what is read, where in it, and what is there.
pub fn damaged(fstype: &str, input: &[u8]) {
    let (bytes, places) = sound(fstype);
    let patch = |raw: &[u8]| {
        let (start, length) = places[usize::from(u16::from_le_bytes([raw[0], raw[1]])) % places.len()];
        (start + u64::from(u16::from_le_bytes([raw[2], raw[3]])) % length, raw[4])
    };
    let damage: Vec<(u64, u8)> = input.chunks_exact(5).map(patch).collect();
    let image = Image { bytes, damage, read: Mutex::default() };
    if let Ok(Some(filesystem)) = open_filesystem(fstype, Arc::new(image), None) {
        let _ = walk(filesystem.as_ref());
        filesystem.free();
    }
}

/// How many names there are. What is found has a name that is one, and a file as many bytes as it says.
fn walk(filesystem: &dyn Filesystem) -> Result<usize> {
    let (mut left, mut count) = (vec!["/".to_owned()], 0);
    while let Some(path) = left.pop() {
        count += 1;
        // A damaged folder may be below itself.
        if count > MAX_NAMES || path.len() > 2000 {
            break;
        }
        let Some(found) = filesystem.stat(&path)? else { continue };
        match found.kind {
            FileKind::Dir => {
                for entry in filesystem.list(&path)? {
                    left.push(format!("{}/{}", path.trim_end_matches('/'), entry.name));
                }
            }
            FileKind::Symlink => drop(filesystem.read_link(&path)?),
            FileKind::File if found.size <= MAX_FILE => {
                assert_eq!(filesystem.read(&path)?.len() as u64, found.size, "{path}");
            }
            FileKind::File | FileKind::Other => {}
        }
    }
    Ok(count)
}
