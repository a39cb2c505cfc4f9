//! Differencing images on parents of each kind.

use crate::builder::{Parent, expected, footer, put64, seal, sparse};
use crate::memory::Images;

const CAPACITY: u64 = 1 << 20;
const BASE: &[(u64, u8)] = &[(0, 1), (7, 1), (129, 1), (2000, 1)];
const MIDDLE: &[(u64, u8)] = &[(7, 2), (8, 2), (300, 2)];
const TOP: &[(u64, u8)] = &[(8, 3), (129, 3), (2047, 3)];

fn child(id: u8, parent: u8, relative: &str, plain: &str, sectors: &[(u64, u8)]) -> Vec<u8> {
    sparse(CAPACITY, id, Some(&Parent { id: parent, relative, plain }), sectors)
}

#[test]
fn a_chain_reads_sector_by_sector_from_whoever_wrote_last() {
    let fixed = [expected(CAPACITY, &[BASE]), footer(2, CAPACITY, 1)].concat();
    for base in [fixed, sparse(CAPACITY, 1, None, BASE)] {
        let images = Images::default()
            .with("base.vhd", base)
            .with("middle.vhd", child(2, 1, ".\\base.vhd", "base.vhd", MIDDLE))
            .with("top.avhd", child(3, 2, ".\\middle.vhd", "middle.vhd", TOP));
        for piece in [CAPACITY as usize, 700] {
            let (content, report) = images.read("top.avhd", piece).unwrap();
            assert!(content == expected(CAPACITY, &[BASE, MIDDLE, TOP]));
            let objects: Vec<_> = report.links.iter().map(|link| link.object.as_str()).collect();
            assert_eq!(objects, ["top.avhd", "middle.vhd", "base.vhd"]);
            assert_eq!(report.links[0].parent_content_id, report.links[1].content_id);
        }
    }
}

#[test]
fn a_parent_is_found_by_its_last_name_and_only_by_its_own_id() {
    let base = sparse(CAPACITY, 1, None, BASE);
    for (relative, plain) in
        [("..\\elsewhere\\base.vhd", "x"), ("", "C:\\VMs\\base.vhd"), ("gone\\base.vhd", ""), (".\\base.vhd", "")]
    {
        let images =
            Images::default().with("base.vhd", base.clone()).with("top.vhd", child(2, 1, relative, plain, TOP));
        assert!(images.read("top.vhd", 1 << 20).unwrap().0 == expected(CAPACITY, &[BASE, TOP]), "{relative}");
    }
    let other = Images::default().with("base.vhd", base.clone()).with("top.vhd", child(2, 9, "base.vhd", "", TOP));
    assert_eq!(
        other.message("top.vhd"),
        "base.vhd: its unique id is 01010101-0101-0101-0101-010101010101, and its child was made on \
         09090909-0909-0909-0909-090909090909"
    );
    let alone = Images::default().with("top.vhd", child(2, 1, "..\\base.vhd", "", TOP));
    assert_eq!(alone.message("top.vhd"), "top.vhd: its parent: top.vhd: the name '../base.vhd' is refused");
    let nameless = Images::default().with("top.vhd", child(2, 1, "", "", TOP));
    assert_eq!(nameless.message("top.vhd"), "top.vhd: it is a differencing image that names no parent");
    let mut overlapping = child(2, 1, "base.vhd", "base.vhd", TOP);
    put64(&mut overlapping[512..1536], 592, 1536);
    seal(&mut overlapping[512..1536], 36);
    // The path is read out of the table, which says nothing; the plain name is there.
    let overlapping = Images::default().with("base.vhd", base.clone()).with("top.vhd", overlapping);
    assert_eq!(overlapping.message("top.vhd"), "top.vhd: its parent's path and its table overlap at offset 1536");
    let circle =
        Images::default().with("a.vhd", child(1, 2, "b.vhd", "", TOP)).with("b.vhd", child(2, 1, "a.vhd", "", TOP));
    assert_eq!(circle.message("a.vhd"), "a.vhd: the chain of parents comes back to this file");
}

#[test]
fn a_grown_child_reads_zeros_past_its_parents_end() {
    let images = Images::default()
        .with("base.vhd", sparse(CAPACITY / 2, 1, None, &[(3, 7), (1023, 7)]))
        .with("top.vhd", child(2, 1, "base.vhd", "", TOP));
    assert!(images.read("top.vhd", 4096).unwrap().0 == expected(CAPACITY, &[&[(3, 7), (1023, 7)], TOP]));
}
