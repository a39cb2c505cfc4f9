//! The domains of nine machines and a hostile one, held against `tests/expected` and libvirt's own schema. `RENEW_GOLDEN=1` writes these anew. Requires
//! `virt-xml-validate` (libvirt-clients).

use std::path::Path;
use std::process::Command;

use vmdk2kvm_plugin_api::Plugin;
use vmdk2kvm_plugin_api::model::Render;
use vmdk2kvm_plugin_testing::{FakeHost, assert_golden, hostile, shapes};
use vmdk2kvm_target_libvirt::TargetLibvirt;

#[test]
fn machines_of_every_shape_are_written_as_expected() {
    let converter = TargetLibvirt::new(FakeHost::new().without_settings()).unwrap().converter().unwrap();
    for (shape, machine) in shapes().into_iter().chain([("hostile", hostile())]) {
        let rendered = converter.render(&Render::new("libvirt", machine, "web")).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected").join(shape);
        assert_golden(&folder, &rendered);
        let checked = Command::new("virt-xml-validate").arg(folder.join("web.xml")).arg("domain").output();
        let checked = checked.expect("virt-xml-validate (package libvirt-clients)");
        assert!(checked.status.success(), "{shape}: {}", String::from_utf8_lossy(&checked.stderr));
    }
}
