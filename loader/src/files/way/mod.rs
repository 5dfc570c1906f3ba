//! The folders that decide which file a path leads to.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::facts::Facts;
use super::judge::{Owner, Untrusted, judge, judge_ancestor};
use super::open::{FileError, MOST_LINKS};
use crate::boundary::text;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    /// On Linux an `O_PATH` descriptor, by which metadata can be read and files in the folder opened. On Windows nobody can
    /// rename the folder while the handle is open.
    pub handle: File,
    /// The path, without links.
    pub path: PathBuf,
    /// Whether the file or a link on the way to it is in this folder. Any other folder has only a folder of the way in it.
    decides: bool,
}

impl Folder {
    /// Judges owner and writers. Others may add to a folder that has only a folder of the way in it, if they can't replace
    /// that folder: on Unix the sticky bit says so.
    ///
    /// # Errors
    /// The metadata can't be read, or another user could change where the way leads.
    pub fn judge(&self, owner: Owner) -> io::Result<Result<(), Untrusted>> {
        let judge = if self.decides { judge } else { judge_ancestor };
        Ok(judge(&Facts::of_file(&self.handle)?, owner, &self.path))
    }
}

/// The folders that decide which file a path leads to, and the file's name.
#[derive(Debug)]
pub struct Way {
    /// Every folder on the way, from the root on, those of links included. The last folder contains the file.
    pub folders: Vec<Folder>,
    /// The file's name in the last folder.
    pub name: OsString,
}

/// Walks from the root to the file. Opens each folder in the one before, and reads each link in its open folder.
///
/// # Errors
/// [`FileError::DanglingLink`]; [`FileError::NotAFile`] for a path that can only be a folder, such as `..`.
pub fn way(path: &Path) -> Result<Way, FileError> {
    let mut walk = Walk::default();
    let mut left = parts(&std::path::absolute(path)?);
    let mut links = 0;
    let mut first_target = None;
    while let Some(part) = left.pop_front() {
        let is_last = left.is_empty();
        let target = walk.step(&part, is_last).map_err(|error| match &first_target {
            Some(target) if error.kind() == io::ErrorKind::NotFound => {
                FileError::DanglingLink { target: PathBuf::clone(target) }
            }
            _ => error.into(),
        })?;
        match target {
            None if is_last && part != ".." && !is_root(&part) => return Ok(walk.end(part)),
            None => {}
            Some(_) if links == MOST_LINKS => return Err(system::too_many_links().into()),
            Some(target) => {
                links += 1;
                for part in parts(&target).into_iter().rev() {
                    left.push_front(part);
                }
                if is_last {
                    first_target.get_or_insert(target);
                }
            }
        }
    }
    Err(FileError::NotAFile { found: "a folder" })
}

/// The parts of a path: a root, such as `/` or `C:\`, `..` and names.
fn parts(path: &Path) -> VecDeque<OsString> {
    let mut drive = OsString::new();
    let mut parts = VecDeque::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Prefix(prefix) => drive = prefix.as_os_str().to_owned(),
            Component::RootDir => {
                drive.push(part.as_os_str());
                parts.push_back(std::mem::take(&mut drive));
            }
            Component::ParentDir | Component::Normal(_) => parts.push_back(part.as_os_str().to_owned()),
        }
    }
    parts
}

fn is_root(part: &OsStr) -> bool {
    Path::new(part).has_root()
}

/// The folders that were opened, and those from the root to where the walk is.
#[derive(Default)]
struct Walk {
    folders: Vec<Folder>,
    /// Indexes in `folders`.
    here: Vec<usize>,
}

impl Walk {
    /// Takes one step; stays in the folder if the part is a link, or is the last one and not `..`. Returns the target of a
    /// link.
    fn step(&mut self, part: &OsStr, is_last: bool) -> io::Result<Option<PathBuf>> {
        let Some(&at) = self.here.last().filter(|_| !is_root(part)) else {
            self.here.clear();
            self.enter(system::open_root(part)?, PathBuf::from(part));
            return Ok(None);
        };
        if part == ".." {
            // The root is its own parent.
            self.here.truncate(self.here.len().max(2) - 1);
            return Ok(None);
        }
        let folder = &mut self.folders[at];
        match system::read_link(&folder.handle, &folder.path, part)? {
            Some(target) => {
                folder.decides = true;
                return Ok(Some(target));
            }
            None if is_last => folder.decides = true,
            None => {
                let path = folder.path.join(part);
                let handle = system::open_folder_in(&folder.handle, &path)?;
                self.enter(handle, path);
            }
        }
        Ok(None)
    }

    fn enter(&mut self, handle: File, path: PathBuf) {
        self.here.push(self.folders.len());
        self.folders.push(Folder { handle, path, decides: false });
    }

    /// The way to the file `name` in the folder where the walk is.
    fn end(mut self, name: OsString) -> Way {
        if let Some(&at) = self.here.last() {
            let last = self.folders.remove(at);
            self.folders.push(last);
        }
        Way { folders: self.folders, name }
    }
}

