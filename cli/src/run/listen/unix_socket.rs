//! The UNIX socket of `--listen`: for the user alone, in a folder in which nobody else can put another one in its place.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt as _, PermissionsExt as _},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
};

use jackfield_loader::files;
use rustix::{
    fs::{Mode, fchmod},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketType, bind as bind_to, connect, listen},
};

/// Connections that wait until they are accepted.
const BACKLOG: i32 = 64;

/// The file of a socket that this process has made; removed when this is dropped.
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another process may have replaced it.
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            let _ = files::remove(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| files::identity_of(&found))
}

/// A socket that no child inherits. One whose queue is full must not hold up the start.
#[cfg(not(target_vendor = "apple"))]
fn unconnected() -> Result<OwnedFd, Errno> {
    use rustix::net::{SocketFlags, socket_with};
    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

/// As elsewhere, in three calls: there are no flags for it.
#[cfg(target_vendor = "apple")]
fn unconnected() -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// Listens at `path`. A socket without a process, which a run that was killed leaves behind, is replaced.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, SocketFile), String> {
    let judge = || files::judge_folders(path).map_err(|error| error.to_string());
    let failed = |error: Errno| io::Error::from(error).to_string();
    let address = SocketAddrUnix::new(path).map_err(|_| {
        "the path is too long for a socket, which has at most 107 bytes: name a shorter one".to_owned()
    })?;
    if let Ok(found) = fs::symlink_metadata(path) {
        judge()?;
        if !found.file_type().is_socket() {
            let found = if found.is_file() { "a file" } else { files::kind(found.file_type()) };
            return Err(format!("expected a socket or nothing, found {found}: name another path"));
        }
        match connect(&unconnected().map_err(failed)?, &address) {
            Err(Errno::CONNREFUSED) => files::remove(path).map_err(|error| error.to_string())?,
            Ok(()) | Err(Errno::AGAIN) => {
                return Err("another process listens there: end that one, or name another path".to_owned());
            }
            Err(error) => return Err(failed(error)),
        }
    }
    let socket: OwnedFd = unconnected().map_err(failed)?;
    // On Linux the file has this mode from the start on; elsewhere the mode of a socket can't be set before it is bound.
    let _ = fchmod(&socket, Mode::RUSR | Mode::WUSR);
    bind_to(&socket, &address).map_err(failed)?;
    let made = identity(path).map_err(|error| error.to_string())?;
    let file = SocketFile { path: path.to_owned(), identity: made };
    // The way to a file can be judged when the file is there. Nobody can connect yet.
    judge()?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|error| error.to_string())?;
    listen(&socket, BACKLOG).map_err(failed)?;
    let listener = UnixListener::from(socket);
    listener.set_nonblocking(false).map_err(|error| error.to_string())?;
    Ok((listener, file))
}
