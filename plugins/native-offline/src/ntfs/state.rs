//! Whether the volume was let go of as it should be: what waits in its journal is not replayed here.

use vmdk2kvm_plugin_api::Result;

use super::file::{DATA, File, Table, VOLUME};
use super::record::mend;
use super::stream::Stream;
use crate::bytes::{cannot, damaged, le16, le32, le64};

/// Flags of a volume: that a check of the disk changed it, which is over.
const CHECKED: u16 = 0x8000;
const DIRTY: u16 = 1;
/// Where the two pages are that say how the journal stands, in bytes.
const PAGE: usize = 4096;
/// In such a page: nobody uses the journal.
const NOBODY: u16 = 0xffff;
/// The volume was let go of.
const CLEAN: u16 = 2;

/// The number of the versions that are known: that of Windows 2000, and of all since XP.
pub fn check_volume(volume: &File) -> Result<()> {
    let information = volume.resident(VOLUME, "")?;
    if information.len() < 12 {
        return Err(damaged("its own description is damaged"));
    }
    let (major, minor, flags) = (information[8], information[9], le16(information, 10));
    if major != 3 || minor > 1 {
        return Err(cannot(format!("NTFS of version {major}.{minor} is not known")));
    }
    if flags & DIRTY != 0 {
        return Err(cannot("it was not unmounted cleanly, and waits for a check"));
    }
    match flags & !CHECKED {
        0 => Ok(()),
        other => Err(cannot(format!("its flags {other:#x} are not known"))),
    }
}

/// The journal: empty, or closed.
pub fn check_journal(table: &Table, journal: &File) -> Result<()> {
    let content = journal.find(DATA, "")?.ok_or_else(|| damaged("its journal is missing"))?;
    let Stream::Placed(placed) = content else { return Err(damaged("its journal is damaged")) };
    if placed.sizes.size < 4 * PAGE as u64 {
        return Err(damaged("its journal is damaged"));
    }
    let mut pages = vec![0; 4 * PAGE];
    placed.read(&table.clusters, 0, &mut pages)?;
    if pages.iter().all(|byte| *byte == 0xff) {
        return Ok(());
    }
    let size = le32(&pages, 16) as usize;
    let second = if matches!(size, 512..=8192) { size } else { PAGE };
    let states = [0, second].map(|at| state(&pages[at..at + second]));
    let newest = states.into_iter().flatten().max_by_key(|state| state.time);
    match newest {
        Some(State { is_closed: true, .. }) => Ok(()),
        Some(_) => Err(cannot("it was not unmounted cleanly: its journal is in use")),
        None => Err(cannot("its journal is of an unknown kind")),
    }
}

struct State {
    /// The number of what was written last.
    time: u64,
    is_closed: bool,
}

/// What a page says; `None`: it is none, or half written.
fn state(page: &[u8]) -> Option<State> {
    let mut page = page.to_vec();
    mend(&mut page, *b"RSTR").ok()?;
    let (area, major) = (usize::from(le16(&page, 24)), le16(&page, 28));
    if area < 30 || area % 8 != 0 || area + 48 > page.len() || !matches!(major, 1 | 2) {
        return None;
    }
    let (users, flags) = (le16(&page, area + 12), le16(&page, area + 14));
    Some(State { time: le64(&page, area), is_closed: users == NOBODY || flags & CLEAN != 0 })
}
