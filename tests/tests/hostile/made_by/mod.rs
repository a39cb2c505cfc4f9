//! What the plugins' own tests make: each format's files, what is done to them, and the sentence that follows.

#[path = "../../../../plugins/local/tests/packages/documents.rs"]
pub mod documents;
#[path = "../../../../plugins/local/tests/packages/ovfs.rs"]
pub mod ovfs;
pub mod qcow2;
#[path = "../../../../plugins/local/tests/packages/tars.rs"]
pub mod tars;
#[path = "../../../../plugins/vmdk-flatten/tests/vmdk/trap.rs"]
pub mod trap;
#[path = "../../../../plugins/vdi-vhdx-flatten/tests/images/damaged.rs"]
pub mod vdi_vhdx;
pub mod vhd;
#[expect(dead_code, reason = "the plugin's tests also write what is not damaged")]
#[path = "../../../../plugins/vmdk-flatten/tests/vmdk/made/mod.rs"]
pub mod vmdk;
