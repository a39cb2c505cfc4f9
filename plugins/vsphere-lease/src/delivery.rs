//! A disk brought: its stream decoded into a raw file while it arrives, held against the manifest, and begun anew where it broke.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::blocking::Response;
use reqwest::header::{CONTENT_TYPE, COOKIE};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::{Delivered, Link};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};
use vmdk2kvm_vsphere::request::Moref;
use vmdk2kvm_vsphere::{Session, datastore, ways};

use crate::address::place;
use crate::inflate::{Feed, inflating};
use crate::lease::{Lease, Stated, Stream};
use crate::stream::{Broken, Grain, Sink, decode};

/// How often a disk is begun.
const ATTEMPTS: u32 = 3;
/// How long it is waited in between.
const PAUSE: Duration = Duration::from_secs(2);
/// Streams at once from one host, over all processes of this machine.
const STREAMS: u32 = 2;
/// What is read at a time, in bytes.
const PIECE: usize = 256 << 10;
/// The most that may follow the marker of the end, in bytes.
const TRAILER: u64 = 1 << 20;
/// The disk as the guest sees it, as long as it is not whole, and once it is.
const PART: &str = "disk.raw.part";
const WHOLE: &str = "disk.raw";
/// What is whole.
const STATE: &str = "disk.state";

/// Brings a disk into a folder.
pub fn deliver(host: &Host, link: &Link, folder: &Path) -> Result<Delivered> {
    let disk = link.vm.disks.get(link.disk as usize);
    let disk = disk.ok_or_else(|| PluginError::defect("a link to a disk that the VM does not have"))?;
    let note = |name: &str| link.hold.notes[name].as_str().map(str::to_owned);
    let (Some(session), Some(vm)) = (note(datastore::SESSION_NOTE), note(ways::VM_NOTE)) else {
        return Err(PluginError::cannot("exporting a VM whose catalog lends no session"));
    };
    let device = link.way.extra.get(ways::DEVICE).cloned();
    let device = device.ok_or_else(|| PluginError::cannot("exporting a disk that is on no controller"))?;
    let snapshot = note(ways::SNAPSHOT_NOTE).map(|id| Moref::new("VirtualMachineSnapshot", id));
    let state = format!("{} {}", link.way.object, snapshot.as_ref().map_or("", |it| it.id.as_str()));
    if folder.join(WHOLE).is_file() && std::fs::read_to_string(folder.join(STATE)).is_ok_and(|known| known == state) {
        return Ok(Delivered::new(WHOLE, "raw", 0));
    }
    let lent = host.secret_bytes(&session)?;
    let lent = lent.ok_or_else(|| PluginError::defect("the session that the catalog lent is not there"))?;
    let session = Arc::new(Session::borrow(&lent)?);
    let export = Export {
        host,
        session,
        vm: Moref::new("VirtualMachine", vm),
        snapshot,
        device,
        name: disk.name.clone(),
        capacity: disk.capacity_bytes,
    };
    let bytes = export.bring(&folder.join(PART))?;
    let failed = |error| PluginError::from_io(folder.display(), &error);
    std::fs::rename(folder.join(PART), folder.join(WHOLE)).map_err(failed)?;
    std::fs::write(folder.join(STATE), state).map_err(failed)?;
    Ok(Delivered::new(WHOLE, "raw", bytes))
}

/// A disk that is exported.
struct Export<'a> {
    host: &'a Host,
    session: Arc<Session>,
    vm: Moref,
    snapshot: Option<Moref>,
    device: String,
    name: String,
    capacity: u64,
}

