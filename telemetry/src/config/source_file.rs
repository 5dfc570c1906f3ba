//! The file of a configuration: what may be one, and how much of it is read.

use std::{
    fs::{File, FileType, OpenOptions},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::error::error::Error;

/// Largest configuration, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration file that has been opened, and is not read yet. What is examined of it, such as its owner, is of the very
/// file that is read.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    handle: File,
}

impl ConfigFile {
    /// Opens a regular file. A FIFO or device is refused, and not waited for.
    ///
    /// # Errors
    /// [`Error::ReadConfig`].
    pub fn open(file: &Path) -> Result<Self, Error> {
        let refusal = |source| Error::ReadConfig { file: file.to_owned(), source };
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.custom_flags(
                (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY).bits().cast_signed(),
            );
        }
        let handle = options.open(file).map_err(refusal)?;
        let kind = handle.metadata().map_err(refusal)?.file_type();
        if !kind.is_file() {
            let found = name(kind);
            return Err(refusal(io::Error::other(format!("expected a regular file, found {found}"))));
        }
        Ok(Self { path: file.to_owned(), handle })
    }

    /// The open file.
    #[must_use]
    pub fn handle(&self) -> &File {
        &self.handle
    }

    /// Whether only root and the user could have written it. It decides what code runs, so that is for files that nobody
    /// has named for this run.
    ///
    /// # Errors
    /// [`Error::ReadConfig`]: file or folder belong to somebody else, or group or others can write to them.
    ///
    /// # Platform
    /// Unix; elsewhere the folder's access list is what protects a file.
    pub fn check_owner(&self) -> Result<(), Error> {
        owned(&self.handle, &self.path).map_err(|reason| Error::ReadConfig {
            file: self.path.clone(),
            source: io::Error::new(io::ErrorKind::PermissionDenied, reason),
        })
    }

    /// The name by which the file was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its text.
    pub(crate) fn text(self) -> Result<String, Error> {
        let Self { path, handle } = self;
        let mut text = String::new();
        let read = handle.take(MAX_BYTES + 1).read_to_string(&mut text);
        let fits =
            |len| if len as u64 <= MAX_BYTES { Ok(()) } else { Err(io::Error::other("larger than 1 MiB")) };
        match read.and_then(fits) {
            Ok(()) => Ok(text),
            Err(source) => Err(Error::ReadConfig { file: path, source }),
        }
    }
}

#[cfg(unix)]
fn owned(handle: &File, file: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;

    let user = rustix::process::geteuid().as_raw();
    let check = |what: &str, metadata: io::Result<std::fs::Metadata>| {
        let metadata = metadata.map_err(|e| format!("{what} can't be examined: {e}"))?;
        if metadata.uid() != 0 && metadata.uid() != user {
            let owner = metadata.uid();
            return Err(format!("{what} must belong to root or user {user}, and belongs to user {owner}"));
        }
        if metadata.mode() & 0o022 != 0 {
            let mode = metadata.mode() & 0o7777;
            // A folder such as /tmp is meant to be so.
            let shared = metadata.is_dir() && mode & 0o1000 != 0;
            let remedy = if shared { "move it to a folder that only you can write to" } else { "chmod go-w" };
            return Err(format!(
                "{what} must not be writable by group or others, and has mode {mode:04o}: {remedy}"
            ));
        }
        Ok(())
    };
    check("the file", handle.metadata())?;
    check("its folder", file.parent().unwrap_or(Path::new("/")).metadata())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the other platforms' form")]
fn owned(_handle: &File, _file: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(unix)]
fn name(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a FIFO or pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(not(unix))]
fn name(kind: FileType) -> &'static str {
    if kind.is_dir() { "a folder" } else { "a device" }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::config::model::Config;

    fn refusal(path: &Path) -> String {
        let error =
            ConfigFile::open(path).and_then(ConfigFile::read).expect_err("no configuration").to_string();
        let expected = format!("configuration {}: can't be read: ", path.display());
        error.strip_prefix(&expected).unwrap_or_else(|| panic!("{error}")).to_owned()
    }

    /// A file that goes with its folder.
    fn written(content: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        std::fs::write(&path, content).expect("writable");
        (folder, path)
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        assert_eq!(refusal(Path::new("/dev/zero")), "expected a regular file, found a device");
        assert_eq!(refusal(Path::new("/dev")), "expected a regular file, found a folder");
        let (_folder, path) = written("");
        std::fs::remove_file(&path).expect("ours");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
        assert_eq!(refusal(&path), "expected a regular file, found a FIFO or pipe");
    }

    #[test]
    fn a_file_is_read_up_to_the_limit_and_refused_beyond_it() {
        let comment = "#".repeat(usize::try_from(MAX_BYTES).expect("small"));
        let (_folder, path) = written(&comment);
        assert!(Config::read(&path).expect("a configuration").backends.is_empty());
        let (_folder, path) = written(&(comment + "#"));
        assert_eq!(refusal(&path), "larger than 1 MiB");
    }

    #[test]
    fn whoever_has_it_in_a_folder_for_all_is_told_to_move_it_and_else_to_change_the_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let (folder, path) = written("");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
        for (mode, remedy) in
            [(0o1777, "move it to a folder that only you can write to"), (0o777, "chmod go-w")]
        {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).expect("ours");
            let refused = ConfigFile::open(&path).expect("readable").check_owner().expect_err("not safe");
            let expected = format!("has mode {mode:04o}: {remedy}");
            assert!(refused.to_string().ends_with(&expected), "{refused}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let (_folder, path) = written("");
        std::fs::write(&path, b"\xff").expect("writable");
        assert!(refusal(&path).contains("UTF-8"));
    }
}
