//! A site whose disks can also be read by a library: the fake of VDDK (tests/plugins/fake_vddk), and runs of
//! the program with it.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::{By, Outcome, Running, Site, digest, example, names};

/// A site with the fake beside it.
pub struct Yard {
    /// The site.
    pub site: Site,
    /// The fake's folder: `vddk`, `root` and `notes`.
    pub folder: tempfile::TempDir,
    /// The fake's version.
    pub version: u32,
    /// The next run's fault.
    pub fault: String,
    /// What the fake is told that the certificate's digest is.
    pub thumbprint: String,
}

impl Yard {
    /// One with these VMs and the fake of version 8.
    pub fn new(by: By, vms: &[Value], flags: &[&str]) -> Self {
        Self::with(by, vms, flags, 8)
    }

    /// With the fake of a version.
    pub fn with(by: By, vms: &[Value], flags: &[&str], version: u32) -> Self {
        Self::beside(Site::new(by, vms, flags), vms, version)
    }

    /// The fake beside a site with these VMs.
    pub fn beside(site: Site, vms: &[Value], version: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let thumbprint = site.lab.fact("thumbprint_sha1").to_owned();
        let yard = Self { site, folder, version, fault: String::new(), thumbprint };
        std::fs::create_dir_all(yard.libdir().join("lib64")).unwrap();
        let fake = if version == 6 { "fake_vddk_6" } else { "fake_vddk" };
        std::fs::copy(example(fake), yard.shared_object()).unwrap();
        for vm in vms {
            let name = vm["name"].as_str().unwrap();
            for (number, disk) in vm["disks"].as_array().unwrap().iter().enumerate() {
                let raw = yard.site.lab.datastore().join(disk["file"].as_str().unwrap());
                let file = if number == 0 { format!("{name}.vmdk") } else { format!("{name}_{number}.vmdk") };
                for state in ["now", "held"] {
                    let served = yard.served(state, &format!("{name}/{file}"));
                    let copied = Command::new("cp").arg("--sparse=always").args([&raw, &served]).status();
                    assert!(copied.unwrap().success());
                }
            }
        }
        yard
    }

    /// Has the fake serve a disk, with holes where it has only zeros.
    pub fn serve(&self, state: &str, path: &str, bytes: &[u8]) {
        let file = std::fs::File::create(self.served(state, path)).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        for (at, piece) in (0..).step_by(1 << 20).zip(bytes.chunks(1 << 20)) {
            if piece.iter().any(|byte| *byte != 0) {
                file.write_all_at(piece, at).unwrap();
            }
        }
    }

    fn served(&self, state: &str, path: &str) -> PathBuf {
        let path = self.folder.path().join("root").join(state).join("datastore1").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Where the library is.
    pub fn libdir(&self) -> PathBuf {
        self.folder.path().join("vddk")
    }

    /// Its file.
    pub fn shared_object(&self) -> PathBuf {
        self.libdir().join(format!("lib64/libvixDiskLib.so.{}", self.version))
    }

    /// The setting that names the folder.
    pub fn set(&self) -> String {
        format!("plugin.vddk.libdir={}", self.libdir().display())
    }

    /// A run of the program, to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.site.command(arguments);
        if !arguments.iter().any(|argument| argument.starts_with("plugin.vddk.libdir=")) {
            command.args(["--set", &self.set()]);
        }
        self.tell(&mut command);
        command
    }

    /// Tells the fake by the environment of a run what it serves, and to whom.
    pub fn tell(&self, command: &mut Command) {
        let lab = &self.site.lab;
        command
            .env("FAKE_VDDK_ROOT", self.folder.path().join("root"))
            .env("FAKE_VDDK_SERVER", lab.fact("address"))
            .env("FAKE_VDDK_THUMBPRINT", &self.thumbprint)
            .env("FAKE_VDDK_USER", lab.fact("user_file"))
            .env("FAKE_VDDK_PASSWORD", lab.password_file())
            .env("FAKE_VDDK_NOTES", self.folder.path().join("notes"))
            .env("FAKE_VDDK_FAULT", &self.fault);
    }

    /// The arguments of a command that writes raw images.
    pub fn arguments(&self, command: &str, path: &str, output: &str, more: &[&str]) -> Vec<String> {
        let out = self.site.results.path().join(output);
        let (path, query) =
            path.split_once('?').map_or((path, String::new()), |(path, more)| (path, format!("?{more}")));
        let uri = self.site.lab.uri(path, &query);
        let all =
            [command, &uri, "-o", out.to_str().unwrap(), "--format", "raw"].into_iter().chain(more.iter().copied());
        all.map(str::to_owned).collect()
    }

    /// Starts `flatten`.
    pub fn start(&self, path: &str, output: &str, more: &[&str]) -> Running {
        let all = self.arguments("flatten", path, output, more);
        Running::start(self.command(&all.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    /// `flatten` to its end.
    pub fn flatten(&self, path: &str, output: &str, more: &[&str]) -> Outcome {
        let _ = std::fs::remove_file(self.folder.path().join("notes"));
        self.start(path, output, more).end()
    }

    /// What the fake noted of the last run.
    pub fn notes(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("notes")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The digests of the images in a folder, in the order of their names.
    pub fn images(&self, output: &str) -> Vec<String> {
        let folder = self.site.results.path().join(output);
        let names = names(&folder);
        names.iter().filter(|name| name.ends_with(".raw")).map(|name| digest(&folder.join(name))).collect()
    }
}
