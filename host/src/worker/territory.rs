//! The folders that a contained worker keeps: what it runs and what this machine says of itself to read, what the user named in the job,
//! and where temporary files go. Everything else, the rest of the user's home above all, is closed to it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;
use vmdk2kvm_plugin_api::model::SourceRef;

use super::private_folder;
use crate::config::{Input, Job, PluginOptions};
use crate::journal::{FINISHED, create_private_folder, holds_register, state_folder};
use crate::nbd::{Address, Endpoint};
use crate::plugins::{CheckRequest, SecretStore, lock_files, search_folders, slots_folder};
use crate::report::Report;
use crate::uri::{scheme, unescape};

/// Programs, libraries, kernels, and what the kernel says. `/etc` is added entry by entry.
const SYSTEM: [&str; 15] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/boot",
    "/nix/store",
    "/gnu/store",
    "/proc",
    "/sys",
    // Appliances are made from the packages that are installed.
    "/var/lib/dpkg",
    "/var/lib/rpm",
];

/// Devices that neither are nor hold anybody's data.
const DEVICES: [&str; 9] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/kvm",
];

/// What stays open. What does not exist is passed over.
#[derive(Debug, Default)]
pub(super) struct Territory {
    /// Files and folders to read, and to run programs from.
    pub read: Vec<PathBuf>,
    /// Files and folders to read and to write.
    pub write: Vec<PathBuf>,
    /// Folders whose names may be listed.
    pub list: Vec<PathBuf>,
    /// Folders to make sockets in, and to remove them again. No file in there can be read or written.
    pub sockets: Vec<PathBuf>,
}

impl Territory {
    /// That of a job on this source.
    pub fn of_job(job: &Job, source: Option<&SourceRef>, private: &Path) -> Self {
        let mut territory = Self::of_machine(&job.settings.plugins, private);
        if let Some(source) = source {
            let named = std::iter::once(&source.uri).chain(&source.extra_disks);
            named.for_each(|uri| territory.add_source(uri));
        }
        territory.read.extend(SecretStore::of_job(job).files());
        match &job.input {
            Input::Plan { path } => territory.read.push(path.clone()),
            Input::Result { dir } => {
                territory.write.push(dir.clone());
                territory.read.extend(devices_of(dir));
            }
            Input::Source | Input::Images { .. } => {}
        }
        if let Some(uri) = &job.settings.define.connect {
            territory.add_place(uri);
        }
        territory.write.extend(
            job.settings.output.iter().chain(&job.settings.work_dir).chain(&job.settings.containment.folders).cloned(),
        );
        territory.write.extend(job.settings.disk_out.iter().map(|out| out.device.clone()));
        for settings in job.settings.plugin.values() {
            territory.add_named(settings);
        }
        territory
    }

    /// That of a plugin that is only looked at, and of its sample.
    pub fn of_check(request: &CheckRequest, private: &Path) -> Self {
        let mut territory = Self::of_machine(&PluginOptions::default(), private);
        territory.read.extend(request.file.canonicalize().ok().as_deref().and_then(Path::parent).map(Path::to_owned));
        territory.read.extend(request.sample.as_deref().and_then(source_folder));
        request.settings.values().for_each(|settings| territory.add_named(settings));
        territory
    }

    fn of_machine(plugins: &PluginOptions, private: &Path) -> Self {
        let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        read.extend(public_entries(Path::new("/etc")));
        read.extend(named_by(std::env::vars_os(), &["PATH"]));
        // What is said of these folders is said when they are searched.
        read.extend(search_folders(&plugins.dirs, &mut |_| ()).into_iter().map(|folder| folder.path));
        read.extend(lock_files());
        let mut write: Vec<PathBuf> = DEVICES.iter().map(PathBuf::from).collect();
        write.push(private.to_owned());
        write.extend(named_by(std::env::vars_os(), &["TMPDIR", "CACHEDIR"]));
        if absolute("TMPDIR").is_none() {
            write.extend(["/tmp", "/var/tmp"].map(PathBuf::from));
        }
        write.extend(own_cache());
        write.extend(private_folder::runtime());
        write.extend(holds_register());
        write.extend(state_folder(FINISHED));
        // Without it a plugin that asks for a place is told why there is none.
        write.extend(slots_folder());
        // Whatever TMPDIR says, libguestfs has root's sockets there (guestfs(3), guestfs_get_sockdir).
        Self { read, write, list: vec![PathBuf::from("/etc")], sockets: vec![PathBuf::from("/tmp")] }
    }

