//! Opens files: only regular ones, without waiting, and through a link only on request.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::judge::Untrusted;
use crate::boundary::text;

/// Longest chain of links, as in the kernel.
pub(super) const MOST_LINKS: usize = 40;

/// Why a file can't be opened or is not used. The caller's error names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It is not a regular file.
    #[error("expected a regular file, found {found}")]
    NotAFile {
        /// The kind of the file.
        found: &'static str,
    },
    /// It is not a folder.
    #[error("expected a folder, found a file or a symbolic link")]
    NotAFolder,
    /// It is a symbolic link to a file that does not exist.
    #[error("a symbolic link to {}, which does not exist: correct or remove the link", text::show(.target))]
    DanglingLink {
        /// The link's target.
        target: PathBuf,
    },
    /// It is longer than the limit.
    #[error("larger than {}", size(*.limit))]
    TooLarge {
        /// Limit in bytes.
        limit: u64,
    },
    /// It is no text in UTF-8.
    #[error("{}", not_utf8(*.is_utf16, *.at))]
    NotUtf8 {
        /// Whether it is UTF-16.
        is_utf16: bool,
        /// The index of the first byte that is no part of a character.
        at: usize,
    },
    /// Another user could have written it.
    #[error("{what} {reason}")]
    Untrusted {
        /// The file or folder, as the message names it.
        what: String,
        /// Why.
        reason: Untrusted,
    },
    /// The system reports an error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        let kind = match error {
            FileError::Io(error) => return error,
            FileError::NotAFile { .. } => io::ErrorKind::InvalidInput,
            FileError::NotAFolder => io::ErrorKind::NotADirectory,
            FileError::DanglingLink { .. } => io::ErrorKind::NotFound,
            FileError::TooLarge { .. } => io::ErrorKind::FileTooLarge,
            FileError::NotUtf8 { .. } => io::ErrorKind::InvalidData,
            FileError::Untrusted { .. } => io::ErrorKind::PermissionDenied,
        };
        Self::new(kind, error)
    }
}

fn not_utf8(is_utf16: bool, at: usize) -> String {
    match is_utf16 {
        true => "it is UTF-16, expected UTF-8: save it as UTF-8, or convert it (iconv -f UTF-16 -t UTF-8)"
            .to_owned(),
        false => format!("expected UTF-8: byte {} is no part of a character", at + 1),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

/// The use of an open file. Only the user can read and write a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read. A link is refused.
    Read,
    /// To read, also through a link: for a file that the user has named, or may have replaced by a link.
    ReadLinked,
    /// To read and write. A missing file is created.
    Write,
    /// To write a new file. An existing file is refused.
    New,
    /// To read and append.
    Append,
    /// To read and append. A missing file is created.
    AppendOrMake,
    /// To read and append to a new file. An existing file is refused.
    AppendNew,
}

/// Opens the regular file at `path`. Refuses a FIFO, a device or a folder at once.
///
/// # Errors
/// [`FileError::NotAFile`], or an error of the system.
pub fn open(path: &Path, access: Access) -> Result<File, FileError> {
    let not_a_file = |found: fs::FileType| FileError::NotAFile { found: kind(found) };
    match open_path(path, access) {
        Ok(file) => match file.metadata()?.file_type() {
            found if found.is_file() => Ok(file),
            found => Err(not_a_file(found)),
        },
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error.into()),
        // For a link or a socket the system's error would be about links or devices.
        Err(error) => match fs::symlink_metadata(path).map(|found| found.file_type()) {
            Ok(found) if !found.is_file() && (access != Access::ReadLinked || !found.is_symlink()) => {
                Err(not_a_file(found))
            }
            _ => Err(error.into()),
        },
    }
}

#[cfg(unix)]
fn open_path(path: &Path, access: Access) -> io::Result<File> {
    open_at(rustix::fs::CWD, path, access)
}

/// Opens `name` in an open folder without waiting. It need not be a regular file.
#[cfg(unix)]
pub fn open_at(folder: impl std::os::fd::AsFd, name: impl AsRef<Path>, access: Access) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, openat};
    use rustix::io::retry_on_intr;
    let wanted = match access {
        Access::Read | Access::ReadLinked => OFlags::RDONLY,
        Access::Write => OFlags::RDWR | OFlags::CREATE,
        Access::New => OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL,
        Access::Append => OFlags::RDWR | OFlags::APPEND,
        Access::AppendOrMake => OFlags::RDWR | OFlags::APPEND | OFlags::CREATE,
        Access::AppendNew => OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL,
    };
    let links = if access == Access::ReadLinked { OFlags::empty() } else { OFlags::NOFOLLOW };
    let flags = wanted | links | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let (folder, name) = (folder.as_fd(), name.as_ref());
    Ok(retry_on_intr(|| openat(folder, name, flags, Mode::RUSR | Mode::WUSR))?.into())
}

