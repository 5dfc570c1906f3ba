//! Linux: the bytes are in a sealed memfd, from which the dynamic linker loads them.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

use super::error::{ImageError, LinkerError, SIZE_LIMIT};
use crate::boundary::mapping::SealedBytes;
use crate::files::size_limit::size_limit;
use crate::files::write::write_all;

/// Number of attempts to seal, and the pause.
const SEALINGS: u32 = 100;
const BUSY: Duration = Duration::from_millis(10);

/// Longest name of a memfd in bytes, a little less than the kernel's limit.
const NAME_LIMIT: usize = 200;

/// `RTLD_NOLOAD` of `dlfcn.h`: opens only a library that is loaded already.
const RTLD_NOLOAD: i32 = if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 8 } else { 4 };

/// Sealed bytes: no process can change them or their number.
pub(super) struct Image {
    memfd: File,
    map: SealedBytes,
}

impl Image {
    /// Copies an open file of about `size` bytes into a memfd with this name, which `/proc/self/maps` shows.
    pub(super) fn copy(file: &File, name: &OsStr, size: u64) -> Result<Self, ImageError> {
        // A write past this limit, also to a memfd, ends the process by a signal unless it is handled.
        let writable = size_limit().unwrap_or(u64::MAX);
        if size > writable {
            return Err(ImageError::FileSizeLimit { size, limit: writable });
        }
        let mut memfd = memfd(name).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::ACCESS | Errno::PERM | Errno::NOSYS) => ImageError::NoExecutableMemory { error },
            _ => ImageError::io("create a memfd")(error),
        })?;
        // One byte more, so that the caller notices a file that grows meanwhile.
        io::copy(&mut file.take(writable.min(SIZE_LIMIT + 1)), &mut memfd).map_err(ImageError::io("read"))?;
        seal(&memfd).map_err(|e| ImageError::io("seal a memfd")(e.into()))?;
        Self::map(memfd).map_err(ImageError::io("map a memfd"))
    }

    /// These bytes.
    pub(super) fn of(bytes: &[u8]) -> io::Result<Self> {
        let memfd = memfd(OsStr::new("plugin"))?;
        write_all(&memfd, bytes)?;
        seal(&memfd)?;
        Self::map(memfd)
    }

    /// Maps the descriptor that the parent has [shared](Self::share).
    pub(super) fn inherited(memfd: OwnedFd) -> io::Result<Self> {
        Self::map(memfd.into())
    }

    fn map(memfd: File) -> io::Result<Self> {
        Ok(Self { map: SealedBytes::map(&memfd)?, memfd })
    }

    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        Ok(self.memfd.try_clone()?.into())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Loads the bytes of the file at `path`. The memfd must stay open: the dynamic linker identifies the
    /// library by the memfd's path, which another descriptor could have later.
    pub(super) fn load(&self, path: &Path) -> Result<Library, LinkerError> {
        let memfd = format!("/proc/self/fd/{}", self.memfd.as_raw_fd());
        if !Path::new(&memfd).exists() {
            return Err(LinkerError(
                "/proc is not mounted, and plugins are loaded from /proc/self/fd: mount it".to_owned(),
            ));
        }
        // SAFETY: RTLD_NOLOAD runs no code of the library.
        if unsafe { Library::open(Some(&memfd), RTLD_NOLOAD | RTLD_NOW) }.is_ok() {
            return Err(LinkerError(format!(
                "{memfd} is already loaded: something else in this process has loaded a library from a file descriptor and closed it"
            )));
        }
        // SAFETY: this runs the static constructors of a library that the caller has verified.
        let library = unsafe { Library::open(Some(&memfd), RTLD_NOW | RTLD_LOCAL) };
        library.map_err(|error| LinkerError::new(&error, &memfd, path))
    }
}

/// Seals bytes and length. The memfd is busy, without an event, while the kernel moves one of its pages.
fn seal(memfd: &File) -> Result<(), Errno> {
    let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    for _ in 0..SEALINGS {
        match fcntl_add_seals(memfd, all) {
            Err(Errno::BUSY) => thread::sleep(BUSY),
            sealed => return sealed,
        }
    }
    fcntl_add_seals(memfd, all)
}

fn memfd(name: &OsStr) -> io::Result<File> {
    let name = name.as_bytes();
    let name = CString::new(&name[..name.len().min(NAME_LIMIT)])?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(&name, flags | MemfdFlags::EXEC) {
        // A kernel before 6.3 does not know the flag.
        Err(Errno::INVAL) => Ok(memfd_create(&name, flags)?.into()),
        created => Ok(created?.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write as _, os::unix::fs::FileExt as _};

    use rustix::fs::fcntl_get_seals;

    use super::*;

    #[test]
    fn nobody_can_change_a_copy_or_its_seals() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"the plugin").unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let image = Image::copy(&file, OsStr::new("libx.so"), 10).unwrap();
        let memfd = format!("/proc/self/fd/{}", image.memfd.as_raw_fd());
        let again = OpenOptions::new().read(true).write(true).open(memfd).unwrap();
        let refused = |result: io::Result<()>| {
            assert_eq!(result.map_err(|error| Errno::from_io_error(&error)), Err(Some(Errno::PERM)));
        };
        refused(again.write_all_at(b"T", 0));
        refused(again.set_len(11));
        refused(again.set_len(9));
        refused(fcntl_add_seals(&again, SealFlags::FUTURE_WRITE).map_err(Into::into));
        let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        assert!(fcntl_get_seals(&again).unwrap().contains(all));
        assert_eq!(image.bytes(), b"the plugin");
    }
}
