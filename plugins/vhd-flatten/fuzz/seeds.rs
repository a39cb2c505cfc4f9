//! Writes the seed corpus: `corpus/vhd/N` beside this file, images of every kind.

use std::path::Path;

use targets::builder::{Parent, footer, sparse};

fn main() -> std::io::Result<()> {
    let parent = Parent { id: 1, relative: ".\\base.vhd", plain: "base.vhd" };
    let seeds = [
        [vec![7; 4096], footer(2, 4096, 1)].concat(),
        sparse(1 << 20, 1, None, &[(0, 1), (500, 2)]),
        sparse(1 << 20, 2, Some(&parent), &[(1, 3), (129, 3)]),
        sparse(2 << 20, 2, Some(&parent), &[]),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/vhd");
    std::fs::create_dir_all(&folder)?;
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(number.to_string()), seed)?;
    }
    Ok(())
}
