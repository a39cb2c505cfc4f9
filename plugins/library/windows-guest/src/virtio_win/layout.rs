//! Which Windows and which architecture a package's folder is for: `Driver/OS/ARCH`, below other folders or not, and `ARCH/OS`.

use crate::version::{self, Architecture};

/// Where an INF lies, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The folder's path in the source.
    pub folder: String,
    /// Name of the INF without its ending, in lower case.
    pub driver: String,
    pub os: &'static str,
    pub architecture: Architecture,
}

/// Nothing for a file that is no INF of a driver, or lies elsewhere.
pub(super) fn place(path: &str) -> Option<Place> {
    let (folder, file) = path.rsplit_once('/')?;
    let (stem, ending) = file.rsplit_once('.')?;
    let driver = stem.to_lowercase();
    // A protocol that joins two cards for a host with SR-IOV: no driver of a device.
    if !ending.eq_ignore_ascii_case("inf") || driver == "vioprot" {
        return None;
    }
    let (above, last) = folder.rsplit_once('/').unwrap_or(("", folder));
    let above = above.rsplit('/').next().unwrap_or(above);
    let pair = |os, architecture| Some((version::folder_name(os)?, Architecture::parse(architecture)?));
    let (os, architecture) = pair(above, last).or_else(|| pair(last, above))?;
    Some(Place { folder: folder.to_owned(), driver, os, architecture })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_and_no_other_folder() {
        for (path, expected) in [
            ("viostor/w10/amd64/viostor.inf", Some(("viostor", "w10", Architecture::Amd64))),
            ("NetKVM/2k12R2/AMD64/NETKVM.INF", Some(("netkvm", "2k12R2", Architecture::Amd64))),
            ("x/drivers/by-driver/Balloon/w11/ARM64/balloon.inf", Some(("balloon", "w11", Architecture::Arm64))),
            ("drivers/by-os/x86/w7/vioser.inf", Some(("vioser", "w7", Architecture::X86))),
            ("i386/w7/viostor.inf", Some(("viostor", "w7", Architecture::X86))),
            ("viostor/w10/amd64/viostor.sys", None),
            ("NetKVM/w10/amd64/vioprot.inf", None),
            ("NetKVM/w10/amd64/sriov/netkvm.inf", None),
            ("viostor/w99/amd64/viostor.inf", None),
            ("viostor/w10/ia64/viostor.inf", None),
            ("viostor.inf", None),
        ] {
            let found = place(path);
            let found = found.as_ref().map(|place| (place.driver.as_str(), place.os, place.architecture));
            assert_eq!(found, expected, "{path}");
        }
    }
}
