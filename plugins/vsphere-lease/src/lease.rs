//! A lease: taken, kept alive from a thread of its own, and ended. One that is dropped is aborted: nothing of a run that failed stays locked.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};
use vmdk2kvm_vsphere::fault::Fault;
use vmdk2kvm_vsphere::request::{Elements, Moref, Request};
use vmdk2kvm_vsphere::session::Failed;
use vmdk2kvm_vsphere::{Session, Tree, collector};

/// How long a lease may take to get ready: a host opens the disks meanwhile.
const READY: Duration = Duration::from_secs(300);
/// The pause before it is looked again whether it is, at first and at most: each is twice as long as the one before.
const LOOKS: [Duration; 2] = [Duration::from_millis(25), Duration::from_secs(1)];
/// The longest between two signs of life. A lease dies after its time-out, 300 s as a rule, and some hosts are less patient.
const ALIVE: Duration = Duration::from_secs(5);

/// A disk's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// By which the manifest knows it.
    pub key: String,
    /// Where it is.
    pub url: String,
    /// The digest of the certificate there.
    pub thumbprint: Option<String>,
}

/// What the manifest says of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// Its bytes.
    pub size: Option<u64>,
    /// The name of a digest in lower-case letters, and the digest in hexadecimal.
    pub digests: Vec<(String, String)>,
}

/// A lease that is ready.
pub struct Lease {
    session: Arc<Session>,
    moref: Moref,
    streams: Vec<Stream>,
    shared: Arc<Shared>,
    keeper: Option<(Sender<()>, JoinHandle<()>)>,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    percent: AtomicU8,
    dead: AtomicBool,
    why: Mutex<Option<PluginError>>,
}

impl Lease {
    /// Takes one of a VM, or of a snapshot of it, and waits until it is ready.
    pub fn take(host: &Host, session: &Arc<Session>, vm: &Moref, snapshot: Option<&Moref>, what: &str) -> Result<Self> {
        let request = match snapshot {
            Some(snapshot) => Request::new("ExportSnapshot", snapshot, Elements::new()),
            None => Request::new("ExportVm", vm, Elements::new()),
        };
        let answer = session.order(&request).map_err(|failed| refused(failed, what, session.server()))?;
        let moref = answer.find("returnval").and_then(Moref::of);
        let moref =
            moref.ok_or_else(|| PluginError::unusable(format!("{what}: {} gives no lease", session.server())))?;
        let mut lease = Self {
            session: Arc::clone(session),
            moref,
            streams: Vec::new(),
            shared: Arc::default(),
            keeper: None,
            ended: false,
        };
        let info = lease.wait(host, what)?;
        lease.streams = info.all("deviceUrl").filter_map(stream).collect();
        let timeout = info.number::<u64>("leaseTimeout").filter(|seconds| *seconds > 0).unwrap_or(300);
        lease.keep(Duration::from_secs(timeout));
        Ok(lease)
    }