/// Opens the folder at `path`. Refuses a link.
///
/// # Errors
/// [`FileError::NotAFolder`], or an error of the system.
#[cfg(unix)]
pub fn open_folder(path: &Path) -> Result<File, FileError> {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::io::Errno;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match open(path, flags, Mode::empty()) {
        Ok(folder) => Ok(folder.into()),
        Err(Errno::NOTDIR | Errno::LOOP) => Err(FileError::NotAFolder),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

/// Opens a link itself, unless that is to be followed.
#[cfg(windows)]
fn open_path(path: &Path, access: Access) -> io::Result<File> {
    use windows_sys::Win32::Foundation::{GENERIC_READ, GENERIC_WRITE};
    use windows_sys::Win32::Storage::FileSystem::{
        CREATE_NEW, FILE_APPEND_DATA, FILE_FLAG_OPEN_REPARSE_POINT, FILE_GENERIC_WRITE, FILE_SHARE_DELETE,
        FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_WRITE_DATA, OPEN_ALWAYS, OPEN_EXISTING,
    };
    let append = GENERIC_READ | FILE_GENERIC_WRITE & !FILE_WRITE_DATA | FILE_APPEND_DATA;
    let (rights, how) = match access {
        Access::Read | Access::ReadLinked => (GENERIC_READ, OPEN_EXISTING),
        Access::Write => (GENERIC_READ | GENERIC_WRITE, OPEN_ALWAYS),
        Access::New => (WRITE_NEW, CREATE_NEW),
        Access::Append => (append, OPEN_EXISTING),
        Access::AppendOrMake => (append, OPEN_ALWAYS),
        Access::AppendNew => (append, CREATE_NEW),
    };
    let flags = if access == Access::ReadLinked { 0 } else { FILE_FLAG_OPEN_REPARSE_POINT };
    let share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    super::security::open_private(path, rights, share, how, flags)
}

/// To write a file, and to say who may use it.
#[cfg(windows)]
const WRITE_NEW: u32 = {
    use windows_sys::Win32::Foundation::GENERIC_WRITE;
    use windows_sys::Win32::Storage::FileSystem::{READ_CONTROL, WRITE_DAC};
    GENERIC_WRITE | READ_CONTROL | WRITE_DAC
};

/// Returns the text of the regular file at `path`, of at most `limit` bytes.
///
/// # Errors
/// As [`open`] and [`read_open`].
pub fn read(path: &Path, access: Access, limit: u64) -> Result<String, FileError> {
    read_open(&open(path, access)?, limit)
}

/// Returns the text of an open file, of at most `limit` bytes.
///
/// # Errors
/// [`FileError::TooLarge`], [`FileError::NotUtf8`], or an error of the system.
pub fn read_open(file: &File, limit: u64) -> Result<String, FileError> {
    let mut bytes = Vec::new();
    if file.take(limit.saturating_add(1)).read_to_end(&mut bytes)? as u64 > limit {
        return Err(FileError::TooLarge { limit });
    }
    match String::from_utf8(bytes) {
        Ok(text) if !is_utf16(text.as_bytes()) => Ok(text),
        Ok(_) => Err(FileError::NotUtf8 { is_utf16: true, at: 0 }),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            Err(FileError::NotUtf8 { is_utf16: is_utf16(error.as_bytes()), at })
        }
    }
}

/// Whether text is UTF-16, as some editors and consoles write it. Text in UTF-8 has no NUL characters.
#[must_use]
pub fn is_utf16(text: &[u8]) -> bool {
    let head = &text[..text.len().min(64)];
    let zeros_at = |odd: usize| head.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    // In the form that most text has, one byte of each two is zero.
    let (even, odd) = (zeros_at(0), zeros_at(1));
    let half = (even + odd) * 3 >= head.len() && (even == 0 || odd == 0);
    head.len() >= 4 && (head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") || half)
}

/// What tells a file from every other one while it is open: device and inode, on Windows volume and index.
#[cfg(unix)]
pub fn identity(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|found| identity_of(&found))
}

/// The same, of the file that a path leads to.
#[cfg(unix)]
pub fn identity_at(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| identity_of(&found))
}

