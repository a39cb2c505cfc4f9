//! The client's side of the handshake: fixed newstyle, structured replies and base:allocation where the server has them.
//!
//! A server may answer an option with any number of replies, each as long as it likes: both are bounded here.

use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use super::lost::Lost;
use super::socket::{Deadline, Socket};
use crate::nbd::wire::*;

/// The longest reply to an option, in bytes: two strings of the longest kind and some numbers.
const MAX_REPLY: u32 = 16 << 10;

/// The most replies to one option.
const MAX_REPLIES: usize = 64;

/// Room after the answer to EXPORT_NAME, from a server that cannot leave it out.
const ZEROES: usize = 124;

/// The largest alignment that a server may insist on, in bytes.
const MAX_MINIMUM: u32 = 64 << 10;

/// What was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    /// Bytes.
    pub size: u64,
    pub structured: bool,
    /// The number of base:allocation.
    pub base_allocation: Option<u32>,
    /// Several connections see the same disk.
    pub multi: bool,
    /// Requests begin and end at multiples of this; a power of two.
    pub minimum: u32,
    /// The same, when they are to be cheap.
    pub preferred: u32,
    /// The longest request in bytes.
    pub maximum: u32,
}

/// Carries the handshake out.
pub(super) fn negotiate(socket: &Socket, export: &str, deadline: &mut Deadline) -> Result<Session, Lost> {
    let mut client = Client { socket, deadline };
    let no_zeroes = client.greet()?;
    let structured = client.structured()?;
    let base_allocation = if structured { client.base_allocation(export)? } else { None };
    let session = Session {
        size: 0,
        structured,
        base_allocation,
        multi: false,
        minimum: 1,
        preferred: 4096,
        maximum: MAX_REQUEST,
    };
    let session = match client.go(export, session)? {
        Some(session) => session,
        None => client.export_name(export, no_zeroes, session)?,
    };
    if i64::try_from(session.size).is_err() {
        return Err(Lost::broken(format!("it says that the disk has {} bytes", session.size)));
    }
    Ok(session)
}

struct Client<'a> {
    socket: &'a Socket,
    deadline: &'a mut Deadline,
}

impl Client<'_> {
    /// Whether the server leaves zeroes out.
    fn greet(&mut self) -> Result<bool, Lost> {
        let [magic, kind] = [self.number()?, self.number()?];
        if magic != NBDMAGIC {
            return Err(Lost::broken("it does not greet as an NBD server"));
        }
        if kind != IHAVEOPT {
            return Err(Lost::broken("it only speaks the oldstyle handshake"));
        }
        let flags = u16::from_be_bytes(self.socket.read_array(self.deadline)?);
        if flags & FLAG_FIXED_NEWSTYLE == 0 {
            return Err(Lost::broken("it does not speak the fixed newstyle handshake"));
        }
        let ours = flags & (FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES);
        self.socket.write_all(&u32::from(ours).to_be_bytes(), self.deadline)?;
        Ok(ours & FLAG_NO_ZEROES != 0)
    }

    fn number(&mut self) -> Result<u64, Lost> {
        self.socket.read_array(self.deadline).map(u64::from_be_bytes)
    }

    fn structured(&mut self) -> Result<bool, Lost> {
        self.ask(OPT_STRUCTURED_REPLY, &[])?;
        match self.reply(OPT_STRUCTURED_REPLY)? {
            (REP_ACK, _) => Ok(true),
            (kind, text) if kind & REP_ERR != 0 => refusal(kind, &text).map(|()| false),
            (kind, _) => Err(unexpected(OPT_STRUCTURED_REPLY, kind)),
        }
    }

    /// The number of base:allocation, when the server has it.
    fn base_allocation(&mut self, export: &str) -> Result<Option<u32>, Lost> {
        let mut data = string(export.as_bytes());
        data.extend(1u32.to_be_bytes());
        data.extend(string(BASE_ALLOCATION));
        self.ask(OPT_SET_META_CONTEXT, &data)?;
        let mut context = None;
        for _ in 0..MAX_REPLIES {
            match self.reply(OPT_SET_META_CONTEXT)? {
                (REP_ACK, _) => return Ok(context),
                (REP_META_CONTEXT, reply) => {
                    let mut fields = Fields(&reply);
                    let id =
                        fields.u32().ok_or_else(|| Lost::broken("the reply about base:allocation is too short"))?;
                    if fields.0 != BASE_ALLOCATION || context.replace(id).is_some() {
                        return Err(Lost::broken("it selects metadata that was not asked for"));
                    }
                }
                // The export may not exist: GO says that better.
                (kind, text) if kind & REP_ERR != 0 => return refusal(kind, &text).map(|()| None),
                (kind, _) => return Err(unexpected(OPT_SET_META_CONTEXT, kind)),
            }
        }
        Err(Lost::broken("its replies about base:allocation do not end"))
    }

    /// Selects the export; `None` when the server does not know the option.
    fn go(&mut self, export: &str, mut session: Session) -> Result<Option<Session>, Lost> {
        let mut data = string(export.as_bytes());
        data.extend(1u16.to_be_bytes());
        data.extend(INFO_BLOCK_SIZE.to_be_bytes());
        self.ask(OPT_GO, &data)?;
        let mut described = false;
        for _ in 0..MAX_REPLIES {
            match self.reply(OPT_GO)? {
                (REP_ACK, _) if described => return Ok(Some(session)),
                (REP_ACK, _) => return Err(Lost::broken("it selects an export and does not describe it")),
                (REP_INFO, reply) => described |= info(&reply, &mut session)?,
                (REP_ERR_UNSUP, _) => return Ok(None),
                (kind, text) if kind & REP_ERR != 0 => return Err(Lost::Refused(no_export(export, kind, &text))),
                (kind, _) => return Err(unexpected(OPT_GO, kind)),
            }
        }
        Err(Lost::broken("its replies about the export do not end"))
    }

    /// The same for servers of the time before GO: one that does not have the export hangs up.
    fn export_name(&mut self, export: &str, no_zeroes: bool, session: Session) -> Result<Session, Lost> {
        self.ask(OPT_EXPORT_NAME, export.as_bytes())?;
        let size = self.number().map_err(|lost| match lost {
            Lost::Closed(_) => Lost::Refused(no_export(export, REP_ERR_UNKNOWN, b"")),
            lost => lost,
        })?;
        let flags = u16::from_be_bytes(self.socket.read_array(self.deadline)?);
        if !no_zeroes {
            self.socket.read_array::<ZEROES>(self.deadline)?;
        }
        with_flags(Session { size, ..session }, flags)
    }

    fn ask(&mut self, option: u32, data: &[u8]) -> Result<(), Lost> {
        let mut message = IHAVEOPT.to_be_bytes().to_vec();
        message.extend(option.to_be_bytes());
        message.extend((data.len() as u32).to_be_bytes());
        message.extend(data);
        self.socket.write_all(&message, self.deadline)
    }

    /// The kind and data of the next reply.
    fn reply(&mut self, asked: u32) -> Result<(u32, Vec<u8>), Lost> {
        let header: [u8; 20] = self.socket.read_array(self.deadline)?;
        let mut fields = Fields(&header);
        let (Some(OPTION_REPLY_MAGIC), Some(option), Some(kind), Some(length)) =
            (fields.u64(), fields.u32(), fields.u32(), fields.u32())
        else {
            return Err(Lost::broken("a reply to an option does not begin with its magic number"));
        };
        if option != asked {
            return Err(Lost::broken(format!("it answers option {option}, and {asked} was asked")));
        }
        if length > MAX_REPLY {
            return Err(Lost::broken(format!("a reply to option {asked} has {length} bytes")));
        }
        let mut data = vec![0; length as usize];
        self.socket.read_exact(&mut data, self.deadline)?;
        Ok((kind, data))
    }
}

