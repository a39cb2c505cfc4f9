//! The files of nine machines and a hostile one, held against `tests/expected`. `RENEW_GOLDEN=1` writes these anew. Requires shellcheck.

use std::path::Path;

use vmdk2kvm_plugin_api::Plugin;
use vmdk2kvm_plugin_api::model::Render;
use vmdk2kvm_plugin_testing::{FakeHost, assert_golden, hostile, shapes, shellcheck};
use vmdk2kvm_target_incus::{TARGET, TargetIncus};

#[test]
fn machines_of_every_shape_are_written_as_expected() {
    let converter = TargetIncus::new(FakeHost::new().without_settings()).unwrap().converter().unwrap();
    assert_eq!(converter.targets(), [TARGET]);
    for (shape, machine) in shapes().into_iter().chain([("hostile", hostile())]) {
        let rendered = converter.render(&Render::new(TARGET, machine, "web")).unwrap();
        let script = rendered.files.iter().find(|file| file.name.ends_with(".sh")).unwrap();
        assert_eq!((script.mode, shellcheck(&script.text)), (0o700, String::new()), "{shape}");
        assert_golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected").join(shape), &rendered);
    }
}
