//! The lab's vCenter (tests/vcsim), built by its script and cached: a real simulator on a free port of loopback, with its disks as files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// A vCenter, or an ESXi host. Ends when it is dropped, and also when the test is killed.
pub struct Vcenter {
    lab: Child,
    ready: Value,
    folder: tempfile::TempDir,
}

impl Vcenter {
    /// Starts one with these VMs, each as `tests/vcsim/README.md` has it, and with these flags. `fill` puts the raw disks that the VMs name into the
    /// datastore's folder.
    pub fn start(vms: &Value, flags: &[&str], fill: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let datastore = folder.path().join("datastore");
        std::fs::create_dir(&datastore).unwrap();
        fill(&datastore);
        let inventory = folder.path().join("inventory.json");
        std::fs::write(&inventory, json!({ "vms": vms }).to_string()).unwrap();
        let mut lab = Command::new(programs().join("labvcenter"))
            .args(["-dir".as_ref(), datastore.as_os_str(), "-inventory".as_ref(), inventory.as_os_str()])
            .args(["-state".as_ref(), folder.path().join("state").as_os_str()])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(lab.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).expect("the lab's vCenter says that it is ready");
        Self { lab, ready, folder }
    }

    /// The real govc.
    pub fn govc() -> PathBuf {
        programs().join("govc")
    }

    /// A member of the line that it prints when it is ready.
    pub fn fact(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    /// A VM's moref. Of several VMs of one name it is that of one of them.
    pub fn moref(&self, vm: &str) -> &str {
        self.ready["vms"][vm].as_str().unwrap()
    }

    /// The file with the password.
    pub fn password_file(&self) -> &str {
        self.fact("password_file")
    }

    /// The folder that is its datastore.
    pub fn datastore(&self) -> PathBuf {
        self.folder.path().join("datastore")
    }

    /// The URI of what is at this place, whose certificate is pinned. `more` goes behind the path: `?...`.
    pub fn uri(&self, path: &str, more: &str) -> String {
        let query = if more.is_empty() { "?".to_owned() } else { format!("{more}&") };
        let user = std::fs::read_to_string(self.fact("user_file")).unwrap().replace('@', "%40");
        let (address, pin) = (self.fact("address"), self.fact("thumbprint_sha256"));
        format!("vsphere://{user}@{address}{path}{query}thumbprint={pin}")
    }

    /// What it has seen, and what is held there.
    pub fn state(&self) -> Value {
        serde_json::from_slice(&self.control("GET", "/state", b"")).unwrap()
    }

    /// Adds a fault.
    pub fn fault(&self, fault: &Value) {
        self.control("POST", "/fault", fault.to_string().as_bytes());
    }

    /// Asks its control door.
    pub fn control(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let mut door = TcpStream::connect(self.fact("control").trim_start_matches("http://")).unwrap();
        // HTTP/1.0: the answer ends with the connection.
        write!(door, "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
        door.write_all(body).unwrap();
        let mut answer = Vec::new();
        door.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let body = answer.split_off(end);
        let head = String::from_utf8_lossy(&answer);
        assert!(head.contains(" 200 "), "{method} {path}: {head}{}", String::from_utf8_lossy(&body));
        body
    }
}

impl Drop for Vcenter {
    fn drop(&mut self) {
        drop(self.lab.stdin.take());
        let _ = self.lab.wait();
    }
}

/// The folder with `labvcenter` and `govc`.
fn programs() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("vcsim/build");
    let output = Command::new(&script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{} failed: {}", script.display(), output.status);
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}
