//! Whether events can be stored in a folder, as far as that can be told without writing.

use std::path::Path;

use jackfield_loader::show_path;

/// Why they can't, in one line; `None` where nothing speaks against it.
#[cfg(unix)]
pub(crate) fn problem(folder: &Path) -> Option<String> {
    use rustix::fs::{Access, access, statvfs};
    let there = folder.ancestors().find(|path| path.exists())?;
    let shown = show_path(there);
    if let Err(error) = access(there, Access::WRITE_OK) {
        let error = std::io::Error::from(error);
        return Some(format!("{shown} can't be written to: {error}; {}", hint(error.kind())));
    }
    let room = statvfs(there).ok()?;
    // Some file systems have no blocks at all to speak of.
    let full = room.f_blocks > 0 && room.f_bavail == 0;
    full.then(|| format!("the disk of {shown} is full; {}", hint(std::io::ErrorKind::StorageFull)))
}

/// Why they can't, in one line; `None` where nothing speaks against it.
#[cfg(not(unix))]
pub(crate) fn problem(folder: &Path) -> Option<String> {
    let there = folder.ancestors().find(|path| path.exists())?;
    let hint = hint(std::io::ErrorKind::NotADirectory);
    (!there.is_dir()).then(|| format!("{} is no folder; {hint}", show_path(there)))
}

/// What to do about it.
pub(crate) fn hint(kind: std::io::ErrorKind) -> &'static str {
    match kind {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "new events are lost: make room on that disk"
        }
        _ => "new events are lost: let this user write there, or name another folder (HOME, XDG_STATE_HOME)",
    }
}