/// The same, of a file that has this metadata.
#[must_use]
#[cfg(unix)]
pub fn identity_of(found: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (found.dev(), found.ino())
}

/// What tells a file from every other one while it is open: device and inode, on Windows volume and index.
#[cfg(windows)]
pub fn identity(file: &File) -> io::Result<(u64, u64)> {
    super::security::identity(file)
}

/// The same, of the file that a path leads to.
#[cfg(windows)]
pub fn identity_at(path: &Path) -> io::Result<(u64, u64)> {
    identity(&super::security::open_to_examine(path, 0)?)
}

/// Creates the missing folders of a path, which only the user can enter.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder)
    }
    #[cfg(windows)]
    {
        let missing: Vec<_> =
            folder.ancestors().take_while(|it| !it.as_os_str().is_empty() && !it.is_dir()).collect();
        for folder in missing.into_iter().rev() {
            match super::security::create_private_folder(folder) {
                // Another process may have been faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
                made => made?,
            }
        }
        Ok(())
    }
}

/// Removes a file, if it exists.
pub fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The kind of a file that is not a regular one, for messages.
#[must_use]
pub fn kind(kind: fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a FIFO or pipe";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    if kind.is_dir() {
        "a folder"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else {
        "no regular file"
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    const ALL: [Access; 7] = [
        Access::Read,
        Access::ReadLinked,
        Access::Write,
        Access::New,
        Access::Append,
        Access::AppendOrMake,
        Access::AppendNew,
    ];

    #[test]
    fn only_a_regular_file_is_opened_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        fs::create_dir(at("folder")).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        symlink("/dev/zero", at("link")).unwrap();
        for access in ALL {
            for (name, found) in [("fifo", "a FIFO or pipe"), ("folder", "a folder"), ("socket", "a socket")]
            {
                let error = io::Error::from(open(&at(name), access).unwrap_err());
                if matches!(access, Access::New | Access::AppendNew) {
                    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{access:?} {name}");
                } else {
                    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{access:?} {name}");
                    assert_eq!(error.to_string(), format!("expected a regular file, found {found}"));
                }
            }
        }
        for (access, found) in [(Access::ReadLinked, "a device"), (Access::Read, "a symbolic link")] {
            let error = open(&at("link"), access).unwrap_err().to_string();
            assert_eq!(error, format!("expected a regular file, found {found}"));
        }
    }

    #[test]
    fn only_read_linked_follows_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink(at("file"), at("link")).unwrap();
        for access in ALL {
            assert!(open(&at("link"), access).is_err(), "{access:?}");
            assert!(!at("file").exists(), "{access:?} creates nothing behind a link");
        }
        fs::write(at("file"), "text").unwrap();
        for access in ALL {
            assert_eq!(open(&at("link"), access).is_ok(), access == Access::ReadLinked, "{access:?}");
        }
    }

    #[test]
    fn only_the_user_can_use_new_files_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for access in [Access::Write, Access::New, Access::AppendOrMake, Access::AppendNew] {
            let path = folder.path().join(format!("{access:?}"));
            open(&path, access).unwrap();
            assert_eq!(mode(&path), 0o600, "{access:?}");
        }
        create_folder(&folder.path().join("a/b")).unwrap();
        assert_eq!((mode(&folder.path().join("a")), mode(&folder.path().join("a/b"))), (0o700, 0o700));
    }

    #[test]
    fn a_file_is_read_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "0".repeat(2048)).unwrap();
        assert_eq!(read(&file, Access::Read, 2048).unwrap().len(), 2048);
        for (limit, line) in [(1024, "larger than 1 KiB"), (2047, "larger than 2047 bytes")] {
            assert_eq!(read(&file, Access::Read, limit).unwrap_err().to_string(), line);
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_with_its_encoding() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let little: Vec<u8> = "[plugins]\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, line) in [
            ([&b"\xff\xfe"[..], &little].concat(), "it is UTF-16, expected UTF-8: "),
            (little, "it is UTF-16, expected UTF-8: "),
            (b"a = \"\xe4\"".to_vec(), "expected UTF-8: byte 6 is no part of a character"),
        ] {
            fs::write(&file, bytes).unwrap();
            let refusal = read(&file, Access::Read, 2048).unwrap_err().to_string();
            assert!(refusal.starts_with(line), "{refusal}");
        }
    }
}
