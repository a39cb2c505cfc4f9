//! What every `Flattener` promises: a flat view that agrees with its report, and never invents data.

use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{BlockSource, Extent, Flat, Flattener, Hints, PluginError, Result, Transport, read_exact_at};

use crate::{CancelSwitch, Checks, MemoryFiles, Report, Why, failed, is_plain, skipped, well_refused};

/// Bytes compared at once.
const PIECE: usize = 64 << 10;
/// As much of a disk is compared, in bytes.
const COMPARED: u64 = 16 << 20;

/// A disk that a flattener is for, and the files that its chain is in.
#[derive(Clone)]
pub struct Chain {
    /// The topmost file and its format.
    pub disk: FlattenDisk,
    /// Where its files are.
    pub files: Arc<dyn Transport>,
}

/// Checks a flattener, with a chain that it can read; without one only what needs none. `host` is the one that its plugin was made with.
pub fn flattener(flattener: &dyn Flattener, host: &dyn CancelSwitch, chain: Option<&Chain>) -> Report {
    let mut checks = Checks::of("flattener");
    let formats = flattener.formats();
    checks.check("it names the formats that it reads", || match formats.iter().find(|format| !is_plain(format)) {
        Some(format) => failed(format!("{format:?} is not lower case letters, digits and dashes")),
        None if formats.is_empty() => failed("there is none"),
        None => Ok(()),
    });
    for format in &formats {
        checks.check("a file that is no such image is refused, or read as what it is", || {
            broken_files().into_iter().try_for_each(|(name, bytes)| no_image(flattener, format, name, &bytes))
        });
    }
    let opened = checks.check("it opens the chain", || {
        let Some(chain) = chain else { return skipped("no disk was given") };
        let spy = Arc::new(Spy { files: Arc::clone(&chain.files), ends_early: false, opened: Mutex::default() });
        Ok((chain, flattener.flatten(&chain.disk, Arc::clone(&spy) as Arc<dyn Transport>)?, spy))
    });
    let Some((chain, flat, spy)) = opened else { return checks.report };
    checks.check("the report fits what was opened", || report_fits(chain, &flat, &spy));
    checks.report.extend(crate::source(&chain.disk.object, &*flat.source));
    checks.check("what cannot be read is an error, never other bytes", || torn_files(flattener, chain, &flat));
    checks.check_cancel(host, || flattener.flatten(&chain.disk, Arc::clone(&chain.files)).map(drop));
    checks.report
}

fn broken_files() -> [(&'static str, Vec<u8>); 4] {
    // A pattern that is no image of any format.
    let noise: Vec<u8> = (0..65_536u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    [("empty", Vec::new()), ("one-byte", vec![0x7f]), ("zeros", vec![0; 4096]), ("noise", noise)]
}

fn no_image(flattener: &dyn Flattener, format: &str, name: &str, bytes: &[u8]) -> Result<(), Why> {
    let disk = FlattenDisk::new(name.to_owned(), format.to_owned());
    match flattener.flatten(&disk, Arc::new(MemoryFiles::default().with(name, bytes))) {
        Err(error) => well_refused(&error),
        Ok(flat) => match crate::source(name, &*flat.source).failures().next() {
            Some(check) => failed(format!("as {format}: {check}")),
            None => Ok(()),
        },
    }
}

fn report_fits(chain: &Chain, flat: &Flat, spy: &Spy) -> Result<(), Why> {
    let report = &flat.report;
    if report.capacity_bytes != flat.source.size() {
        return failed(format!("it says {} bytes, the view has {}", report.capacity_bytes, flat.source.size()));
    }
    let Some(top) = report.links.first() else { return failed("it names no link of the chain") };
    if top.object != chain.disk.object {
        return failed(format!("its topmost link is {:?}, not {:?}", top.object, chain.disk.object));
    }
    let opened = spy.opened.lock().unwrap_or_else(PoisonError::into_inner);
    let named = |object: &String| report.links.iter().any(|link| link.object == *object || link.files.contains(object));
    match opened.iter().find(|object| !named(object)) {
        Some(object) => failed(format!("{object:?} was opened, and no link names it")),
        None => Ok(()),
    }
}

/// The same chain with every file cut in half: each piece reads as in the whole one, or not at all.
fn torn_files(flattener: &dyn Flattener, chain: &Chain, whole: &Flat) -> Result<(), Why> {
    let torn = Spy { files: Arc::clone(&chain.files), ends_early: true, opened: Mutex::default() };
    let flat = match flattener.flatten(&chain.disk, Arc::new(torn)) {
        Ok(flat) => flat,
        Err(error) => return well_refused(&error),
    };
    // Formats without a header have no size but the file's: a shorter file is a smaller disk.
    let size = whole.source.size().min(flat.source.size()).min(COMPARED);
    let (mut at, mut good, mut bad) = (0, vec![0; PIECE], vec![0; PIECE]);
    while at < size {
        let length = (size - at).min(PIECE as u64) as usize;
        read_exact_at(&*whole.source, at, &mut good[..length])?;
        match read_exact_at(&*flat.source, at, &mut bad[..length]) {
            Err(error) => well_refused(&error)?,
            Ok(()) if good[..length] == bad[..length] => {}
            Ok(()) => return failed(format!("{length} bytes at {at} read otherwise when half of the file is missing")),
        }
        at += length as u64;
    }
    Ok(())
}

/// Files that remember which were opened, and may end in their middle.
struct Spy {
    files: Arc<dyn Transport>,
    ends_early: bool,
    opened: Mutex<Vec<String>>,
}

impl Transport for Spy {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(object.to_owned());
        let source = self.files.open(object)?;
        Ok(if self.ends_early { Box::new(Half(source)) } else { source })
    }
    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        self.files.resolve(from, name)
    }
    fn fingerprint(&self, object: &str) -> Result<String> {
        self.files.fingerprint(object)
    }
}

/// The first half of a file.
struct Half(Box<dyn BlockSource>);

impl BlockSource for Half {
    fn size(&self) -> u64 {
        self.0.size() / 2
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        match offset.checked_add(buffer.len() as u64) {
            Some(end) if end <= self.size() => self.0.read_at(offset, buffer),
            _ => Err(PluginError::unusable("the file ends early")),
        }
    }
    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        match offset.checked_add(length) {
            Some(end) if end <= self.size() => self.0.extents(offset, length),
            _ => Err(PluginError::unusable("the file ends early")),
        }
    }
    fn hints(&self) -> Hints {
        self.0.hints()
    }
}
