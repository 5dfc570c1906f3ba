//! A memfd.

use std::fs::File;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::{io, ptr, slice};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::view::Mapping;

/// Memory to share, of this length. Nobody can change the length.
pub(crate) fn memory(len: usize) -> io::Result<OwnedFd> {
    let memfd = memfd_create(c"jackfield-calls", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&memfd, len as u64)?;
    fcntl_add_seals(&memfd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(memfd)
}

impl Mapping {
    /// Maps a memory, which must not become shorter, to read and write what other processes read and write.
    pub(crate) fn shared(memfd: &OwnedFd) -> io::Result<Self> {
        let len = length(&File::from(memfd.try_clone()?))?;
        Self::new(memfd, len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)
    }

    fn new(memfd: impl AsFd, len: usize, access: ProtFlags, flags: MapFlags) -> io::Result<Self> {
        if len == 0 {
            // The kernel maps no empty range.
            return Ok(Self { base: ptr::NonNull::dangling().as_ptr(), len });
        }
        // SAFETY: the kernel chooses an address that is not in use.
        let base = unsafe { mmap(ptr::null_mut(), len, access, flags, memfd, 0) }?;
        Ok(Self { base: base.cast(), len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: the mapping belongs to this value.
            let _ = unsafe { munmap(self.base.cast(), self.len) };
        }
    }
}

/// Takes the right to write from these bytes of a mapping, or every right to use them. Both numbers are multiples of a page's
/// size.
///
/// # Safety
/// The range lies within a mapping, and nobody has a reference by which it is used so.
#[cfg(feature = "conformance")]
pub(super) unsafe fn restrict(start: *mut u8, len: usize, may_read: bool) -> io::Result<()> {
    use rustix::mm::{MprotectFlags, mprotect};
    let rights = if may_read { MprotectFlags::READ } else { MprotectFlags::empty() };
    // SAFETY: as the caller says.
    Ok(unsafe { mprotect(start.cast(), len, rights) }?)
}

/// The size of a page.
#[cfg(feature = "conformance")]
pub(crate) fn page_size() -> usize {
    rustix::param::page_size()
}

fn length(memfd: &File) -> io::Result<usize> {
    usize::try_from(memfd.metadata()?.len()).map_err(io::Error::other)
}

/// The bytes of a memfd that is sealed, so that no process can change them or their number.
pub(crate) struct SealedBytes(Mapping);

impl SealedBytes {
    /// Maps the whole memfd.
    ///
    /// # Errors
    /// It lacks a seal, or can't be mapped.
    pub(crate) fn map(memfd: &File) -> io::Result<Self> {
        let missing = (SealFlags::WRITE | SealFlags::SHRINK).difference(fcntl_get_seals(memfd)?);
        if !missing.is_empty() {
            return Err(io::Error::other("the memory is not sealed"));
        }
        Mapping::new(memfd, length(memfd)?, ProtFlags::READ, MapFlags::PRIVATE).map(Self)
    }
}

impl Deref for SealedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping has `len` bytes and lives as long as `self`. The seals keep every process from changing them.
        unsafe { slice::from_raw_parts(self.0.base, self.0.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sealed_memory_is_taken_for_bytes() {
        let memfd = |text: &[u8], seals| {
            let memfd = File::from(memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap());
            crate::files::write::write_all(&memfd, text).unwrap();
            fcntl_add_seals(&memfd, seals).unwrap();
            SealedBytes::map(&memfd)
        };
        let sealed = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK;
        assert_eq!(&*memfd(b"a plugin", sealed).unwrap(), b"a plugin");
        assert_eq!(&*memfd(b"", sealed).unwrap(), b"");
        for partly in [SealFlags::empty(), SealFlags::WRITE, SealFlags::SHRINK | SealFlags::GROW] {
            assert!(memfd(b"a plugin", partly).is_err(), "{partly:?}");
        }
    }
}
