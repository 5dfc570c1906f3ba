//! Platforms without a memfd: the bytes are in memory, and are loaded from a private file.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

#[cfg(unix)]
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
#[cfg(windows)]
use libloading::os::windows::{LOAD_LIBRARY_SEARCH_DEFAULT_DIRS, Library};

use super::error::{ImageError, LinkerError, SIZE_LIMIT};
#[cfg(windows)]
use crate::boundary::mapping;
#[cfg(windows)]
use crate::files::write::create_held;
#[cfg(unix)]
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

    /// Loads the bytes of the file at `path`, and removes the copy.
    #[cfg(unix)]
    pub(super) fn load(&self, path: &Path) -> Result<Library, LinkerError> {
        let folder = tempfile::Builder::new()
            .prefix("jackfield-")
            .tempdir()
            .map_err(|error| LinkerError(format!("can't create a private folder: {error}")))?;
        let file = folder.path().join(path.file_name().unwrap_or(OsStr::new("plugin")));
        create(&file, &self.0, Mode::Private, Survives::Crash).map_err(not_written)?;
        // SAFETY: this runs the static constructors of a library that the caller has verified.
        let library = unsafe { Library::open(Some(&file), RTLD_NOW | RTLD_LOCAL) };
        library.map_err(|error| LinkerError::new(&error, &file.to_string_lossy(), path))
    }

    /// Loads the bytes of the file at `path`. Windows removes no file of a library that is loaded, so the next process that
    /// loads a plugin removes the copy.
    #[cfg(windows)]
    pub(super) fn load(&self, path: &Path) -> Result<Library, LinkerError> {
        let folder = std::env::temp_dir();
        remove_unused(&folder);
        let mut name = tempfile::Builder::new();
        let copy = name.prefix(PREFIX).suffix(SUFFIX).make_in(folder, |file| create_held(file, &self.0));
        let (held, file) = copy.map_err(not_written)?.into_parts();
        // SAFETY: this runs the static constructors of a library that the caller has verified.
        let library = unsafe { Library::load_with_flags(&*file, LOAD_LIBRARY_SEARCH_DEFAULT_DIRS) };
        drop(held);
        library.map_err(|error| LinkerError::new(&error, &file.to_string_lossy(), path))
    }
}

fn not_written(error: io::Error) -> LinkerError {
    LinkerError(format!("can't write a private copy: {error}"))
}

/// The names of the copies.
#[cfg(windows)]
const PREFIX: &str = "jackfield-plugin-";
#[cfg(windows)]
const SUFFIX: &str = ".dll";

/// Removes copies that processes have left in this folder. The system keeps one that is loaded or about to be.
#[cfg(windows)]
fn remove_unused(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(all(test, windows))]
mod tests {
    use std::fs;

    use super::{create_held, remove_unused};

    #[test]
    fn a_copy_is_removed_when_no_process_uses_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let named = |name: &str| folder.path().join(name);
        let (copy, other) = (named("jackfield-plugin-1.dll"), named("jackfield-plugin.txt"));
        fs::write(&other, "").expect("writable");
        let held = create_held(&copy, b"a library").expect("writable");
        remove_unused(folder.path());
        assert_eq!(fs::read(&copy).expect("it is held"), b"a library");
        assert!(fs::write(&copy, b"another").is_err(), "nobody can write it");
        drop(held);
        remove_unused(folder.path());
        assert!(!copy.exists());
        assert!(other.exists());
    }
}