impl Export<'_> {
    /// Brings it, and begins anew where it breaks: a stream has no middle to begin from. How many bytes came.
    fn bring(&self, file: &Path) -> Result<u64> {
        let mut attempt = 1;
        loop {
            self.host.check_cancelled()?;
            match self.once(file) {
                Err(error) if attempt < ATTEMPTS && matches!(error.kind, ErrorKind::Io | ErrorKind::Temporary) => {
                    self.host.warn(format!("{}: {}; it is begun anew", escape(&self.name), error.message));
                    std::thread::sleep(PAUSE * attempt);
                    attempt += 1;
                }
                ended => return ended,
            }
        }
    }

    fn once(&self, file: &Path) -> Result<u64> {
        let what = format!("exporting {}", escape(&self.name));
        let lease = Lease::take(self.host, &self.session, &self.vm, self.snapshot.as_ref(), &what)?;
        let stream = lease.stream(&self.device).ok_or_else(|| {
            let message = format!("{what}: the lease has no stream of {}", escape(&self.device));
            PluginError::new(ErrorKind::Cannot, message)
        })?;
        let place = place(&self.session, &stream.url, stream.thumbprint.as_deref())?;
        let _one = self.host.slot(&format!("esx:{} streams", place.door.server()), STREAMS)?;
        let mut request = place.door.request(Method::GET, &place.path);
        if place.is_server {
            request = request.header(COOKIE, self.session.cookie());
        }
        let answer = place.door.send(request)?;
        check(&answer, &what, place.door.server())?;
        let target = Target { path: file, file: create(file)? };
        let body = Body { answer, host: self.host, lease: &lease, bytes: 0, sha1: Sha1::new(), sha256: Sha256::new() };
        let write = |offset: u64, bytes: &[u8]| target.write(offset, bytes);
        let taken = inflating(&write, |feed| {
            self.take(body, &mut Arriving { export: self, lease: &lease, target: &target, feed }, &what)
        });
        let body = taken.map_err(|broken| self.why(broken, &lease, &what))?;
        target.file.sync_all().map_err(|error| PluginError::from_io(file.display(), &error))?;
        let bytes = self.compare(body, &lease, stream, &what)?;
        if let Err(error) = lease.complete() {
            self.host.warn(format!("{}: all of it came, and {}", escape(&self.name), error.message));
        }
        Ok(bytes)
    }

    /// Reads the stream to its end, which has to be a clean one.
    fn take<'b>(&self, body: Body<'b>, arriving: &mut Arriving<'_, '_>, what: &str) -> Result<Body<'b>, Broken> {
        let mut input = BufReader::with_capacity(PIECE, body);
        decode(&mut input, arriving)?;
        let rest = std::io::copy(&mut (&mut input).take(TRAILER + 1), &mut std::io::sink()).map_err(Broken::Off)?;
        if rest > TRAILER {
            return Err(Broken::Wrong(PluginError::unusable(format!("{what}: the stream goes on after its end"))));
        }
        Ok(input.into_inner())
    }

    /// The error of a stream that broke: the lease's own reason before that of the connection.
    fn why(&self, broken: Broken, lease: &Lease, what: &str) -> PluginError {
        if self.host.cancelled() {
            return PluginError::interrupted();
        }
        match (broken, lease.check()) {
            (Broken::Wrong(error), _) => error.context(what),
            (Broken::Off(_), Err(error)) => error,
            (Broken::Off(error), Ok(())) => {
                PluginError::io(format!("{what}: the stream broke off: {}", reason(&error)))
                    .hint("run the same command again: disks that are whole are kept")
            }
        }
    }

    /// Holds what came against what the server says that it sent. How many bytes came.
    fn compare(&self, body: Body<'_>, lease: &Lease, stream: &Stream, what: &str) -> Result<u64> {
        let Some(Stated { size, digests }) = lease.manifest(&stream.key)? else {
            self.host.warn(format!("{}: the server says no digest of what it sent", escape(&self.name)));
            return Ok(body.bytes);
        };
        let differs = |how: String| {
            PluginError::io(format!("{what}: {how}"))
                .hint("run the same command again; if it stays so, something in between changes what is sent")
        };
        if let Some(size) = size.filter(|size| *size != body.bytes) {
            return Err(differs(format!("{} bytes came of the {size} that were sent", body.bytes)));
        }
        let sha1 = format!("{:x}", body.sha1.finalize());
        let sha256 = format!("{:x}", body.sha256.finalize());
        let mut compared = false;
        for (name, stated) in &digests {
            let ours = match name.replace('-', "").as_str() {
                "sha256" => &sha256,
                "sha1" => &sha1,
                _ => continue,
            };
            if ours != stated {
                return Err(differs(format!("the received data has another {name} than the sent data")));
            }
            compared = true;
        }
        if !compared {
            self.host.warn(format!("{}: the server says no digest that is known here", escape(&self.name)));
        }
        Ok(body.bytes)
    }
}