    fn wait(&self, host: &Host, what: &str) -> Result<Tree> {
        let (began, mut pause) = (Instant::now(), LOOKS[0]);
        let session = &self.session;
        loop {
            host.check_cancelled()?;
            let found = collector::read(session, &self.moref, &["state", "info", "error"], what)?;
            match found.text("state") {
                Some("ready") => return Ok(found.get("info").cloned().unwrap_or_default()),
                Some("error") => return Err(died(found.get("error"), what, session.server())),
                Some("done") => return Err(PluginError::io(format!("{what}: {} ended the lease", session.server()))),
                _ if began.elapsed() > READY => {
                    let late = format!("{what}: {} has no lease ready after {} s", session.server(), READY.as_secs());
                    return Err(PluginError::new(ErrorKind::Temporary, late).hint("run the same command again later"));
                }
                _ => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LOOKS[1]);
                }
            }
        }
    }

    /// Says from now on that somebody is there, until the lease ends.
    fn keep(&mut self, timeout: Duration) {
        let (stop, stopped) = channel();
        let (session, moref, shared) = (Arc::clone(&self.session), self.moref.clone(), Arc::clone(&self.shared));
        let pause = ALIVE.min(timeout / 4);
        let work = move || {
            loop {
                let percent = Elements::new().number("percent", shared.percent.load(Ordering::Relaxed));
                match session.order(&Request::new("HttpNfcLeaseProgress", &moref, percent)) {
                    // What was not heard is said again.
                    Ok(_) | Err(Failed::Unheard(_)) => {}
                    Err(Failed::Fault(_)) => {
                        let found = collector::try_read(&session, &moref, &["error"]).ok();
                        let error = died(found.as_ref().and_then(|it| it.get("error")), "the lease", session.server());
                        *shared.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        shared.dead.store(true, Ordering::Relaxed);
                        return;
                    }
                }
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        // Without it the lease dies, and the streams break off: that is told then.
        let thread = std::thread::Builder::new().name("lease".to_owned()).spawn(work);
        self.keeper = thread.ok().map(|thread| (stop, thread));
    }

    /// The stream of the disk at this place, `TYPEOFCONTROLLER0:0`.
    pub fn stream(&self, device: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.key.rsplit('/').next() == Some(device))
    }

    /// How far the disk is, in percent, for whoever looks at the server.
    pub fn is_at(&self, percent: u8) {
        self.shared.percent.store(percent.min(99), Ordering::Relaxed);
    }

    /// An error when the server has ended it.
    pub fn check(&self) -> Result<()> {
        if !self.shared.dead.load(Ordering::Relaxed) {
            return Ok(());
        }
        let why = self.shared.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(why.unwrap_or_else(|| PluginError::io("the lease ended")))
    }

    /// What the server says of a stream that it has sent; `None`: it says nothing.
    pub fn manifest(&self, key: &str) -> Result<Option<Stated>> {
        let request = Request::new("HttpNfcLeaseGetManifest", &self.moref, Elements::new());
        let answer = match self.session.try_ask(&request) {
            Err(Failed::Fault(fault)) if matches!(fault.kind.as_str(), "NotSupported" | "MethodNotFound") => {
                return Ok(None);
            }
            answer => answer.map_err(|failed| failed.error("asking for the manifest", self.session.server()))?,
        };
        Ok(answer.all("returnval").find(|entry| entry.text("key") == Some(key)).map(stated))
    }

    /// Ends it well.
    pub fn complete(mut self) -> Result<()> {
        self.rest();
        let request = Request::new("HttpNfcLeaseComplete", &self.moref, Elements::new());
        let done = self.session.order(&request);
        self.ended = done.is_ok();
        done.map(drop).map_err(|failed| failed.error("ending the lease", self.session.server()))
    }

    /// The keeper stops.
    fn rest(&mut self) {
        if let Some((stop, thread)) = self.keeper.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.rest();
        if !self.ended {
            // One that is gone is ended; one that nobody hears of dies by itself.
            let _ = self.session.order(&Request::new("HttpNfcLeaseAbort", &self.moref, Elements::new()));
        }
    }
}

/// The error of a lease that is not given.
fn refused(failed: Failed, what: &str, server: &str) -> PluginError {
    let in_use = matches!(&failed, Failed::Fault(fault) if matches!(fault.kind.as_str(), "InvalidPowerState"));
    let error = failed.error(what, server);
    if in_use {
        error.hint("a VM that runs is exported from a snapshot alone: allow one with --snapshot")
    } else {
        error
    }
}

fn died(error: Option<&Tree>, what: &str, server: &str) -> PluginError {
    match error.map(Fault::of_task).filter(|fault| !fault.kind.is_empty() || !fault.text.is_empty()) {
        // The lease's own states.
        Some(fault) => fault.error(what, server),
        None => PluginError::new(ErrorKind::Temporary, format!("{what}: {server} ended the lease"))
            .hint("run the same command again"),
    }
}

fn stream(device: &Tree) -> Option<Stream> {
    // The NVRAM's is no disk.
    if device.is_on("disk") == Some(false) {
        return None;
    }
    let text = |name: &str| device.text(name).map(str::to_owned);
    Some(Stream { key: text("key")?, url: text("url")?, thumbprint: text("sslThumbprint") })
}

fn stated(entry: &Tree) -> Stated {
    let digest = |name: &str, member: &str| Some((name.to_lowercase(), entry.text(member)?.to_lowercase()));
    let named = entry.text("checksumType").and_then(|name| digest(name, "checksum"));
    Stated { size: entry.number("size"), digests: named.into_iter().chain(digest("sha1", "sha1")).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_told_from_other_files_and_the_manifest_is_read() {
        let info = Tree::parse(
            r#"<info><deviceUrl><key>/vm-7/ParaVirtualSCSIController0:0</key><url>https://*/nfc/1/disk-0.vmdk</url><sslThumbprint>AB</sslThumbprint><disk>true</disk></deviceUrl>
            <deviceUrl><key>/vm-7/nvram</key><url>https://*/nfc/1/a.nvram</url><disk>false</disk></deviceUrl><leaseTimeout>300</leaseTimeout></info>"#,
            "vc",
        )
        .unwrap();
        let streams: Vec<Stream> = info.all("deviceUrl").filter_map(stream).collect();
        assert_eq!(streams.len(), 1);
        assert_eq!(streams[0].thumbprint.as_deref(), Some("AB"));
        let entry = Tree::parse(
            "<returnval><key>k</key><sha1>AA</sha1><checksum>BB</checksum><checksumType>SHA256</checksumType><size>12</size></returnval>",
            "vc",
        )
        .unwrap();
        let digests = vec![("sha256".to_owned(), "bb".to_owned()), ("sha1".to_owned(), "aa".to_owned())];
        assert_eq!(stated(&entry), Stated { size: Some(12), digests });
    }
}