/// Takes over what the server says about the export; whether that was its size.
fn info(reply: &[u8], session: &mut Session) -> Result<bool, Lost> {
    let short = || Lost::broken("a reply about the export has a wrong length");
    let mut fields = Fields(reply);
    match fields.u16().ok_or_else(short)? {
        INFO_EXPORT => {
            let (Some(size), Some(flags), []) = (fields.u64(), fields.u16(), fields.0) else { return Err(short()) };
            *session = with_flags(Session { size, ..*session }, flags)?;
            Ok(true)
        }
        INFO_BLOCK_SIZE => {
            let (Some(minimum), Some(preferred), Some(maximum), []) =
                (fields.u32(), fields.u32(), fields.u32(), fields.0)
            else {
                return Err(short());
            };
            let sane = minimum.is_power_of_two()
                && minimum <= MAX_MINIMUM
                && preferred.is_power_of_two()
                && minimum <= preferred
                && preferred <= maximum;
            if !sane {
                let sizes = format!("{minimum}, {preferred} and {maximum}");
                return Err(Lost::broken(format!("its block sizes make no sense: {sizes}")));
            }
            let maximum = maximum.min(MAX_REQUEST);
            *session = Session { minimum, preferred, maximum: maximum - maximum % minimum, ..*session };
            Ok(false)
        }
        // Names and descriptions that were not asked for.
        _ => Ok(false),
    }
}

fn with_flags(session: Session, flags: u16) -> Result<Session, Lost> {
    if flags & HAS_FLAGS == 0 {
        return Err(Lost::broken("its flags for the export are not valid"));
    }
    Ok(Session { multi: flags & CAN_MULTI_CONN != 0, ..session })
}

/// An option that is not there is no error, unless the server wants what we do not have.
fn refusal(kind: u32, text: &[u8]) -> Result<(), Lost> {
    if kind == REP_ERR_TLS_REQD { Err(Lost::Refused(no_export("", kind, text))) } else { Ok(()) }
}

/// The error for an export that the server does not give.
fn no_export(export: &str, kind: u32, text: &[u8]) -> PluginError {
    let said = String::from_utf8_lossy(text);
    let said = if said.trim().is_empty() { String::new() } else { format!(": {}", said.trim()) };
    match kind {
        REP_ERR_TLS_REQD => {
            PluginError::new(ErrorKind::Auth, format!("the server demands TLS, which is not spoken here{said}"))
                .hint("let it serve without TLS on a socket or a network that is private, or behind a tunnel")
        }
        REP_ERR_POLICY => PluginError::new(ErrorKind::Auth, format!("the server refuses the export `{export}`{said}"))
            .hint("look at what the server allows to whom"),
        REP_ERR_UNKNOWN => PluginError::unusable(format!("the server has no export `{export}`{said}"))
            .hint("`nbdinfo --list` shows the exports of a server"),
        _ => PluginError::unusable(format!("the server does not give the export `{export}` (reply {kind:#x}){said}"))
            .hint("look at the server's log"),
    }
}

fn unexpected(option: u32, kind: u32) -> Lost {
    Lost::broken(format!("it answers option {option} with reply {kind:#x}"))
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut string = (bytes.len() as u32).to_be_bytes().to_vec();
    string.extend(bytes);
    string
}
