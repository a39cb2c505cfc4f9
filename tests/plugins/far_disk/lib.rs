//! A fetcher that wants a process of its own, for tests of that: `far:/path` is a machine with one raw disk.
//!
//! The machine's name tells the environment that the process was started with. With `FAR_STOP` in the environment the second half of the disk is
//! only read once the file that it names is there; with `FAR_GOODBYE` a disk takes a second to be dropped, and then makes that file. The disks
//! `crash` and `exit` end the process, and that of the machine with the disk `long` is as long as an
//! inventory may be.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod disk;
mod plugin;

vmdk2kvm_plugin_api::export_plugin! {
    plugin: plugin::FarDisk,
    name: "far-disk",
    summary: "A raw disk from a process of its own",
    kinds: ["fetcher"],
    capabilities: ["far"],
    settings: [
        ("libdir", "string", "", "goes into the environment of the process"),
        ("cost", "string", "", "what each read costs: nothing, `digest`, or `wire`"),
    ],
    own_process: [("FAR_DISK_LIBS", "${libdir}/lib64"), ("FAR_DISK_IS", "far")],
}
