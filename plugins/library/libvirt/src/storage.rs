//! Pools and their volumes.

use std::fs::File;
use std::io::ErrorKind as Io;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::connection::Connection;
use super::error::{Error, NO_VOLUME};
use super::functions::VolumeInfo;
use super::handle::{Handle, c_text, found};
use super::stream::Stream;
use super::xml::{element, text};

/// Flag of `virStorageVolUpload`.
const SPARSE: u32 = 1;
/// How many bytes of a file are read at a time.
const PIECE: usize = 1 << 20;

/// A pool.
pub struct Pool<'a> {
    connection: &'a Connection,
    handle: Handle,
}

impl<'a> Pool<'a> {
    pub(crate) fn new(connection: &'a Connection, handle: Handle) -> Self {
        Self { connection, handle }
    }

    /// Whether it is active.
    pub fn is_active(&self) -> std::result::Result<bool, Error> {
        // SAFETY: the pool lives.
        let active = unsafe { (self.handle.functions.pool_is_active)(self.handle.get()) };
        self.handle.check(active).map(|active| active == 1)
    }

    /// Whether its volumes are files of a folder: what is written in there is there as it was written.
    pub fn holds_files(&self) -> std::result::Result<bool, Error> {
        // SAFETY: the pool lives.
        let xml = self.handle.text(unsafe { (self.handle.functions.pool_xml)(self.handle.get(), 0) })?;
        let document = roxmltree::Document::parse(&xml).ok();
        let kind = document.as_ref().and_then(|document| document.root_element().attribute("type"));
        Ok(kind.is_some_and(|kind| matches!(kind, "dir" | "fs" | "netfs")))
    }

    /// Has libvirt look at what is in it.
    pub fn refresh(&self) -> std::result::Result<(), Error> {
        // SAFETY: the pool lives.
        self.handle.check(unsafe { (self.handle.functions.pool_refresh)(self.handle.get(), 0) }).map(|_| ())
    }

    /// The volume of a name.
    pub fn volume(&self, name: &str) -> std::result::Result<Option<Volume<'a>>, Error> {
        let functions = self.handle.functions;
        // SAFETY: the pool lives; the text lives for the call.
        let object = unsafe { (functions.volume_by_name)(self.handle.get(), c_text(name).as_ptr()) };
        let handle = found(Handle::new(functions, object, functions.volume_free), NO_VOLUME)?;
        Ok(handle.map(|handle| Volume { connection: self.connection, handle }))
    }

    /// Makes a volume of so many bytes, none of them stored yet, that only its owner reads. One of the name that is there is an error.
    pub fn create(&self, name: &str, bytes: u64) -> std::result::Result<Volume<'a>, Error> {
        let target = element("target")
            .child(element("format").with("type", "raw"))
            .child(element("permissions").child(text("mode", "0600")));
        let volume = element("volume")
            .child(text("name", name))
            .child(text("capacity", bytes.to_string()).with("unit", "bytes"))
            .child(text("allocation", "0").with("unit", "bytes"))
            .child(target);
        let xml = volume.render().map_err(|error| Error { code: 0, message: error.to_string() })?;
        let functions = self.handle.functions;
        // SAFETY: the pool lives; the text lives for the call.
        let object = unsafe { (functions.volume_create)(self.handle.get(), c_text(&xml).as_ptr(), 0) };
        let handle = Handle::new(functions, object, functions.volume_free)?;
        Ok(Volume { connection: self.connection, handle })
    }
}

/// A volume.
pub struct Volume<'a> {
    connection: &'a Connection,
    handle: Handle,
}

impl Volume<'_> {
    /// Its path on the daemon's machine.
    pub fn path(&self) -> std::result::Result<String, Error> {
        // SAFETY: the volume lives.
        self.handle.text(unsafe { (self.handle.functions.volume_path)(self.handle.get()) })
    }

    /// Its bytes: of a format that libvirt knows those that a guest would see.
    pub fn capacity(&self) -> std::result::Result<u64, Error> {
        let mut info = VolumeInfo::default();
        // SAFETY: the volume lives; the place has the library's layout.
        self.handle.check(unsafe { (self.handle.functions.volume_info)(self.handle.get(), &mut info) })?;
        Ok(info.capacity)
    }

    /// Removes it.
    pub fn delete(&self) -> std::result::Result<(), Error> {
        // SAFETY: the volume lives.
        self.handle.check(unsafe { (self.handle.functions.volume_delete)(self.handle.get(), 0) }).map(|_| ())
    }

    /// Fills it with a file, holes left out. `told` hears how many bytes of the file are done, and may stop it.
    pub fn upload(&self, file: &File, name: &str, told: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        let failed = |error: Error| error.during(format_args!("{name} could not be sent"));
        let stream = Stream::new(self.connection).map_err(failed)?;
        let length = file.metadata().map_err(|error| PluginError::from_io(name, &error))?.len();
        // SAFETY: volume and stream live.
        let begun =
            unsafe { (self.handle.functions.volume_upload)(self.handle.get(), stream.object(), 0, length, SPARSE) };
        self.handle.check(begun).map_err(failed)?;
        let sent = send(file, length, name, &stream, told);
        match sent {
            Ok(()) => stream.finish().map_err(failed),
            Err(error) => {
                stream.abort();
                Err(error)
            }
        }
    }
}

fn send(file: &File, length: u64, name: &str, stream: &Stream, told: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
    let failed = |error: Error| error.during(format_args!("{name} could not be sent"));
    let io = |error: std::io::Error| PluginError::from_io(name, &error);
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < length {
        told(at)?;
        let data = next(file, SeekFrom::Data(at), length).map_err(io)?;
        if data > at {
            stream.skip(data - at).map_err(failed)?;
            at = data;
            continue;
        }
        let end = next(file, SeekFrom::Hole(at), length).map_err(io)?;
        while at < end {
            told(at)?;
            let wanted = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            match file.read_at(&mut piece[..wanted], at) {
                Ok(0) => return Err(io(Io::UnexpectedEof.into())),
                Ok(read) => {
                    stream.send(&piece[..read]).map_err(failed)?;
                    at += read as u64;
                }
                Err(error) if error.kind() == Io::Interrupted => {}
                Err(error) => return Err(io(error)),
            }
        }
    }
    told(length)
}

/// Where the next data or the next hole begins. A file system that cannot tell has data everywhere.
fn next(file: &File, from: SeekFrom, length: u64) -> std::io::Result<u64> {
    match (seek(file, from), from) {
        (Ok(at), _) => Ok(at.min(length)),
        // No data behind this place.
        (Err(Errno::NXIO), _) => Ok(length),
        (Err(Errno::INVAL), SeekFrom::Data(at)) => Ok(at),
        (Err(Errno::INVAL), _) => Ok(length),
        (Err(error), _) => Err(error.into()),
    }
}
