//! The ring of security descriptors, which keys share: whole both ways, and each used by as many keys as it says.

use std::collections::BTreeMap;

use super::cells::{Cells, u32_in};
use super::{Contents, Faults};

pub fn walk(cells: &mut Cells<'_>, contents: &Contents<'_>, faults: &mut Faults) {
    let mut users: BTreeMap<u32, u32> = BTreeMap::new();
    for node in contents.nodes() {
        *users.entry(node.security_cell).or_default() += 1;
    }
    let Some(first) = users.keys().next().copied() else { return };
    let mut at = first;
    loop {
        let Some(cell) = cells.claim_as(at, b"sk", 20, faults) else { return };
        let number = |at| u32_in(cell, at).unwrap_or_default();
        let (next, stated, found) = (number(4), number(12), users.remove(&at).unwrap_or_default());
        if stated != found {
            faults.add(at, format!("a security descriptor says that {stated} keys use it, but {found} do"));
        }
        let Some(following) = cells.look(next, faults) else { return };
        if u32_in(following, 8) != Some(at) {
            faults.add(next, "a security descriptor does not lead back to the one before it");
            return;
        }
        at = next;
        if at == first {
            break;
        }
    }
    for at in users.keys() {
        faults.add(*at, "a security descriptor is outside of the ring of all");
    }
}