/// The reason in an error of a body: the last cause says it.
fn reason(error: &std::io::Error) -> String {
    let mut next: Option<&(dyn std::error::Error + 'static)> = error.get_ref().map(|inner| inner as _);
    let mut text = error.to_string();
    while let Some(cause) = next {
        text = cause.to_string();
        next = cause.source();
    }
    escape(&text).into_owned()
}

/// Refuses an answer that is no stream.
fn check(answer: &Response, what: &str, server: &str) -> Result<()> {
    let status = answer.status();
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let error = |kind, why: String| PluginError::new(kind, format!("{what}: {server} {why}"));
    match status.as_u16() {
        200 if kind.starts_with("text/html") => {
            Err(error(ErrorKind::Unusable, "gives a page in place of a stream".to_owned())
                .hint("look for a proxy in between"))
        }
        200 => Ok(()),
        401 | 403 => {
            Err(error(ErrorKind::Auth, format!("does not let this user export it (HTTP {status}) (privilege-missing)"))
                .hint("the role needs vApp > Export on the VM"))
        }
        404 | 429 | 502..=504 => Err(error(ErrorKind::Temporary, format!("answers with HTTP {status}"))
            .hint("run the same command again: disks that are whole are kept")),
        _ => Err(error(ErrorKind::Io, format!("answers with HTTP {status}"))
            .hint("the server's log has more (hostd.log, vpxd.log)")),
    }
}

/// What comes, digested.
struct Body<'a> {
    answer: Response,
    host: &'a Host,
    lease: &'a Lease,
    bytes: u64,
    sha1: Sha1,
    sha256: Sha256,
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.host.cancelled() || self.lease.check().is_err() {
            return Err(std::io::Error::other("it was given up"));
        }
        let read = self.answer.read(buffer)?;
        self.bytes += read as u64;
        self.sha1.update(&buffer[..read]);
        self.sha256.update(&buffer[..read]);
        Ok(read)
    }
}

fn create(path: &Path) -> Result<File> {
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    made.map_err(|error| PluginError::from_io(path.display(), &error))
}

/// The raw file.
struct Target<'a> {
    path: &'a Path,
    file: File,
}

impl Target<'_> {
    fn failed(&self, error: &std::io::Error) -> PluginError {
        let failed = PluginError::from_io(self.path.display(), error);
        // Whatever it is, a server has nothing to do with it: the same again would fail again.
        if failed.kind == ErrorKind::Io { failed.of_kind(ErrorKind::Output) } else { failed }
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|error| self.failed(&error))
    }
}

/// A stream that arrives.
struct Arriving<'a, 'f> {
    export: &'a Export<'a>,
    lease: &'a Lease,
    target: &'a Target<'a>,
    feed: &'a mut Feed<'f>,
}

impl Sink for Arriving<'_, '_> {
    fn begin(&mut self, capacity: u64) -> Result<()> {
        let expected = self.export.capacity;
        if capacity != expected {
            return Err(PluginError::unusable(format!(
                "the stream is of a disk of {capacity} bytes, and the VM's has {expected}"
            ))
            .hint("the disk changed meanwhile: run the same command again"));
        }
        self.target.file.set_len(capacity).map_err(|error| self.target.failed(&error))
    }

    fn grain(&mut self, grain: Grain, packed: &[u8]) -> Result<(), Broken> {
        self.feed.push(grain, packed)?;
        let (done, total) = (grain.offset + grain.bytes as u64, self.export.capacity);
        self.export.host.progress_on(&self.export.name, "export", done, total);
        self.lease.is_at(u8::try_from(done.saturating_mul(100) / total.max(1)).unwrap_or(99));
        Ok(())
    }
}
