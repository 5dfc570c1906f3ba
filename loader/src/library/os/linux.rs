//! Linux: the bytes live in a sealed memfd, and the dynamic linker maps that.

use std::{
    ffi::{CString, OsStr},
    fs::File,
    io::{self, Read as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    sync::OnceLock,
    thread,
    time::Duration,
};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use memmap2::{Mmap, MmapOptions};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    io::Errno,
    process::{Resource, getrlimit},
};

use crate::{
    boundary::text,
    library::{
        digest::Digest,
        error::{ImageError, LinkerError, SIZE_LIMIT},
    },
};

/// How often sealing is tried again, and the time between.
const SEALINGS: u32 = 100;
const BUSY: Duration = Duration::from_millis(10);

/// Longest name of a memfd that the kernel takes, less a reserve.
const NAME_LIMIT: usize = 200;

/// `RTLD_NOLOAD` of `dlfcn.h`, the same on every Linux: a handle only for what is loaded already.
const RTLD_NOLOAD: i32 = if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 8 } else { 4 };

/// A file's bytes, sealed: neither this process nor another can change them or their number.
pub(crate) struct Content {
    memfd: File,
    map: Mmap,
    path: PathBuf,
    digest: OnceLock<Digest>,
}

/// Copies an open file of about `size` bytes that was found under `path`.
pub(crate) fn copy(file: &File, path: &Path, size: u64) -> Result<Content, ImageError> {
    // To write past this limit ends the process by a signal, unless it is handled. It holds for a memfd too.
    let writable = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
    if size > writable {
        return Err(ImageError::FileSizeLimit { size, limit: writable });
    }
    let mut memfd =
        memfd(path.file_name().unwrap_or(OsStr::new("plugin"))).map_err(ImageError::io("create a memfd"))?;
    // The limit is one more than what is accepted, so that a file that grows meanwhile is noticed by the caller.
    io::copy(&mut file.take(writable.min(SIZE_LIMIT + 1)), &mut memfd).map_err(ImageError::io("read"))?;
    seal(&memfd).map_err(|e| ImageError::io("seal a memfd")(e.into()))?;
    let map = MmapOptions::new()
        .map_if_safe(&memfd)
        .map_err(|e| ImageError::io("map a memfd")(io::Error::other(e)))?;
    Ok(Content { memfd, map, path: path.to_owned(), digest: OnceLock::new() })
}

/// Makes the bytes and their number final. While the kernel moves one of the pages, as it may at any time, it says that the
/// memfd is busy. No event tells when it no longer is.
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

/// An empty memfd under the file's name, which debuggers and `/proc/self/maps` show.
fn memfd(name: &OsStr) -> io::Result<File> {
    let name = name.as_bytes();
    let name = CString::new(&name[..name.len().min(NAME_LIMIT)])?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(&name, flags | MemfdFlags::EXEC) {
        // A kernel before 6.3 does not know the flag, and needs none.
        Err(Errno::INVAL) => Ok(memfd_create(&name, flags)?.into()),
        created => Ok(created?.into()),
    }
}

impl Content {
    /// The sealed bytes behind a descriptor that a parent has handed over, of the plugin that it found under `path`.
    pub(crate) fn inherited(memfd: OwnedFd, path: &Path) -> io::Result<Self> {
        let memfd = File::from(memfd);
        let map = MmapOptions::new().map_if_safe(&memfd).map_err(io::Error::other)?;
        Ok(Self { memfd, map, path: path.to_owned(), digest: OnceLock::new() })
    }

    /// The descriptor that a child is to have.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        Ok(self.memfd.try_clone()?.into())
    }

    /// SHA-256 of the bytes, computed once.
    pub(crate) fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(self.bytes()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Loads the bytes. The memfd has to stay open as long as the library is loaded: the dynamic linker knows the
    /// library by the memfd's path, and would take a later one of the same number for it.
    ///
    /// # Errors
    /// What the dynamic linker says, with the plugin's path in place of the memfd's.
    pub(crate) fn load(&self) -> Result<Library, LinkerError> {
        let memfd = format!("/proc/self/fd/{}", self.memfd.as_raw_fd());
        // SAFETY: RTLD_NOLOAD runs no code of the library: either it is loaded already or nothing happens.
        if unsafe { Library::open(Some(&memfd), RTLD_NOLOAD | RTLD_NOW) }.is_ok() {
            return Err(LinkerError(format!(
                "{memfd} is already loaded: something else in this process has loaded a library from a file descriptor and closed it"
            )));
        }
        // SAFETY: runs the library's static constructors. The caller has inspected and verified these very bytes, and
        // accepts that the code of a trusted plugin runs here.
        unsafe { Library::open(Some(&memfd), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
            let message =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            LinkerError(message.replace(&memfd, text::show(&self.path).as_raw()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write as _, os::unix::fs::FileExt as _};

    use rustix::fs::fcntl_get_seals;

    use super::*;

    #[test]
    fn a_copy_can_be_neither_written_grown_nor_cut_nor_sealed_further_by_anybody() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"the plugin").unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let content = copy(&file, Path::new("/p/libx.so"), 10).unwrap();
        let memfd = format!("/proc/self/fd/{}", content.memfd.as_raw_fd());
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
        assert_eq!(content.bytes(), b"the plugin");
    }
}
