//! Where there is no memfd: the bytes live in this process's memory, and are written for the dynamic linker into a fresh
//! folder that only the user can enter.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};

#[cfg(unix)]
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
#[cfg(windows)]
use libloading::os::windows::{LOAD_LIBRARY_SEARCH_DEFAULT_DIRS, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR, Library};

use crate::{
    boundary::text,
    files::replace::{Mode, Survives, create},
    library::{
        digest::Digest,
        error::{ImageError, LinkerError, SIZE_LIMIT},
    },
};

/// A file's bytes.
pub(crate) struct Content {
    bytes: Vec<u8>,
    path: PathBuf,
    digest: OnceLock<Digest>,
}

/// Copies an open file of about `size` bytes that was found under `path`.
pub(crate) fn copy(file: &File, path: &Path, size: u64) -> Result<Content, ImageError> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // The limit is one more than what is accepted, so that a file that grows meanwhile is noticed by the caller.
    file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes).map_err(ImageError::io("read"))?;
    Ok(Content { bytes, path: path.to_owned(), digest: OnceLock::new() })
}

impl Content {
    /// SHA-256 of the bytes, computed once.
    pub(crate) fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(self.bytes()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Loads the bytes. The copy is removed again where the system allows that of a loaded library.
    ///
    /// # Errors
    /// What the dynamic linker says, with the plugin's path in place of the copy's.
    pub(crate) fn load(&self) -> Result<Library, LinkerError> {
        let folder = tempfile::Builder::new()
            .prefix("jackfield-")
            .tempdir()
            .map_err(|error| LinkerError(format!("can't create a private folder: {error}")))?;
        let name = self.path.file_name().unwrap_or(std::ffi::OsStr::new("plugin"));
        let file = folder.path().join(name);
        create(&file, &self.bytes, Mode::Private, Survives::Crash)
            .map_err(|error| LinkerError(format!("can't write a private copy: {error}")))?;
        #[cfg(unix)]
        // SAFETY: runs the library's static constructors. The caller has inspected and verified these very bytes, and
        // accepts that the code of a trusted plugin runs here.
        let library = unsafe { Library::open(Some(&file), RTLD_NOW | RTLD_LOCAL) };
        #[cfg(windows)]
        // SAFETY: as above.
        let library = unsafe {
            Library::load_with_flags(
                &file,
                LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS,
            )
        };
        library.map_err(|error| {
            let message =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            LinkerError(message.replace(&*file.to_string_lossy(), text::show(&self.path).as_raw()))
        })
    }
}
