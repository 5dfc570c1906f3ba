//! Where links lead, and which folders decide that.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    error::FileError,
    judge::{Owner, judge_link},
};

/// How many links lead from one to the next at most, as the kernel has it.
const MOST_LINKS: usize = 40;

/// Where links lead to from `file`, whether or not anything is there: for who replaces a file, which would replace the link
/// else, and leave what others read through it.
///
/// # Errors
/// [`FileError::Untrusted`] for a link of another user, who would choose what is overwritten; links without end.
pub fn behind_links(file: &Path) -> Result<PathBuf, FileError> {
    let mut place = file.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&place) else { return Ok(place) };
        judge_link(&fs::symlink_metadata(&place)?, Owner::UserOrRoot).map_err(|reason| {
            FileError::Untrusted { what: format!("the link {}", crate::boundary::text::show(&place)), reason }
        })?;
        place = place.parent().unwrap_or(Path::new(".")).join(target);
    }
    Err(io::Error::other("a link that leads to itself, or too many links").into())
}

#[cfg(unix)]
pub use self::unix::{Folder, Way, way};

#[cfg(unix)]
mod unix {
    use std::{
        ffi::{OsStr, OsString},
        fs::{self, File},
        io,
        os::unix::ffi::OsStringExt as _,
        path::{Path, PathBuf},
    };

    use rustix::{
        fs::{CWD, Mode, OFlags, openat, readlinkat},
        io::Errno,
    };

    use super::{FileError, MOST_LINKS};

    /// An open folder.
    #[derive(Debug)]
    pub struct Folder {
        /// Good for metadata, and for opening what is in it.
        pub handle: File,
        /// Its path, without links.
        pub path: PathBuf,
    }

    /// The folders that decide which file a path leads to, and its name in the last of them.
    #[derive(Debug)]
    pub struct Way {
        /// The folder that the path names, those of the links that lead on from there, and last the one that the file is in.
        pub folders: Vec<Folder>,
        /// The file's name in the last folder.
        pub name: OsString,
    }

    #[cfg(target_os = "linux")]
    const FOLDER: OFlags = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    const FOLDER: OFlags = OFlags::RDONLY;

    /// Follows the links from `path` on, each of which is read in its open folder.
    ///
    /// # Errors
    /// [`FileError::DanglingLink`], [`FileError::NotAFile`] for a path that names a folder by its form, such as `..`, or
    /// what the system says.
    pub fn way(path: &Path) -> Result<Way, FileError> {
        let mut folders = Vec::new();
        let mut next = path.to_owned();
        let mut first_target = None;
        while folders.len() <= MOST_LINKS {
            let step = step(&next).map_err(|error| match &first_target {
                Some(target) if error.kind() == io::ErrorKind::NotFound => {
                    FileError::DanglingLink { target: PathBuf::clone(target) }
                }
                _ => error.into(),
            })?;
            let Some((folder, name, target)) = step else {
                return Err(FileError::NotAFile { found: "a folder" });
            };
            let Some(target) = target else {
                let name = name.to_owned();
                folders.push(folder);
                return Ok(Way { folders, name });
            };
            let lead = folder.path.join(&target);
            folders.push(folder);
            first_target.get_or_insert(target);
            next = lead;
        }
        Err(io::Error::from(Errno::LOOP).into())
    }

    /// A path's last part in its open folder, and where it leads if it is a link. `None`: the path has no last part, so it
    /// names a folder.
    fn step(path: &Path) -> io::Result<Option<(Folder, &OsStr, Option<PathBuf>)>> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return fs::canonicalize(path).map(|_| None);
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let real = fs::canonicalize(parent)?;
        let handle = openat(CWD, &real, FOLDER | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let target = match readlinkat(&handle, name, Vec::new()) {
            Ok(target) => Some(OsString::from_vec(target.into_bytes()).into()),
            // No link.
            Err(Errno::INVAL) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Some((Folder { handle: handle.into(), path: real }, name, target)))
    }
}