/// Judges an open file, and the folders on the way from the root to it and to the links that lead to it.
///
/// # Errors
/// [`FileError::Untrusted`].
pub fn judge_with_folders(file: &File, path: &Path) -> Result<(), FileError> {
    judge(&Facts::of_file(file)?, Owner::UserOrRoot, path).map_err(untrusted("the file".to_owned()))?;
    judge_folders(path)
}

fn untrusted(what: String) -> impl FnOnce(Untrusted) -> FileError {
    move |reason| FileError::Untrusted { what, reason }
}

/// Judges the folders on the way from the root to a file of any kind, and to the links that lead to it.
///
/// # Errors
/// [`FileError::Untrusted`].
pub fn judge_folders(path: &Path) -> Result<(), FileError> {
    let mut folders = way(path)?.folders;
    let last = folders.pop();
    for folder in &folders {
        let name = format!("the folder {} on the way to it", text::show(&folder.path));
        folder.judge(Owner::UserOrRoot)?.map_err(untrusted(name))?;
    }
    last.map_or(Ok(()), |last| last.judge(Owner::UserOrRoot)?.map_err(untrusted("its folder".to_owned())))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn the_folder_of_each_link_on_the_way_is_judged() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let (file, link) = (second.path().join("file"), first.path().join("link"));
        fs::write(&file, "").unwrap();
        mode(&file, 0o600);
        symlink(&file, &link).unwrap();
        let judged =
            || judge_with_folders(&File::open(&link).unwrap(), &link).map_err(|error| error.to_string());
        assert_eq!(judged(), Ok(()));
        for (folder, is_last) in [(&first, false), (&second, true)] {
            mode(folder.path(), 0o770);
            let refusal = judged().unwrap_err();
            let shown = fs::canonicalize(folder.path()).unwrap();
            let expected = match is_last {
                true => "its folder must not be writable".to_owned(),
                false => format!("the folder {} on the way to it must not be writable", shown.display()),
            };
            let advice = format!("0770: chmod go-w {}", shown.display());
            assert!(refusal.starts_with(&expected) && refusal.ends_with(&advice), "{refusal}");
            mode(folder.path(), 0o700);
        }
        mode(&file, 0o620);
        assert!(judged().unwrap_err().starts_with("the file must not be writable"));
    }

    #[test]
    fn every_ancestor_is_judged_and_the_sticky_bit_protects_folders_alone() {
        let base = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let (shared, own) = (base.path().join("shared"), base.path().join("shared/own"));
        fs::create_dir_all(&own).unwrap();
        mode(&own, 0o700);
        for file in [own.join("file"), shared.join("file")] {
            fs::write(&file, "").unwrap();
            mode(&file, 0o600);
        }
        symlink("own", shared.join("link")).unwrap();
        let judged = |path: &str| {
            let path = shared.join(path);
            judge_with_folders(&File::open(&path).unwrap(), &path).map_err(|error| error.to_string())
        };
        mode(&shared, 0o700);
        for path in ["own/file", "file", "link/file", "own/../file", "link/../own/./file"] {
            assert_eq!(judged(path), Ok(()), "{path}");
        }
        mode(&shared, 0o1777);
        assert_eq!(judged("own/file"), Ok(()), "nobody else can replace the folder");
        for path in ["file", "link/file", "own/../file", "link/../own/file"] {
            assert!(judged(path).is_err_and(|refusal| refusal.contains("has mode 1777: move it")), "{path}");
        }
        mode(&shared, 0o777);
        for path in ["own/file", "file", "link/file"] {
            assert!(
                judged(path).is_err_and(|refusal| refusal.contains("has mode 0777: chmod go-w")),
                "{path}"
            );
        }
    }

    #[test]
    fn a_way_that_leads_nowhere_says_why() {
        let base = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(base.path()).unwrap();
        fs::create_dir(base.join("folder")).unwrap();
        fs::write(base.join("file"), "").unwrap();
        for (link, target) in [("loop", "loop"), ("dangling", "gone"), ("folders", "folder/../folders")] {
            symlink(target, base.join(link)).unwrap();
        }
        let refusal = |path: &str| way(&base.join(path)).unwrap_err().to_string();
        // The text is that of the C library.
        let endless = std::io::Error::from(rustix::io::Errno::LOOP).to_string();
        assert_eq!(refusal("loop"), endless);
        assert_eq!(refusal("folders/file"), endless);
        assert!(refusal("dangling").starts_with("a symbolic link to gone, which does not exist"));
        assert!(refusal("gone/file").contains("No such file"));
        assert!(refusal("file/file").contains("Not a directory"));
        for folder in ["folder/..", "/", ".."] {
            assert_eq!(refusal(folder), "expected a regular file, found a folder");
        }
        let way = way(&base.join("folder/../file")).unwrap();
        assert_eq!((way.folders.last().unwrap().path.as_path(), &*way.name), (&*base, OsStr::new("file")));
    }
}
