//! What govc is given to log in with: nothing that is secret in its arguments or its environment, and no password in a file.
//!
//! govc takes user and password from files that its variables name. These files are in memory alone, and reachable by this user's processes as long
//! as this one has them open. The session that govc keeps lies in a folder of mode 0700, which goes with this.

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};
use vmdk2kvm_plugin_api::{PluginError, Result};
use vmdk2kvm_vsphere::Door;
use vmdk2kvm_vsphere::session::Login;

/// The variables by which this machine's certificates of authorities are found, for govc as for us.
const OWN_AUTHORITIES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// A login of govc at one server.
pub struct Credentials {
    folder: tempfile::TempDir,
    user: Secret,
    password: Secret,
    url: String,
    trust: Vec<(&'static str, PathBuf)>,
}

impl Credentials {
    /// That of somebody at a door.
    pub fn new(door: &Door, login: &Login) -> Result<Self> {
        for (what, text) in [("user", &login.user), ("password", &login.password)] {
            if text.trim() != text {
                let message = format!("the {what} begins or ends with white space, which govc cuts off");
                return Err(PluginError::config(message)
                    .hint("choose the other catalog, which takes it as it is: --set plugins.fetcher=vsphere-soap"));
            }
        }
        let folder = folder()?;
        let trust = trust(door, folder.path())?;
        Ok(Self {
            user: Secret::new(&login.user)?,
            password: Secret::new(&login.password)?,
            url: format!("https://{}/sdk", door.server()),
            trust,
            folder,
        })
    }

    /// The folder that govc is started in, which is empty: govc takes a value for a file's name where a file of that name is there.
    pub fn working_folder(&self) -> PathBuf {
        self.folder.path().join(WORKING)
    }

    /// All variables that govc gets.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let mut all = vec![
            ("GOVC_URL", self.url.clone().into()),
            ("GOVC_USERNAME", self.user.path()),
            ("GOVC_PASSWORD", self.password.path()),
            ("GOVC_INSECURE", "false".into()),
            ("GOVC_PERSIST_SESSION", "true".into()),
            // A line for each object.
            ("GOVC_INDENT", "false".into()),
            ("GOVMOMI_HOME", self.folder.path().join("govmomi")),
            ("HOME", self.folder.path().to_owned()),
        ];
        all.extend(self.trust.iter().cloned());
        all
    }
}

const WORKING: &str = "empty";

fn cannot(error: &std::io::Error) -> PluginError {
    PluginError::output(format!("no private files for govc can be made: {error}"))
        .hint("set TMPDIR to a folder that you may write to")
}

fn folder() -> Result<tempfile::TempDir> {
    let base = vmdk2kvm_private_folder::runtime().unwrap_or_else(std::env::temp_dir);
    // Mode 0700, as all folders of this crate.
    let folder = tempfile::Builder::new().prefix("govc-").tempdir_in(base).map_err(|error| cannot(&error))?;
    DirBuilder::new().mode(0o700).create(folder.path().join(WORKING)).map_err(|error| cannot(&error))?;
    Ok(folder)
}

/// Whom govc believes: the same as the door. A pinned certificate is the only one: govc asks for its digest where no authority vouches for it, so it gets none.
fn trust(door: &Door, folder: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| cannot(&error)).map(|()| path)
    };
    let trust = door.trust();
    if let Some(pin) = &trust.pin {
        let known = write("known_hosts", &format!("{} {pin}\n", door.endpoint()))?;
        let none = write("no_authorities", "")?;
        return Ok(vec![
            ("GOVC_TLS_KNOWN_HOSTS", known),
            ("SSL_CERT_FILE", none),
            ("SSL_CERT_DIR", folder.join(WORKING)),
        ]);
    }
    if let Some(authorities) = &trust.authorities {
        return Ok(vec![("GOVC_TLS_CA_CERTS", write("authorities.pem", authorities)?)]);
    }
    let own = |name| std::env::var_os(name).map(|value| (name, PathBuf::from(value)));
    Ok(OWN_AUTHORITIES.into_iter().filter_map(own).collect())
}

/// A text in memory that a child of this process can read as a file.
struct Secret(OwnedFd);

impl Secret {
    fn new(text: &str) -> Result<Self> {
        let made = memfd_create("secret", MemfdFlags::CLOEXEC).map_err(|error| cannot(&error.into()))?;
        let mut file = File::from(made);
        file.write_all(text.as_bytes()).map_err(|error| cannot(&error))?;
        Ok(Self(file.into()))
    }

    fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use vmdk2kvm_vsphere::trust::{Thumbprint, Trust};

    use super::*;

    fn credentials(trust: Trust, password: &str) -> Result<Credentials> {
        let login = Login { user: "root".to_owned(), password: password.to_owned() };
        Credentials::new(&Door::new("vc.invalid", trust).unwrap(), &login)
    }

    fn value<'a>(all: &'a [(&str, PathBuf)], name: &str) -> Option<&'a Path> {
        all.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_path())
    }

    #[test]
    fn a_child_reads_the_password_and_it_stands_nowhere() {
        let credentials = credentials(Trust::default(), "s3 cret").unwrap();
        let all = credentials.environment();
        let read = Command::new("cat").arg(value(&all, "GOVC_PASSWORD").unwrap()).output().unwrap();
        assert_eq!(String::from_utf8(read.stdout).unwrap(), "s3 cret");
        assert!(all.iter().all(|(_, value)| !value.to_string_lossy().contains("s3 cret")));
        let folder = credentials.folder.path().to_owned();
        assert_eq!(std::fs::read_dir(credentials.working_folder()).unwrap().count(), 0);
        drop(credentials);
        assert!(!folder.exists());
    }

    #[test]
    fn a_pinned_certificate_is_the_only_one() {
        let pin = Thumbprint::parse(&"ab".repeat(32)).unwrap();
        let credentials = credentials(Trust { pin: Some(pin.clone()), authorities: None }, "x").unwrap();
        let all = credentials.environment();
        let known = std::fs::read_to_string(value(&all, "GOVC_TLS_KNOWN_HOSTS").unwrap()).unwrap();
        assert_eq!(known, format!("vc.invalid:443 {pin}\n"));
        assert_eq!(std::fs::read(value(&all, "SSL_CERT_FILE").unwrap()).unwrap(), b"");
        assert_eq!(std::fs::read_dir(value(&all, "SSL_CERT_DIR").unwrap()).unwrap().count(), 0);
        assert_eq!(value(&all, "GOVC_TLS_CA_CERTS"), None);
    }

    #[test]
    fn what_govc_would_cut_off_is_refused() {
        let error = credentials(Trust::default(), "secret ").err().unwrap();
        assert_eq!(error.message, "the password begins or ends with white space, which govc cuts off");
        assert!(error.hint.unwrap().contains("vsphere-soap"));
    }
}
