//! How a lane comes into the plugin's process: its socket and its window's memory, as descriptors beside a byte on a socket for nothing else.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// The descriptors of a lane: its socket and its memory.
const DESCRIPTORS: usize = 2;

/// Hands the socket and the memory of a lane over.
pub(super) fn send(door: &UnixStream, lane: [BorrowedFd<'_>; DESCRIPTORS]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !beside.push(SendAncillaryMessage::ScmRights(&lane)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    sendmsg(door, &[IoSlice::new(&[0])], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for the next lane; `None` when there will be no more.
pub(super) fn receive(door: &UnixStream) -> io::Result<Option<[OwnedFd; DESCRIPTORS]>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(door, &mut [IoSliceMut::new(&mut byte)], &mut beside, RecvFlags::CMSG_CLOEXEC)
    })?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let rights = beside.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let lane: Vec<OwnedFd> = rights.flatten().collect();
    // Too many open files: the kernel leaves out what does not fit.
    let whole = <[OwnedFd; DESCRIPTORS]>::try_from(lane).ok().filter(|_| !received.flags.contains(ReturnFlags::CTRUNC));
    whole.map(Some).ok_or_else(|| io::Error::other("a lane has not come over whole"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn descriptors_come_over_in_their_order() {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut one, one_end) = UnixStream::pair().unwrap();
        let (mut two, two_end) = UnixStream::pair().unwrap();
        send(&near, [one_end.as_fd(), two_end.as_fd()]).unwrap();
        for (socket, text) in receive(&far).unwrap().unwrap().into_iter().zip([b"one", b"two"]) {
            UnixStream::from(socket).write_all(text).unwrap();
        }
        for (socket, text) in [(&mut one, b"one"), (&mut two, b"two")] {
            let mut bytes = [0; 3];
            socket.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, text);
        }
        (&near).write_all(&[0]).unwrap();
        assert_eq!(receive(&far).unwrap_err().to_string(), "a lane has not come over whole");
        drop(near);
        assert!(receive(&far).unwrap().is_none());
    }
}
