//! Boots one image and prints the verdict: `boot IMAGE FORMAT bios|uefi FOLDER [SETTINGS-JSON [REQUEST-JSON]]`.
//!
//! For work on this plugin without the rest of the program. The image's size is its file's (raw) or given in REQUEST-JSON, which
//! is merged over the request that this makes.

use std::io::Write;

use serde_json::{Value, json};
use vmdk2kvm_plugin_api::Plugin;
use vmdk2kvm_plugin_testing::FakeHost;
use vmdk2kvm_qemu_test::QemuTest;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [image, format, firmware, folder, more @ ..] = &words[..] else {
        return Err("boot IMAGE FORMAT bios|uefi FOLDER [SETTINGS-JSON [REQUEST-JSON]]".into());
    };
    let mut request = json!({
        "vm": {
            "schema": 1, "name": "boot", "firmware": firmware,
            "cpus": { "count": 2, "sockets": 1, "cores_per_socket": 2 }, "memory_bytes": 1u64 << 30,
        },
        "images": [{ "path": image, "format": format, "virtual_size": std::fs::metadata(image)?.len() }],
        "domain_xml": "", "evidence_dir": format!("{folder}/boot"), "work_dir": format!("{folder}/work"),
        "timeout_seconds": 300,
    });
    if let Some(text) = more.get(1) {
        merge(&mut request, serde_json::from_str(text)?);
    }
    let settings = more.first().map_or(Ok(json!({})), |text| serde_json::from_str(text))?;
    let plugin = QemuTest::new(FakeHost::new().host(settings))?;
    let tester = plugin.tester().ok_or("no tester")?;
    let verdict = tester.test(&serde_json::from_value(request)?)?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&verdict)?)?;
    Ok(())
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (into, from) => *into = from,
    }
}
