//! VHD.

#[expect(dead_code, reason = "the plugin's tests also say what a guest sees")]
#[path = "../../../../plugins/vhd-flatten/tests/vhd/builder.rs"]
pub mod builder;
#[path = "../../../../plugins/vhd-flatten/tests/vhd/damaged.rs"]
pub mod damaged;
