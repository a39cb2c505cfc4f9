//! Taking the minimal entries of a boot driver away again: their INF is nowhere, so that an upgrade of Windows, or a list of drivers, would
//! stumble over them. The first start does it when it has installed the package itself.

use std::fmt::Write;

use super::first_boot::Staged;
use super::package::Package;

const ROOT: &str = "HKLM\\SYSTEM\\DriverDatabase";

/// The entries of one driver.
pub struct Entries {
    /// Name of the driver, by which its step is known.
    driver: String,
    published: String,
    stored_as: String,
    ids: Vec<String>,
}

impl Entries {
    /// Those of a package.
    pub fn of(package: &Package<'_>) -> Self {
        Self {
            driver: package.inf_name.trim_end_matches(".inf").to_owned(),
            published: package.published(),
            stored_as: package.stored_as(),
            ids: package.ids.iter().map(|(_, id)| id.clone()).collect(),
        }
    }

    /// A word of an INF that means something to the command line is left out.
    fn is_plain(&self) -> bool {
        let plain = |text: &str| text.chars().all(|one| one.is_ascii_alphanumeric() || "\\&_-.*{}".contains(one));
        plain(&self.driver) && plain(&self.published) && plain(&self.stored_as) && self.ids.iter().all(|id| plain(id))
    }
}

/// The script; `None` when there are none.
pub fn script(entries: &[Entries]) -> Option<Staged> {
    if entries.is_empty() {
        return None;
    }
    let mut script = String::from("@echo off\n");
    for one in entries.iter().filter(|one| one.is_plain()) {
        let Entries { driver, published, stored_as, ids } = one;
        let _ = writeln!(script, "if not exist \"%HERE%\\done\\installed-{driver}\" goto after_{driver}");
        for id in ids {
            let _ = writeln!(script, "reg delete \"{ROOT}\\DeviceIds\\{id}\" /v {published} /f");
        }
        let _ = writeln!(script, "reg delete \"{ROOT}\\DriverInfFiles\\{published}\" /f");
        let _ = writeln!(script, "reg delete \"{ROOT}\\DriverPackages\\{stored_as}\" /f");
        let _ = writeln!(script, ":after_{driver}");
    }
    script.push_str("exit /b 0\n");
    Some(Staged::script("minimal.cmd", &script, "the entries that the first start needed are replaced by Windows' own"))
}
