//! A section of the page file. Its length can't be changed, and the system has set aside what it needs.

use std::os::windows::io::{AsHandle as _, AsRawHandle as _, OwnedHandle};
use std::{io, ptr, slice};

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_BASIC_INFORMATION, MEMORY_MAPPED_VIEW_ADDRESS,
    MapViewOfFile, PAGE_READWRITE, UnmapViewOfFile, VirtualQuery,
};
#[cfg(feature = "conformance")]
use windows_sys::Win32::System::Memory::{PAGE_NOACCESS, PAGE_READONLY, VirtualProtect};

use super::view::Mapping;
#[cfg(feature = "conformance")]
use crate::boundary::handles::check;
use crate::boundary::handles::{copy, made};

/// Memory to share, of this length. Nobody can change the length.
pub(crate) fn memory(len: usize) -> io::Result<OwnedHandle> {
    let (high, low) = ((len as u64 >> 32) as u32, len as u32);
    // SAFETY: a new section without a name, which nobody inherits.
    unsafe {
        made(CreateFileMappingW(INVALID_HANDLE_VALUE, ptr::null(), PAGE_READWRITE, high, low, ptr::null()))
    }
}

impl Mapping {
    /// Maps a memory to read and write what other processes read and write.
    pub(crate) fn shared(memory: &OwnedHandle) -> io::Result<Self> {
        Self::new(memory, FILE_MAP_READ | FILE_MAP_WRITE)
    }

    fn new(memory: &OwnedHandle, access: u32) -> io::Result<Self> {
        // SAFETY: the system chooses an address that is not in use, and maps the whole section.
        let view = unsafe { MapViewOfFile(memory.as_raw_handle(), access, 0, 0, 0) };
        if view.Value.is_null() {
            return Err(io::Error::last_os_error());
        }
        let mut region = MEMORY_BASIC_INFORMATION::default();
        let size = size_of::<MEMORY_BASIC_INFORMATION>();
        // SAFETY: the view was mapped above, and the answer can be written.
        let answered = unsafe { VirtualQuery(view.Value, &raw mut region, size) };
        let new = Self { base: view.Value.cast(), len: region.RegionSize };
        if answered == 0 { Err(io::Error::last_os_error()) } else { Ok(new) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: the view belongs to this value.
            unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.base.cast() }) };
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
    let mut before = 0;
    let rights = if may_read { PAGE_READONLY } else { PAGE_NOACCESS };
    // SAFETY: as the caller says, and the system writes a number.
    check(unsafe { VirtualProtect(start.cast(), len, rights, &raw mut before) })
}

/// The size of a page, on every processor that Windows runs on.
#[cfg(feature = "conformance")]
pub(crate) const fn page_size() -> usize {
    4096
}

/// The length before the bytes of [`with_bytes`]: that of a section is one of whole pages.
const HEAD: usize = size_of::<u64>();

/// Memory with these bytes. Whoever gets the handle can read them, and write nothing.
pub(crate) fn with_bytes(bytes: &[u8]) -> io::Result<OwnedHandle> {
    let memory = memory(HEAD + bytes.len())?;
    let mapping = Mapping::shared(&memory)?;
    // SAFETY: the mapping is new, long enough, and no other process has it.
    let content = unsafe { slice::from_raw_parts_mut(mapping.base, HEAD + bytes.len()) };
    content[..HEAD].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    content[HEAD..].copy_from_slice(bytes);
    copy(memory.as_handle(), FILE_MAP_READ, false, 0)
}

/// The bytes of memory that [`with_bytes`] has made.
pub(crate) fn read_only(memory: &OwnedHandle) -> io::Result<Vec<u8>> {
    let mapping = Mapping::new(memory, FILE_MAP_READ)?;
    // SAFETY: the mapping has this length, and nobody writes into the memory any more.
    let content = unsafe { slice::from_raw_parts(mapping.base, mapping.len) };
    let (head, content) = content.split_first_chunk::<HEAD>().ok_or(io::ErrorKind::InvalidData)?;
    let len = usize::try_from(u64::from_le_bytes(*head)).ok();
    let bytes = len.and_then(|len| content.get(..len)).ok_or(io::ErrorKind::InvalidData)?;
    Ok(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_whole_and_can_not_be_written() {
        for bytes in [&b""[..], b"a plugin", &[7; 70_000]] {
            let memory = with_bytes(bytes).unwrap();
            assert_eq!(read_only(&memory).unwrap(), bytes);
            assert!(Mapping::shared(&memory).is_err(), "no right to write");
        }
    }

    #[test]
    fn both_sides_see_a_memory_of_one_length() {
        let section = memory(1 << 16).unwrap();
        let [one, other] = [(); 2].map(|()| Mapping::shared(&section).unwrap());
        assert_eq!((one.len(), other.len()), (1 << 16, 1 << 16));
        // SAFETY: both mappings have this byte, and this thread alone uses it.
        unsafe {
            one.base().add(4097).write(7);
            assert_eq!(other.base().add(4097).read(), 7);
        }
    }
}
