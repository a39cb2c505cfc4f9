//! Boots an image and prints the verdict: `boot IMAGE FORMAT bios|uefi FOLDER [SETTINGS-JSON [REQUEST-JSON]]`.
//!
//! For work on this plugin without the rest of the program. The image is written to: it should be an overlay
//! (`qemu-img create -f qcow2 -b BASE -F FORMAT OVERLAY`), as the host makes one. REQUEST-JSON is merged over the request that this makes.

use std::io::Write;

use serde_json::{Value, json};
use vmdk2kvm_plugin_api::Plugin;
use vmdk2kvm_plugin_api::model::{Card, CardModel, Cpus, DiskBus, Machine, MachineDisk, TestRequest};
use vmdk2kvm_plugin_testing::FakeHost;
use vmdk2kvm_qemu_test::QemuTest;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [image, format, firmware, folder, more @ ..] = &words[..] else {
        return Err("boot IMAGE FORMAT bios|uefi FOLDER [SETTINGS-JSON [REQUEST-JSON]]".into());
    };
    let firmware = serde_json::from_value(json!(firmware))?;
    let machine = Machine::new("boot", firmware, Cpus::new(2, 2), 1 << 30).with(|machine| {
        machine.disks = vec![MachineDisk::new(format, 0, DiskBus::Virtio).with(|disk| disk.image.clone_from(image))];
        machine.cards = vec![Card::new(CardModel::Virtio)];
    });
    let below = |name: &str| format!("{folder}/{name}");
    let mut request = serde_json::to_value(TestRequest::new(machine, below("boot"), below("work"), below("s")))?;
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
