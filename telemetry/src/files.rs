//! Facts about files: whether the data folder can be trusted, whether a file has changed, whether a folder can be
//! written to. Files are opened, judged, replaced and locked by [`jackfield_loader::files`].

use std::{
    fs::{self, Metadata},
    io::ErrorKind,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

use jackfield_loader::{
    files::{Facts, Owner, judge},
    show_path,
};

/// The name of the folder with the crash history, in the data folder.
pub(crate) const CRASHES: &str = "crashes";

/// Why the data folder can't be trusted; `None` when it can, or is missing. It must belong to the user, and nobody else
/// may write to it: whoever can write to it can replace machine id, states and spools.
pub(crate) fn data_refusal(folder: &Path) -> Option<String> {
    let refusal = judge(&Facts::at(folder).ok()?, Owner::User, folder).err()?;
    Some(format!("data folder {}: {refusal}", show_path(folder)))
}

/// A file is complete when nobody has written to it for this time.
const STABLE: Duration = Duration::from_millis(300);
/// A change within this time after another one may leave the file's times as they are: the coarsest clock of a file system
/// has steps of two seconds.
const RACY: Duration = Duration::from_secs(2);

/// Size, times and identity of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    /// Device, inode, and the time of the last change of any kind, mode and owner included; `None` elsewhere than on Unix.
    identity: Option<(u64, u64, i64, i64)>,
    /// Whether the file was old enough for a later change to show.
    firm: bool,
}

/// Files, and the stamp of each that can be examined.
pub(crate) type Stamps = Vec<(PathBuf, Option<Stamp>)>;

impl Stamp {
    /// The stamp of a file; `None` when it can't be examined.
    pub(crate) fn of_file(file: &Path) -> Option<Self> {
        Some(Self::of(&fs::metadata(file).ok()?))
    }

    /// The stamps of files.
    pub(crate) fn of_files(files: impl IntoIterator<Item = PathBuf>) -> Stamps {
        files
            .into_iter()
            .map(|file| (Stamp::of_file(&file), file))
            .map(|(stamp, file)| (file, stamp))
            .collect()
    }

    /// The stamp of a file with this metadata.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self::at(SystemTime::now(), metadata)
    }

    /// The same, taken at `now`.
    pub(crate) fn at(now: SystemTime, metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok();
        // A time in the future proves nothing.
        let age = modified.max(changed(metadata)).and_then(|time| now.duration_since(time).ok());
        let firm = age.is_some_and(|age| age >= RACY);
        Self { len: metadata.len(), modified, identity: identity(metadata), firm }
    }

    /// Whether a change after the stamp was taken shows in a later stamp.
    pub(crate) fn is_firm(&self) -> bool {
        self.firm
    }

    /// Whether the file has certainly not changed since `earlier` was taken.
    pub(crate) fn is_still(&self, earlier: &Self) -> bool {
        earlier.firm && self == earlier
    }

    /// A text that is equal for equal files, sizes and times.
    pub(crate) fn mark(&self) -> String {
        format!("{} {:?} {:?}", self.len, self.modified, self.identity)
    }

    /// The time since the last write; [`STABLE`] when that lies in the future.
    fn age(&self) -> Duration {
        self.modified.and_then(|time| time.elapsed().ok()).unwrap_or(STABLE)
    }
}

/// Stamps are equal when file, size and times are.
impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        (self.len, self.modified, self.identity) == (other.len, other.modified, other.identity)
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "the other platforms' form")]
fn identity(metadata: &Metadata) -> Option<(u64, u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

/// The time of the last change of any kind. Unlike the time of the last write, nobody can set it back.
#[cfg(unix)]
fn changed(metadata: &Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt as _;
    let since = Duration::new(metadata.ctime().try_into().ok()?, metadata.ctime_nsec().try_into().ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(not(unix))]
fn identity(_metadata: &Metadata) -> Option<(u64, u64, i64, i64)> {
    None
}

#[cfg(not(unix))]
fn changed(_metadata: &Metadata) -> Option<SystemTime> {
    None
}

/// Waits until nobody has written to a file for [`STABLE`], or the file is missing; `false` when somebody still writes at
/// `deadline`.
pub(crate) fn wait_until_stable(file: &Path, deadline: Instant) -> bool {
    loop {
        let Some(stamp) = Stamp::of_file(file) else { return true };
        let Some(rest) = STABLE.checked_sub(stamp.age()).filter(|rest| !rest.is_zero()) else { return true };
        if Instant::now() + rest > deadline {
            return false;
        }
        thread::sleep(rest);
    }
}

/// Why events can't be stored in a folder, in one line, as far as this can be found out without a write.
#[cfg(unix)]
pub(crate) fn write_obstacle(folder: &Path, waits: bool) -> Option<String> {
    use rustix::fs::{Access, access, statvfs};
    let there = folder.ancestors().find(|path| path.exists())?;
    let shown = show_path(there);
    if let Err(error) = access(there, Access::WRITE_OK) {
        let error = std::io::Error::from(error);
        return Some(format!("{shown} can't be written to: {error}; {}", write_hint(error.kind(), waits)));
    }
    let room = statvfs(there).ok()?;
    // Some file systems report no blocks at all.
    let full = room.f_blocks > 0 && room.f_bavail == 0;
    full.then(|| format!("the disk of {shown} is full; {}", write_hint(ErrorKind::StorageFull, waits)))
}

/// Why events can't be stored in a folder, in one line, as far as this can be found out without a write.
#[cfg(not(unix))]
pub(crate) fn write_obstacle(folder: &Path, waits: bool) -> Option<String> {
    let there = folder.ancestors().find(|path| path.exists())?;
    let hint = write_hint(ErrorKind::NotADirectory, waits);
    (!there.is_dir()).then(|| format!("{} is no folder; {hint}", show_path(there)))
}

/// What a failed write means, and what to do. `waits`: a forwarder keeps the event and stops reading its input.
pub(crate) fn write_hint(kind: ErrorKind, waits: bool) -> String {
    let effect = if waits { "the input waits" } else { "new events are lost" };
    let remedy = match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on that disk",
        _ => "let this user write there, or name another folder (HOME, XDG_STATE_HOME)",
    };
    format!("{effect}: {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_stable_once_its_last_write_is_old() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "a").expect("writable");
        let now = Instant::now();
        assert!(!wait_until_stable(&file, now));
        assert!(wait_until_stable(&file, now + Duration::from_secs(60)));
        assert!(wait_until_stable(&file, now), "it is old now");
        assert!(wait_until_stable(&folder.path().join("none"), now));
    }

    #[test]
    fn a_file_that_has_just_changed_is_never_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "a").expect("writable");
        let stamp = |later| Stamp::at(SystemTime::now() + later, &fs::metadata(&file).expect("it is there"));
        let [young, old] = [Duration::ZERO, Duration::from_secs(60)].map(stamp);
        assert!(!stamp(Duration::ZERO).is_still(&young));
        assert!(stamp(Duration::ZERO).is_still(&old));
        // The time of the last write is set back; the time of the last change can't be.
        let set_back = SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(&file).and_then(|it| it.set_modified(set_back)).expect("ours");
        assert!(cfg!(not(unix)) || !stamp(Duration::ZERO).is_firm());
        fs::write(&file, "b").expect("writable");
        assert!(!stamp(Duration::ZERO).is_still(&old));
    }
}
