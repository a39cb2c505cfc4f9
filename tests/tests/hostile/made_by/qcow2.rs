//! QCOW2.

#[expect(dead_code, reason = "the plugin's tests also say what a guest sees")]
#[path = "../../../../plugins/qcow2-flatten/tests/images/builder.rs"]
pub mod builder;
#[path = "../../../../plugins/qcow2-flatten/tests/images/damaged.rs"]
pub mod damaged;
