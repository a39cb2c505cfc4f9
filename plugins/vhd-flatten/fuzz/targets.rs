//! What the fuzz target and its seeds share: a base, and a child whose bytes are fuzzed.
//!
//! How to run it is in the plugin's README.

#[path = "../tests/vhd/builder.rs"]
pub mod builder;
#[path = "../../vmdk-flatten/tests/vmdk/exercise.rs"]
pub mod exercise;

use std::sync::LazyLock;

use builder::sparse;

static BASE: LazyLock<Vec<u8>> = LazyLock::new(|| sparse(1 << 20, 1, None, &[(0, 1), (500, 2)]));

/// Presents these bytes as an image, with a parent beside it.
pub fn run(bytes: &[u8]) {
    exercise::exercise(&vmdk2kvm_vhd_flatten::Vhd, "vhd", [("x.vhd", bytes), ("base.vhd", &BASE[..])], "x.vhd");
}

/// The bytes with both checksums made right, so that what they say is looked at.
pub fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let end = bytes.len();
    if end >= 2048 {
        builder::seal(&mut bytes[..512], 64);
        builder::seal(&mut bytes[512..1536], 36);
        builder::seal(&mut bytes[end - 512..], 64);
    }
    bytes
}
