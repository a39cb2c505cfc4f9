//! What every `Tester` promises: a verdict needs evidence.

use vmdk2kvm_plugin_api::model::{TestRequest, VerdictKind};
use vmdk2kvm_plugin_api::{PluginError, Tester};

use crate::folder::Folder;
use crate::{CancelSwitch, Checks, Report, Why, failed, sample};

/// Size of the disk that has nothing on it, in bytes.
const SIZE: u64 = 1 << 20;

/// Checks a tester on a disk that has nothing on it. `host` is the one that its plugin was made with.
pub fn tester(tester: &dyn Tester, host: &dyn CancelSwitch) -> Report {
    let mut checks = Checks::of("tester");
    let Some((_folder, request)) = checks.check("there is room for an image", room) else {
        return checks.report;
    };
    checks.check("a disk with nothing on it does not pass", || {
        let verdict = tester.test(&request)?;
        if verdict.verdict == VerdictKind::Passed {
            return failed(format!("it passed, because of {:?}", verdict.reason));
        }
        if verdict.schema != 1 || verdict.reason.is_empty() {
            return failed(format!("schema {}, reason {:?}", verdict.schema, verdict.reason));
        }
        Ok(())
    });
    checks.check_cancel(host, || tester.test(&request));
    checks.report
}

fn room() -> Result<(Folder, TestRequest), Why> {
    let failed = |error| Why::from(PluginError::from_io("a folder for an image", &error));
    let folder = Folder::new().map_err(failed)?;
    let image = folder.path().join("blank.raw");
    std::fs::File::create(&image).and_then(|file| file.set_len(SIZE)).map_err(failed)?;
    for name in ["boot", "work", "s"] {
        std::fs::create_dir(folder.path().join(name)).map_err(failed)?;
    }
    let request = sample::test_request(&image, SIZE);
    Ok((folder, request))
}
