//! Opens guests of a made-up kind: an image that begins with a line of magic, behind which its only file, /etc/os-release, stands.

use std::io::Read;

use vmdk2kvm_plugin_api::model::{Applied, Change, Inspection, OpenGuest, OsFamily, OsInfo};
use vmdk2kvm_plugin_api::{
    Entry, FileKind, Guest, Host, Inspector, Opened, Plugin, PluginError, Result, Stat, export_plugin,
};

const MAGIC: &str = "my-plugin guest\n";
/// No image is larger, in bytes.
const LIMIT: u64 = 1 << 20;

struct MyPlugin;

impl Inspector for MyPlugin {
    fn accepts(&self, request: &OpenGuest) -> Result<u32> {
        let [disk] = request.disks.as_slice() else { return Ok(0) };
        Ok(if disk.format == "raw" && read(&disk.path)?.starts_with(MAGIC) { 100 } else { 0 })
    }
    fn open(&self, request: &OpenGuest) -> Result<Opened> {
        let [disk] = request.disks.as_slice() else {
            return Err(PluginError::unusable("a guest of this kind has one disk"));
        };
        let text = read(&disk.path)?;
        let no_guest = || PluginError::unusable(format!("{}: it is no guest of this kind", disk.path));
        let os_release = text.strip_prefix(MAGIC).ok_or_else(no_guest)?.to_owned();
        let word = |key: &str| {
            let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        let os = OsInfo::new(OsFamily::Linux).with(|os| {
            os.distro = word("ID");
            os.version = word("VERSION_ID");
            os.product = word("PRETTY_NAME");
        });
        Ok(Opened::new(OneFile(os_release), Inspection::new(os)))
    }
}

/// As much of an image as a guest of this kind may have.
fn read(path: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes));
    file.map_err(|error| PluginError::from_io(path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A guest that has /etc/os-release and nothing else.
struct OneFile(String);

/// A path without empty parts, `.` and `..`, which never leads above the root.
fn plain(path: &str) -> Result<String> {
    if !path.starts_with('/') {
        return Err(PluginError::unusable(format!("{path:?} is not an absolute path")));
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

impl Guest for OneFile {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        let stat = |kind, size, mode| Some(Stat::new(kind, size, mode));
        Ok(match plain(path)?.as_str() {
            "/" | "/etc" => stat(FileKind::Dir, 0, 0o755),
            "/etc/os-release" => stat(FileKind::File, self.0.len() as u64, 0o644),
            _ => None,
        })
    }
    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.stat(path)? {
            None => Ok(None),
            Some(stat) if stat.kind != FileKind::File => Err(PluginError::unusable(format!("{path} is a folder"))),
            Some(stat) if stat.size > limit => Err(PluginError::unusable(format!("{path} is larger than {limit} bytes"))),
            Some(_) => Ok(Some(self.0.clone().into_bytes())),
        }
    }
    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        let entry = |name: &str, kind| Some(vec![Entry::new(name, kind)]);
        Ok(match plain(path)?.as_str() {
            "/" => entry("etc", FileKind::Dir),
            "/etc" => entry("os-release", FileKind::File),
            _ => None,
        })
    }
    fn read_link(&self, path: &str) -> Result<String> {
        Err(PluginError::unusable(format!("{path} is not a symlink")))
    }
    fn apply(&self, change: &Change) -> Result<Applied> {
        Err(PluginError::unusable(format!("{}: a guest of this kind cannot be changed", change.target)))
    }
    fn close(&self) -> Result<()> {
        Ok(())
    }
}

impl Plugin for MyPlugin {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }
    fn inspector(&self) -> Option<Box<dyn Inspector>> {
        Some(Box::new(Self))
    }
}

export_plugin! {
    plugin: MyPlugin,
    name: "my-plugin",
    summary: "Opens guests that have one file",
    kinds: ["inspector"],
    guests: ["linux"],
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::AttachedDisk;
    use vmdk2kvm_plugin_testing::{FakeHost, conformance, sample};

    use super::*;

    #[test]
    fn keeps_the_promises_of_an_inspector() {
        let path = std::env::temp_dir().join(format!("my-plugin-{}.raw", std::process::id()));
        std::fs::write(&path, format!("{MAGIC}ID=debian\nVERSION_ID=12\n")).unwrap();
        let mut request = OpenGuest::new(sample::vm("web"), sample::source("web.vmx"), "/nonexistent");
        request.disks.push(AttachedDisk::new(path.to_string_lossy(), "raw"));
        let opened = MyPlugin.open(&request).unwrap();
        let report = conformance::inspector(&MyPlugin, &FakeHost::new(), Some(&request));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(opened.inspection.os.distro, "debian");
        report.assert();
        assert_eq!(report.skipped().count(), 0);
    }
}
