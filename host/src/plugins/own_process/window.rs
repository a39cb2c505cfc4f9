//! A window: memory that the host and a plugin's process both have, in which the bytes of a disk come over.
//!
//! The process fills it, and the host copies out of it. Its size is sealed before it is handed over, so that nobody can take it away under the
//! other; and the host never makes a reference to it, because the process may write at any time.

use std::ffi::c_void;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes of a window: as much as the copy asks for at once. Memory is only taken for what was written to.
pub(super) const SIZE: usize = 4 << 20;

/// The host's side.
pub(super) struct ReadWindow(Mapping);

/// The side of the plugin's process.
pub(super) struct WriteWindow(Mapping);

impl ReadWindow {
    /// A new window, and what the process makes its side of.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let memory = memfd_create("vmdk2kvm-window", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&memory, SIZE as u64)?;
        fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok((Self(Mapping::new(&memory, ProtFlags::READ)?), memory))
    }

    /// Fills a buffer that is no longer than the window with what the window begins with.
    pub(super) fn copy_to(&self, buffer: &mut [u8]) {
        let length = buffer.len().min(SIZE);
        // SAFETY: the mapping has SIZE bytes, which the seals keep there; the buffer is no part of it. Other bytes than those that the process
        // meant to give are all that it gets by writing meanwhile.
        unsafe { self.0.0.cast::<u8>().as_ptr().copy_to_nonoverlapping(buffer.as_mut_ptr(), length) };
    }
}

impl WriteWindow {
    /// The other side of a window whose memory the host has handed over.
    pub(super) fn new(memory: &OwnedFd) -> io::Result<Self> {
        Mapping::new(memory, ProtFlags::READ | ProtFlags::WRITE).map(Self)
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping has SIZE bytes and is this value's alone in this process; the host cannot write to its own.
        unsafe { std::slice::from_raw_parts_mut(self.0.0.cast().as_ptr(), SIZE) }
    }
}

/// The memory in this process.
struct Mapping(NonNull<c_void>);

// SAFETY: the memory is no thread's own.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(memory: &OwnedFd, protection: ProtFlags) -> io::Result<Self> {
        // SAFETY: the kernel chooses a place where nothing is.
        let place = unsafe { mmap(std::ptr::null_mut(), SIZE, protection, MapFlags::SHARED, memory, 0) }?;
        NonNull::new(place).map(Self).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and nothing of it is in use any more.
        let _ = unsafe { munmap(self.0.as_ptr(), SIZE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_writes_the_other_copies_out() {
        let (host, memory) = ReadWindow::new().unwrap();
        let mut plugin = WriteWindow::new(&memory).unwrap();
        plugin.bytes()[..3].copy_from_slice(b"abc");
        *plugin.bytes().last_mut().unwrap() = b'z';
        let mut all = vec![1; SIZE + 1];
        host.copy_to(&mut all);
        assert_eq!((&all[..4], &all[SIZE - 1..]), (&b"abc\0"[..], &b"z\x01"[..]), "no more than the window has");
        drop(plugin);
        let mut two = [0; 2];
        host.copy_to(&mut two);
        assert_eq!(&two, b"ab");
    }

    #[test]
    fn nobody_can_take_the_memory_away() {
        let (_host, memory) = ReadWindow::new().unwrap();
        for length in [0, SIZE as u64 + 1] {
            assert_eq!(ftruncate(&memory, length), Err(rustix::io::Errno::PERM));
        }
        assert_eq!(fcntl_add_seals(&memory, SealFlags::WRITE), Err(rustix::io::Errno::PERM));
    }
}
