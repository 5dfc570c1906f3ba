//! Platforms without a memfd: the bytes are in memory, and are loaded from a file in a private folder.

#[cfg(windows)]
use std::io;
use std::{ffi::OsStr, fs::File, io::Read as _, path::Path};

#[cfg(unix)]
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
#[cfg(windows)]
use libloading::os::windows::{LOAD_LIBRARY_SEARCH_DEFAULT_DIRS, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR, Library};

use super::error::{ImageError, LinkerError, SIZE_LIMIT};
#[cfg(windows)]
use crate::boundary::mapping;
use crate::files::write::{Mode, Survives, create};
#[cfg(windows)]
use crate::reexec::OwnedHandle;

pub(super) struct Image(Vec<u8>);

impl Image {
    pub(super) fn copy(file: &File, _name: &OsStr, size: u64) -> Result<Self, ImageError> {
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        // One byte more, so that the caller notices a file that grows meanwhile.
        file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes).map_err(ImageError::io("read"))?;
        Ok(Self(bytes))
    }

    /// These bytes.
    #[cfg(windows)]
    pub(super) fn of(bytes: &[u8]) -> io::Result<Self> {
        Ok(Self(bytes.to_vec()))
    }

    /// The bytes that the parent has [shared](Self::share).
    #[cfg(windows)]
    pub(super) fn inherited(memory: OwnedHandle) -> io::Result<Self> {
        mapping::read_only(&memory).map(Self)
    }

    /// Memory with the bytes, which nobody can change.
    #[cfg(windows)]
    pub(super) fn share(&self) -> io::Result<OwnedHandle> {
        mapping::with_bytes(&self.0)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Loads the bytes of the file at `path`, and removes the copy if the system allows that.
    pub(super) fn load(&self, path: &Path) -> Result<Library, LinkerError> {
        let folder = tempfile::Builder::new()
            .prefix("jackfield-")
            .tempdir()
            .map_err(|error| LinkerError(format!("can't create a private folder: {error}")))?;
        let file = folder.path().join(path.file_name().unwrap_or(OsStr::new("plugin")));
        create(&file, &self.0, Mode::Private, Survives::Crash)
            .map_err(|error| LinkerError(format!("can't write a private copy: {error}")))?;
        #[cfg(unix)]
        // SAFETY: this runs the static constructors of a library that the caller has verified.
        let library = unsafe { Library::open(Some(&file), RTLD_NOW | RTLD_LOCAL) };
        #[cfg(windows)]
        // SAFETY: as above.
        let library = unsafe {
            Library::load_with_flags(
                &file,
                LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS,
            )
        };
        library.map_err(|error| LinkerError::new(&error, &file.to_string_lossy(), path))
    }
}