    /// What a source on this machine needs.
    fn add_source(&mut self, uri: &str) {
        if Address::is_one(uri) {
            // A URI that is wrong is told to be by whoever opens it.
            if let Ok(Address { endpoint: Endpoint::Unix(socket), .. }) = Address::parse(uri) {
                self.list.extend(socket.parent().map(Path::to_owned));
                self.read.push(socket);
            }
        } else {
            self.read.extend(source_folder(uri));
        }
        // The user's own configuration, keys and known hosts: whoever logs in for the user needs them.
        let scheme = scheme(uri);
        if scheme == "ssh" || scheme.ends_with("+ssh") {
            self.read.extend(absolute("HOME").map(|home| home.join(".ssh")));
        }
    }

    /// The paths in the query of a target's URI: a driver that runs in this process has a folder there.
    fn add_place(&mut self, uri: &str) {
        let query = uri.split_once('?').map_or("", |(_, query)| query);
        let values = query.split(['&', ';']).filter_map(|pair| pair.split_once('=')).map(|(_, value)| value);
        for path in values.filter_map(unescape).map(|path| PathBuf::from(OsStr::from_bytes(&path))) {
            if path.is_absolute() {
                if path.is_dir() { &mut self.write } else { &mut self.read }.push(path);
            }
        }
    }

    /// Every path in a plugin's settings: the user named it for the plugin. A folder may be for files of its own.
    fn add_named(&mut self, settings: &Value) {
        match settings {
            Value::String(text) if text.starts_with('/') => {
                let path = PathBuf::from(text);
                if path.is_dir() { &mut self.write } else { &mut self.read }.push(path);
            }
            Value::Array(items) => items.iter().for_each(|item| self.add_named(item)),
            Value::Object(members) => members.values().for_each(|member| self.add_named(member)),
            _ => {}
        }
    }
}

/// The block devices that the images of a finished result are on. What its report says wrong is said by whoever reads all of it.
fn devices_of(dir: &Path) -> Vec<PathBuf> {
    let report =
        std::fs::read(dir.join("report.json")).ok().and_then(|text| serde_json::from_slice::<Report>(&text).ok());
    let images = report.into_iter().flat_map(|report| report.images).map(|image| PathBuf::from(image.path));
    images.filter(|path| path.metadata().is_ok_and(|found| found.file_type().is_block_device())).collect()
}

/// The folder that bounds a source on this machine: a path, or a URI whose authority is this machine (RFC 8089 and its like).
fn source_folder(uri: &str) -> Option<PathBuf> {
    let below = |path: &Path| {
        let path = path.canonicalize().ok()?;
        if path.is_dir() { Some(path) } else { path.parent().map(Path::to_owned) }
    };
    below(Path::new(uri)).or_else(|| {
        let (_, rest) = uri.split_once(':')?;
        let path = rest.strip_prefix("//").map_or(rest, |rest| rest.strip_prefix("localhost").unwrap_or(rest));
        let path = Some(path).filter(|path| path.starts_with('/'))?;
        below(Path::new(path)).or_else(|| below(Path::new(OsStr::from_bytes(&unescape(path)?))))
    })
}

/// The entries of a folder that every user may read: not the password hashes.
fn public_entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.metadata().is_ok_and(|found| found.permissions().mode() & 0o004 != 0)).collect()
}

/// The folders in variables whose names end like this, which is how tools are told of theirs: `PATH`, `LD_LIBRARY_PATH`, `TMPDIR`.
fn named_by(variables: impl Iterator<Item = (OsString, OsString)>, endings: &[&str]) -> Vec<PathBuf> {
    let ends = |name: &OsString| endings.iter().any(|ending| name.as_encoded_bytes().ends_with(ending.as_bytes()));
    let lists = variables.filter(|(name, _)| ends(name)).map(|(_, list)| list);
    lists.flat_map(|list| std::env::split_paths(&list).collect::<Vec<_>>()).filter(|path| path.is_absolute()).collect()
}

