//! Block status: what a server says of its disk's map, as extents.

use vmdk2kvm_plugin_api::{Extent, ExtentKind};

use super::connection::{Chunk, Connection, Header, Kind};
use super::lost::{Failure, Lost};
use super::read::other;
use crate::nbd::wire::*;

/// The longest answer, in bytes: 512 Ki runs.
const MAX_ANSWER: u32 = 4 << 20;

/// What lies at `offset..offset + length`, at least its beginning. Runs in order, without gaps; the last may be cut off at the end.
pub(super) fn base_allocation(
    connection: &Connection,
    context: u32,
    offset: u64,
    length: u32,
) -> Result<Vec<Extent>, Failure> {
    let mut asked = connection.ask(CMD_BLOCK_STATUS, offset, length)?;
    let (mut runs, mut failed) = (None, None);
    loop {
        let mut chunk = asked.next()?;
        let Header { kind, done, .. } = chunk.header;
        let taken = match kind {
            Kind::Chunk(REPLY_BLOCK_STATUS, bytes) if runs.is_none() => {
                descriptors(&mut chunk, bytes, context, offset, length).map(|found| runs = Some(found))
            }
            Kind::Chunk(REPLY_BLOCK_STATUS, _) => Err(Lost::broken("an answer has two maps")),
            kind => other(&mut chunk, kind, &mut failed),
        };
        chunk.finish(taken)?;
        if done {
            break;
        }
    }
    match (failed, runs) {
        (Some(failure), _) => Err(failure),
        (None, Some(runs)) => Ok(runs),
        (None, None) => Err(connection.lose(Lost::broken("an answer has no map")).into()),
    }
}

fn descriptors(
    chunk: &mut Chunk<'_, '_>,
    bytes: u32,
    context: u32,
    offset: u64,
    length: u32,
) -> Result<Vec<Extent>, Lost> {
    if !(12..=MAX_ANSWER + 4).contains(&bytes) || bytes % 8 != 4 {
        return Err(Lost::broken(format!("a map has {bytes} bytes")));
    }
    if u32::from_be_bytes(chunk.read_array()?) != context {
        return Err(Lost::broken("a map is of metadata that was not agreed on"));
    }
    let mut bytes = vec![0; bytes as usize - 4];
    chunk.read(&mut bytes)?;
    let (mut at, end) = (offset, offset + u64::from(length));
    let mut runs: Vec<Extent> = Vec::new();
    for descriptor in bytes.chunks_exact(8) {
        let mut fields = Fields(descriptor);
        let (Some(run), Some(state)) = (fields.u32(), fields.u32()) else { break };
        if run == 0 {
            return Err(Lost::broken("a map has a run without length"));
        }
        if at == end {
            return Err(Lost::broken("a map goes on after what was asked for"));
        }
        // The last run may tell of more than was asked for.
        let run = u64::from(run).min(end - at);
        push(&mut runs, Extent::new(at, run, kind(state)));
        at += run;
    }
    Ok(runs)
}

/// Adds a run, as a part of the one before where it goes on with it.
pub(super) fn push(runs: &mut Vec<Extent>, run: Extent) {
    match runs.last_mut() {
        Some(last) if last.kind == run.kind => last.length += run.length,
        _ => runs.push(run),
    }
}

/// A hole that is not said to read as zeros holds anything.
fn kind(state: u32) -> ExtentKind {
    match (state & STATE_ZERO != 0, state & STATE_HOLE != 0) {
        (false, _) => ExtentKind::Data,
        (true, false) => ExtentKind::Zero,
        (true, true) => ExtentKind::Hole,
    }
}
