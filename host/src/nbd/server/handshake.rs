//! The handshake: fixed newstyle, one export whose name is empty.
//!
//! TLS is not offered: the socket is private to the user. What the client sends is bounded in length and number.

use std::io::{self, Read, Write};

use crate::nbd::wire::*;

/// The longest option's data in bytes: an export name and some queries.
const MAX_OPTION: u32 = 64 << 10;

/// The most options before the client must have chosen.
const MAX_OPTIONS: usize = 128;

/// The number that base:allocation gets.
pub(super) const BASE_ALLOCATION_ID: u32 = 1;

/// What the export is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk {
    /// Bytes.
    pub size: u64,
    /// Requests of this many bytes are cheapest; a power of two.
    pub preferred: u32,
}

/// What was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Session {
    pub structured: bool,
    pub base_allocation: bool,
}

impl Session {
    /// Replies to reads are always one piece, so that "do not fragment" is kept by itself; it is only legal to say so with
    /// structured replies.
    fn flags(self) -> u16 {
        let df = if self.structured { SEND_DF } else { 0 };
        HAS_FLAGS | READ_ONLY | SEND_FLUSH | CAN_MULTI_CONN | df
    }
}

/// Carries the handshake out; `None` when the client went away or chose to end.
pub(super) fn negotiate(stream: &mut (impl Read + Write), disk: Disk) -> io::Result<Option<Session>> {
    let mut greeting = Vec::with_capacity(18);
    greeting.extend(NBDMAGIC.to_be_bytes());
    greeting.extend(IHAVEOPT.to_be_bytes());
    greeting.extend((FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES).to_be_bytes());
    stream.write_all(&greeting)?;
    let client = u32::from_be_bytes(read_array(stream)?);
    if client & !u32::from(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES) != 0 || client & u32::from(FLAG_FIXED_NEWSTYLE) == 0 {
        return Err(refused("the client does not speak fixed newstyle"));
    }
    let mut session = Session::default();
    for _ in 0..MAX_OPTIONS {
        let header: [u8; 16] = read_array(stream)?;
        let mut fields = Fields(&header);
        let (Some(IHAVEOPT), Some(option), Some(length)) = (fields.u64(), fields.u32(), fields.u32()) else {
            return Err(refused("an option does not begin with its magic number"));
        };
        if length > MAX_OPTION {
            return Err(refused("an option is longer than 64 KiB"));
        }
        let mut data = vec![0; length as usize];
        stream.read_exact(&mut data)?;
        match option {
            OPT_EXPORT_NAME => {
                // This option has no error reply: the only answer to a wrong name is to hang up.
                if !data.is_empty() {
                    return Err(refused("the client asked for an export that does not exist"));
                }
                let mut answer = Vec::with_capacity(134);
                answer.extend(disk.size.to_be_bytes());
                answer.extend(session.flags().to_be_bytes());
                if client & u32::from(FLAG_NO_ZEROES) == 0 {
                    answer.extend([0; 124]);
                }
                stream.write_all(&answer)?;
                return Ok(Some(session));
            }
            OPT_ABORT => {
                reply(stream, option, REP_ACK, &[])?;
                return Ok(None);
            }
            OPT_LIST if data.is_empty() => {
                reply(stream, option, REP_SERVER, &0u32.to_be_bytes())?;
                reply(stream, option, REP_ACK, &[])?;
            }
            OPT_INFO | OPT_GO => {
                if info(stream, option, &data, disk, session)? && option == OPT_GO {
                    return Ok(Some(session));
                }
            }
            OPT_STRUCTURED_REPLY if data.is_empty() => {
                session.structured = true;
                reply(stream, option, REP_ACK, &[])?;
            }
            OPT_LIST_META_CONTEXT | OPT_SET_META_CONTEXT if session.structured => {
                meta_context(stream, option, &data, &mut session)?;
            }
            OPT_LIST | OPT_STRUCTURED_REPLY | OPT_LIST_META_CONTEXT | OPT_SET_META_CONTEXT => {
                reply(stream, option, REP_ERR_INVALID, b"the option does not fit")?;
            }
            _ => reply(stream, option, REP_ERR_UNSUP, b"the option is not known here")?,
        }
    }
    Err(refused("the client sent 128 options and chose nothing"))
}

/// Answers INFO and GO; whether the export exists.
fn info(stream: &mut impl Write, option: u32, data: &[u8], disk: Disk, session: Session) -> io::Result<bool> {
    let mut fields = Fields(data);
    let (Some(name), Some(wishes)) = (fields.string(), fields.u16()) else {
        reply(stream, option, REP_ERR_INVALID, b"the export name does not fit into the option")?;
        return Ok(false);
    };
    if fields.0.len() != usize::from(wishes) * 2 {
        reply(stream, option, REP_ERR_INVALID, b"the information requests do not fit the option")?;
        return Ok(false);
    }
    if !name.is_empty() {
        reply(stream, option, REP_ERR_UNKNOWN, b"the only export here has an empty name")?;
        return Ok(false);
    }
    let mut export = Vec::with_capacity(12);
    export.extend(INFO_EXPORT.to_be_bytes());
    export.extend(disk.size.to_be_bytes());
    export.extend(session.flags().to_be_bytes());
    reply(stream, option, REP_INFO, &export)?;
    let mut sizes = Vec::with_capacity(14);
    sizes.extend(INFO_BLOCK_SIZE.to_be_bytes());
    for size in [1, disk.preferred, MAX_REQUEST] {
        sizes.extend(size.to_be_bytes());
    }
    reply(stream, option, REP_INFO, &sizes)?;
    reply(stream, option, REP_ACK, &[])?;
    Ok(true)
}

/// Lists or selects metadata contexts. A selection replaces the one before.
fn meta_context(stream: &mut impl Write, option: u32, data: &[u8], session: &mut Session) -> io::Result<()> {
    let setting = option == OPT_SET_META_CONTEXT;
    if setting {
        session.base_allocation = false;
    }
    let Some((name, queries)) = parse_queries(data) else {
        return reply(stream, option, REP_ERR_INVALID, b"the queries do not fit the option");
    };
    if !name.is_empty() {
        return reply(stream, option, REP_ERR_UNKNOWN, b"the only export here has an empty name");
    }
    // A list without queries asks for everything; `base:` for all of that namespace, in a list only.
    let wanted =
        queries.contains(&BASE_ALLOCATION) || (!setting && (queries.is_empty() || queries.contains(&&b"base:"[..])));
    if wanted {
        session.base_allocation |= setting;
        let id = if setting { BASE_ALLOCATION_ID } else { 0 };
        let mut answer = id.to_be_bytes().to_vec();
        answer.extend(BASE_ALLOCATION);
        reply(stream, option, REP_META_CONTEXT, &answer)?;
    }
    reply(stream, option, REP_ACK, &[])
}

/// The export's name and the queries after it.
fn parse_queries(data: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let mut fields = Fields(data);
    let name = fields.string()?;
    let count = fields.u32()?;
    // Each query takes 4 bytes at least: there are never more than the option's length allows, whatever the count says.
    let queries: Vec<_> = (0..count).map_while(|_| fields.string()).collect();
    (queries.len() == count as usize && fields.0.is_empty()).then_some((name, queries))
}

fn reply(stream: &mut impl Write, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let mut message = Vec::with_capacity(20 + data.len());
    message.extend(OPTION_REPLY_MAGIC.to_be_bytes());
    message.extend(option.to_be_bytes());
    message.extend(kind.to_be_bytes());
    message.extend((data.len() as u32).to_be_bytes());
    message.extend(data);
    stream.write_all(&message)
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
