//! Rotation: `PATH` → `PATH.1` → `PATH.2` …, the oldest one overwritten.

use std::{
    ffi::OsString,
    fs, io,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

/// The size limit and the number of files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rotation {
    /// Size in bytes that a file may have.
    pub(crate) bytes: u64,
    /// Number of rotated files.
    pub(crate) keep: NonZeroU32,
}

/// Renames `path` to its first number, and the older files to the next ones. The caller holds the lock of the file at
/// `path`, so no other writer rotates it meanwhile. `path` itself is moved last.
///
/// After an error the numbers may have a gap, which the next attempt fills.
pub(crate) fn shift(path: &Path, keep: NonZeroU32) -> io::Result<()> {
    let mut free = 1;
    while free < keep.get() && exists(&numbered(path, free))? {
        free += 1;
    }
    for number in (1..free).rev() {
        fs::rename(numbered(path, number), numbered(path, number + 1))?;
    }
    fs::rename(path, numbered(path, 1))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

fn exists(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the files of the folder hold, by name.
    fn contents(folder: &Path) -> Vec<(String, String)> {
        let mut found: Vec<_> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| {
                let path = entry.expect("readable").path();
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                (name, fs::read_to_string(path).expect("readable"))
            })
            .collect();
        found.sort();
        found
    }

    fn files(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn each_file_moves_up_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let keep = NonZeroU32::new(2).expect("not zero");
        for text in ["a", "b", "c", "d"] {
            fs::write(&path, text).expect("writable");
            shift(&path, keep).expect("rotates");
        }
        assert_eq!(contents(folder.path()), files(&[("log.1", "d"), ("log.2", "c")]));
    }

    #[test]
    fn files_behind_a_gap_stay_where_they_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        for (name, text) in [("log", "new"), ("log.1", "old"), ("log.3", "older")] {
            fs::write(folder.path().join(name), text).expect("writable");
        }
        shift(&path, NonZeroU32::MAX).expect("rotates");
        assert_eq!(contents(folder.path()), files(&[("log.1", "new"), ("log.2", "old"), ("log.3", "older")]));
    }
}
