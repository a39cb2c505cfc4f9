//! Archives and compressed files as folders: what they hold, and each member as bytes at any offset.
//!
//! An uncompressed tar and a stored ZIP member are read in place. What is compressed is unpacked once, to a file without a name
//! ([`spool`]), because a disk is read at many places at once. Nothing is ever written under a member's name.

pub mod compressed;
pub mod members;
pub mod pieces;
pub mod reader;
pub mod shelf;
pub mod spool;
pub mod tar;
pub mod tar_sparse;
pub mod zip;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use self::compressed::Compression;
use self::spool::Spooler;
use self::zip::Stored;
use crate::detect::{Interest, interest};
use crate::magic::{self, Archive, Magic};
use crate::object::Object;

/// An opened archive.
pub struct Container {
    members: BTreeMap<String, Member>,
    spooler: Spooler,
}

struct Member {
    size: u64,
    /// Filled in for a deflated member when it is first opened.
    bytes: Mutex<Option<Arc<dyn BlockSource>>>,
    packed: Option<Stored>,
}

impl Member {
    fn plain(bytes: Arc<dyn BlockSource>) -> Self {
        Self { size: bytes.size(), bytes: Mutex::new(Some(bytes)), packed: None }
    }
}

impl Container {
    /// Opens the archive of this kind. A compressed file is unpacked; when that gives a tar, its members are there, else the one
    /// unpacked file.
    pub fn open(object: &Object, kind: Archive, spooler: &Spooler) -> Result<Self> {
        let members = match kind {
            Archive::Tar => tar(object.name(), object.bytes())?,
            Archive::Zip => zip::members(object.name(), object.bytes())?
                .finish()?
                .into_iter()
                .map(|(name, stored)| {
                    let bytes = stored.in_place()?.map(|bytes| Arc::new(bytes) as Arc<dyn BlockSource>);
                    Ok((name, Member { size: stored.size(), bytes: Mutex::new(bytes), packed: Some(stored) }))
                })
                .collect::<Result<_>>()?,
            Archive::Compressed(compression) => unpacked(object, compression, spooler)?,
        };
        Ok(Self { members, spooler: spooler.clone() })
    }

    /// Names and sizes of its members.
    pub fn list(&self) -> impl Iterator<Item = (&str, u64)> {
        self.members.iter().map(|(name, member)| (name.as_str(), member.size))
    }

    /// The names of its members that begin so.
    pub fn names_beginning<'a>(&'a self, with: &'a str) -> impl Iterator<Item = &'a str> {
        let from = (Bound::Included(with), Bound::Unbounded);
        self.members.range::<str, _>(from).map(|(name, _)| name.as_str()).take_while(move |name| name.starts_with(with))
    }

    /// Whether it has this member.
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// The bytes of a member; `None` when there is none of this name.
    pub fn bytes(&self, name: &str) -> Result<Option<Arc<dyn BlockSource>>> {
        let Some(member) = self.members.get(name) else { return Ok(None) };
        // Held while unpacking: a second reader waits for the first one's file.
        let mut bytes = member.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = &*bytes {
            return Ok(Some(Arc::clone(bytes)));
        }
        let packed = member.packed.as_ref().ok_or_else(|| PluginError::defect("a member without bytes"))?;
        let unpacked: Arc<dyn BlockSource> = Arc::new(packed.unpack(&self.spooler)?);
        *bytes = Some(Arc::clone(&unpacked));
        Ok(Some(unpacked))
    }
}

fn tar(name: &str, bytes: &Arc<dyn BlockSource>) -> Result<BTreeMap<String, Member>> {
    let members = tar::members(name, bytes)?.finish()?;
    Ok(members.into_iter().map(|(name, pieces)| (name, Member::plain(Arc::new(pieces)))).collect())
}

fn unpacked(object: &Object, compression: Compression, spooler: &Spooler) -> Result<BTreeMap<String, Member>> {
    let mut stream = compression.reader(object.name(), object.bytes())?;
    let file: Arc<dyn BlockSource> = Arc::new(spooler.spool(object.name(), &mut stream, None)?);
    let name = Compression::inner_name(object.name());
    // A disk stays a disk even when its guest wrote the beginning of a tar into its first sector.
    if interest(&name) != Interest::Disk && magic::of(&*file)? == Magic::Archive(Archive::Tar) {
        return tar(object.name(), &file);
    }
    Ok(BTreeMap::from([(name, Member::plain(file))]))
}
