//! A memfd that is mapped into this process.

use std::fs::File;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::{io, ptr, slice};

use rustix::fs::{SealFlags, fcntl_get_seals};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The mapping of a whole memfd, which ends with the value. The kernel chooses the address, which is aligned to a page.
pub(crate) struct Mapping {
    base: *mut u8,
    len: usize,
}

// SAFETY: the mapping lives as long as the value, on any thread. The type gives nothing but a pointer.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `memfd`, which must not become shorter, to read and write what other processes read and
    /// write.
    pub(crate) fn shared(memfd: impl AsFd, len: usize) -> io::Result<Self> {
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

    /// Memory of this process in the place of a mapping, for an interpreter that has none. The value must not be dropped.
    #[cfg(test)]
    pub(crate) const fn of_memory(base: *mut u8, len: usize) -> Self {
        Self { base, len }
    }

    /// Takes the right to write from this process: a write ends it.
    #[cfg(feature = "conformance")]
    pub(crate) fn protect(&self) -> io::Result<()> {
        // SAFETY: the whole mapping belongs to this value, and nobody has a reference by which it is written.
        Ok(unsafe { rustix::mm::mprotect(self.base.cast(), self.len, rustix::mm::MprotectFlags::READ) }?)
    }

    pub(crate) const fn base(&self) -> *mut u8 {
        self.base
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
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
        let len = usize::try_from(memfd.metadata()?.len()).map_err(io::Error::other)?;
        Mapping::new(memfd, len, ProtFlags::READ, MapFlags::PRIVATE).map(Self)
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
    use rustix::fs::{MemfdFlags, fcntl_add_seals, memfd_create};

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