fn absolute(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Where plugins keep what may be thrown away at any time; made here, as a closed-in worker cannot.
fn own_cache() -> Option<PathBuf> {
    let base = absolute("XDG_CACHE_HOME")
        .or_else(|| Some(absolute("HOME").filter(|home| home.is_dir())?.join(".cache")))?
        .join("vmdk2kvm");
    create_private_folder(&base).ok().map(|()| base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_opens_its_own_folder_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("a b")).unwrap();
        std::fs::write(root.join("a b/disk.vmdk"), "").unwrap();
        std::os::unix::fs::symlink(root.join("a b/disk.vmdk"), root.join("link")).unwrap();
        let at = root.display();
        for uri in [
            format!("{at}/a b/disk.vmdk"),
            format!("{at}/a b"),
            format!("{at}/link"),
            format!("file://{at}/a%20b/disk.vmdk"),
            format!("file://localhost{at}/a%20b/disk.vmdk"),
            format!("dir:{at}/a b"),
        ] {
            assert_eq!(source_folder(&uri), Some(root.join("a b")), "{uri}");
        }
        for uri in ["vsphere://vc/etc/passwd", "bad:vm", "file:///%zz", "file:///%2", "/nonexistent/x"] {
            assert_eq!(source_folder(uri), None, "{uri}");
        }
    }

    #[test]
    fn a_login_opens_what_the_user_logs_in_with() {
        let home = absolute("HOME").unwrap();
        for (uri, expected) in [
            ("ssh://root@web", vec![home.join(".ssh")]),
            ("far+ssh://web/x", vec![home.join(".ssh")]),
            ("far://web", vec![]),
        ] {
            let mut territory = Territory::default();
            territory.add_source(uri);
            assert_eq!(territory.read, expected, "{uri}");
        }
    }

    #[test]
    fn a_socket_opens_itself_and_the_names_beside_it() {
        let mut territory = Territory::default();
        for uri in ["nbd+unix:///web?socket=/run/store/s%201", "nbd://store/etc/web", "nbd+unix:///etc/web?socket=x"] {
            territory.add_source(uri);
        }
        assert_eq!((territory.read, territory.list), (vec!["/run/store/s 1".into()], vec!["/run/store".into()]));
    }

    #[test]
    fn a_targets_uri_opens_the_paths_in_its_query() {
        let folder = tempfile::tempdir().unwrap();
        let (root, socket) = (folder.path().display(), folder.path().join("sock"));
        let mut territory = Territory::default();
        territory.add_place(&format!("far:///etc/x?root={root}&socket={}&mode=direct", socket.display()));
        territory.add_place("far://h/etc?name=etc");
        assert_eq!((territory.write, territory.read), (vec![folder.path().to_owned()], vec![socket]));
    }

    #[test]
    fn what_the_environment_names_for_tools_is_kept() {
        let variables = || {
            [("PATH", "/a:/b:rel:"), ("TOOL_PATH", "/c"), ("HOME", "/h"), ("TOOL_CACHEDIR", "/d"), ("PATHS", "/no")]
                .map(|(name, value)| (name.into(), value.into()))
                .into_iter()
        };
        assert_eq!(named_by(variables(), &["PATH"]), ["/a", "/b", "/c"].map(PathBuf::from));
        assert_eq!(named_by(variables(), &["TMPDIR", "CACHEDIR"]), ["/d"].map(PathBuf::from));
    }

    #[test]
    fn paths_in_settings_are_the_users_word() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_str().unwrap();
        let mut territory = Territory::default();
        territory.add_named(&serde_json::json!({"spool": dir, "more": ["/bin/sh", "auto", 3], "x": {"y": "rel/x"}}));
        assert_eq!(territory.write, [folder.path()]);
        assert_eq!(territory.read, [Path::new("/bin/sh")]);
    }

    #[test]
    fn what_others_may_not_read_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for (name, mode) in [("shadow", 0o640), ("hosts", 0o644)] {
            std::fs::write(folder.path().join(name), "").unwrap();
            std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        assert_eq!(public_entries(folder.path()), [folder.path().join("hosts")]);
    }
}
