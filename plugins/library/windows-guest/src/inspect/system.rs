//! Which Windows it is.

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{OsFamily, OsInfo};

use crate::registry::Hives;

/// Where a system says what it is.
pub const CURRENT_VERSION: &str = "Microsoft\\Windows NT\\CurrentVersion";
/// The first build of Windows 11, which still calls itself 10 in the registry.
const FIRST_BUILD_OF_11: u32 = 22_000;

/// What a system says about itself.
pub fn read(hives: &Hives) -> Result<OsInfo> {
    let said = |name: &str| hives.software.text(CURRENT_VERSION, name);
    let build = build(hives)?;
    let major = hives.software.number(CURRENT_VERSION, "CurrentMajorVersionNumber")?;
    let minor = hives.software.number(CURRENT_VERSION, "CurrentMinorVersionNumber")?.unwrap_or(0);
    let kernel = match major {
        Some(major) => format!("{major}.{minor}"),
        None => said("CurrentVersion")?.unwrap_or_default(),
    };
    let mut product = said("ProductName")?.unwrap_or_else(|| "Windows".to_owned());
    if build.is_some_and(|build| build >= FIRST_BUILD_OF_11) && !is_server(hives)? {
        product = product.replace("Windows 10", "Windows 11");
    }
    for more in [said("DisplayVersion")?, said("CSDVersion")?].into_iter().flatten().filter(|text| !text.is_empty()) {
        product = format!("{product} {more}");
    }
    let version = build.map_or(kernel.clone(), |build| format!("{kernel}.{build}"));
    Ok(OsInfo::new(OsFamily::Windows).with(|os| {
        os.distro = "windows".to_owned();
        os.version = version;
        os.product = product;
        os.arch = arch(hives).unwrap_or_default();
        os.hostname = hostname(hives).unwrap_or_default();
    }))
}

/// The number of the build, by which everything else is decided.
pub fn build(hives: &Hives) -> Result<Option<u32>> {
    for name in ["CurrentBuildNumber", "CurrentBuild"] {
        let text = hives.software.text(CURRENT_VERSION, name)?;
        if let Some(build) = text.and_then(|text| text.trim().parse().ok()) {
            return Ok(Some(build));
        }
    }
    Ok(None)
}

/// `WinNT` for a client, `ServerNT` for a server, `LanmanNT` for a domain controller.
pub fn is_server(hives: &Hives) -> Result<bool> {
    let said = hives.system.text(&hives.current("Control\\ProductOptions"), "ProductType")?;
    Ok(said.is_some_and(|said| !said.eq_ignore_ascii_case("WinNT")))
}

/// The processor as Windows names it: `x86`, `AMD64`, `ARM64`.
pub fn processor(hives: &Hives) -> Result<String> {
    let key = hives.current("Control\\Session Manager\\Environment");
    Ok(hives.system.text(&key, "PROCESSOR_ARCHITECTURE")?.unwrap_or_default())
}

fn arch(hives: &Hives) -> Result<String> {
    let said = processor(hives)?;
    Ok(match said.to_ascii_lowercase().as_str() {
        "amd64" => "x86_64".to_owned(),
        "x86" => "i686".to_owned(),
        "arm64" => "aarch64".to_owned(),
        _ => said,
    })
}

fn hostname(hives: &Hives) -> Result<String> {
    let tcp = hives.system.text(&hives.current("Services\\Tcpip\\Parameters"), "Hostname")?;
    match tcp.filter(|name| !name.is_empty()) {
        Some(name) => Ok(name),
        None => {
            let key = hives.current("Control\\ComputerName\\ComputerName");
            Ok(hives.system.text(&key, "ComputerName")?.unwrap_or_default())
        }
    }
}
