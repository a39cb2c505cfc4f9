//! The same plugin in the process of the worker: what the benchmark compares it with.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod disk;
mod plugin;

vmdk2kvm_plugin_api::export_plugin! {
    plugin: plugin::FarDisk,
    name: "near-disk",
    summary: "The same disk from the process of the worker",
    kinds: ["fetcher"],
    capabilities: ["far"],
    settings: [
        ("libdir", "string", "", "goes into the environment of the process"),
        ("cost", "string", "", "what each read costs: nothing, `digest`, or `wire`"),
    ],
}
