//! A disk as a `BlockSource`: several requests under way at once on one open disk, what was never written to as holes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, Extent, Hints, Host, PluginError, Result};
use vmdk2kvm_vsphere::Session;

use crate::abi::{Code, SECTOR};
use crate::engine::Engine;
use crate::errors::{self, Doing};
use crate::handle::{As, Handle, Wanted};
use crate::map::{self, Map};
use crate::said;
use crate::turn::Turn;

/// The largest request in bytes: what a vCenter takes; larger ones are no faster.
const REQUEST: u32 = 2 << 20;
/// Requests under way at once: as many as the library is told to have buffers for.
const AT_ONCE: u16 = 4;
/// How often a request is made.
const ATTEMPTS: u32 = 3;
/// The pause before it is made again.
const PAUSE: Duration = Duration::from_millis(300);

/// A disk of a server.
pub struct Disk {
    host: Host,
    engine: &'static Engine,
    name: String,
    /// Taken when it is closed.
    handle: Option<Handle>,
    turn: Arc<Turn>,
    size: u64,
    map: OnceLock<Map>,
    /// Something was read.
    is_read: std::sync::atomic::AtomicBool,
    /// The library goes on with this login.
    _session: Arc<Session>,
}

impl Disk {
    /// Opens a disk, which has to have this size.
    pub fn open(
        host: Host,
        engine: &'static Engine,
        wanted: Wanted,
        size: u64,
        turn: Turn,
        session: Arc<Session>,
    ) -> Result<Self> {
        let name = wanted.name.clone();
        for secret in [wanted.password.as_str(), wanted.cookie.as_str(), value_of(&wanted.cookie)] {
            said::hide(secret);
        }
        let handle = connect(engine, wanted)?;
        let turn = Arc::new(turn);
        let disk = Self {
            host,
            engine,
            name,
            handle: Some(handle),
            turn,
            size,
            map: OnceLock::new(),
            is_read: false.into(),
            _session: session,
        };
        let facts = disk.handle()?.facts(engine.version).map_err(|code| disk.error(Doing::Ask, code))?;
        let found = facts.sectors.saturating_mul(SECTOR);
        if found != size {
            return Err(PluginError::new(
                ErrorKind::Temporary,
                format!("{}: VDDK opened a disk of {found} bytes, and the VM's has {size}", disk.name),
            )
            .hint("the disk changed meanwhile: run the same command again"));
        }
        if u64::from(facts.sector) > SECTOR {
            let (name, sector) = (&disk.name, facts.sector);
            disk.host.warn(format!(
                "{name}: its guest knows it with sectors of {sector} bytes, and finds sectors of {SECTOR} in the new machine"
            ));
        }
        // What it warned of until now is over.
        said::begin();
        tracing::info!("{} is read by VDDK {} over {}", disk.name, engine.version, disk.handle()?.mode());
        engine.look_after(&disk.turn);
        Ok(disk)
    }

    fn handle(&self) -> Result<&Handle> {
        self.handle.as_ref().ok_or_else(|| PluginError::defect("a disk that is closed is read"))
    }

    fn error(&self, doing: Doing, code: Code) -> PluginError {
        errors::error(self.engine.functions(), &self.name, doing, code)
    }

    /// Reads whole sectors, and tries again what broke.
    fn sectors(&self, sector: u64, buffer: &mut [u8]) -> Result<()> {
        use std::sync::atomic::Ordering::Relaxed;
        let mut attempt = 1;
        loop {
            self.host.check_cancelled()?;
            let read = {
                let _pass = self.turn.enter()?;
                self.handle()?.read(sector, buffer)
            };
            let Err(code) = read else {
                self.is_read.store(true, Relaxed);
                return Ok(());
            };
            if attempt == ATTEMPTS {
                let doing = if self.is_read.load(Relaxed) { Doing::Read } else { Doing::ReadFirst };
                return Err(self.error(doing, code));
            }
            tracing::info!("{}: a request at sector {sector} failed with error {}: again", self.name, code & 0xffff);
            std::thread::sleep(PAUSE * attempt);
            attempt += 1;
        }
    }

    /// What was ever written to. Where the library does not tell, or not in a way that can be, it is all of the disk.
    fn ask_for_map(&self) -> Map {
        let sectors = self.size / SECTOR;
        let whole = sectors - sectors % map::PIECE;
        let (mut map, mut at) = (Map::default(), 0);
        while at < whole {
            let count = (whole - at).min(map::PIECE * map::PIECES);
            let answer = self.handle().ok().and_then(|handle| handle.allocated(at, count));
            let Some(blocks) = answer else { return Map::whole(self.size) };
            if !map.add(at..at + count, &blocks) {
                self.host.warn(format!(
                    "{}: VDDK's map of what was written to cannot be: all of the disk is read",
                    self.name
                ));
                return Map::whole(self.size);
            }
            at += count;
        }
        map.push(whole * SECTOR..self.size);
        map
    }
}

/// Opens a disk as the session that is there already; where that fails, with the password.
fn connect(engine: &'static Engine, wanted: Wanted) -> Result<Handle> {
    let open = |way: As| {
        let (functions, wanted) = (Arc::clone(engine.functions()), wanted.clone());
        engine.run(move |_| Handle::open(&functions, &wanted, way))?
    };
    // What knows no sessions is older than the function.
    if engine.functions().allocate_params.is_none() {
        return open(As::Password);
    }
    match open(As::Session) {
        Err(error) if error.kind == ErrorKind::Io => {
            tracing::info!("{}; again with the password in place of the session", error.message);
            open(As::Password)
        }
        opened => opened,
    }
}

/// The value of a cookie, without its name and quotes: in another form it is as secret.
fn value_of(cookie: &str) -> &str {
    cookie.split_once('=').map_or(cookie, |(_, value)| value.trim_matches('"'))
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            // A thread that is gone has closed all.
            let _ = self.engine.run(move |_| handle.close());
        }
    }
}

impl BlockSource for Disk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.size);
        if end.is_none() {
            let what = format!(
                "{}: {} bytes at offset {offset} lie past its end at {}",
                escape(&self.name),
                buffer.len(),
                self.size
            );
            return Err(PluginError::unusable(what));
        }
        let (sector, skipped) = (offset / SECTOR, (offset % SECTOR) as usize);
        let wanted = buffer.len().min(REQUEST as usize);
        let whole = wanted - wanted % SECTOR as usize;
        if skipped == 0 && whole > 0 {
            self.sectors(sector, &mut buffer[..whole])?;
            return Ok(whole);
        }
        // Parts of sectors: of at most the few that a header takes.
        let wanted = wanted.min(64 << 10);
        let mut sectors = vec![0; (skipped + wanted).next_multiple_of(SECTOR as usize)];
        self.sectors(sector, &mut sectors)?;
        buffer[..wanted].copy_from_slice(&sectors[skipped..skipped + wanted]);
        Ok(wanted)
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        if offset.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(PluginError::defect(format!("{}: a map of what lies past its end was asked for", self.name)));
        }
        Ok(self.map.get_or_init(|| self.ask_for_map()).extents(offset, length))
    }

    fn hints(&self) -> Hints {
        Hints::default().with(|it| {
            it.alignment = 64 << 10;
            it.request = REQUEST;
            it.parallelism = AT_ONCE;
        })
    }
}
