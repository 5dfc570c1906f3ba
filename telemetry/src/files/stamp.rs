//! What tells whether a file has changed without reading it, and whether somebody is still writing to it.

use std::{
    fs::{self, Metadata},
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// A file that nobody has written to for so long is whole.
pub(crate) const STABLE: Duration = Duration::from_millis(300);
/// A file that was changed so recently could be changed again with no trace in its times: the coarsest clock of a file system
/// has steps of two seconds.
const RACY: Duration = Duration::from_secs(2);

/// Size, times and identity of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    /// Device, inode and the time of the last change of any kind, mode and owner included, where there is such a thing.
    identity: Option<(u64, u64, i64, i64)>,
    /// Whether it was old enough that a later change shows.
    firm: bool,
}

impl Stamp {
    /// That of a file; `None` when it can't be examined.
    pub(crate) fn of_file(file: &Path) -> Option<Self> {
        Some(Self::of(&fs::metadata(file).ok()?))
    }

    /// That of a file with this metadata.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self::at(SystemTime::now(), metadata)
    }

    /// The same, for a change after `now`.
    pub(crate) fn at(now: SystemTime, metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok();
        // A time in the future does not tell.
        let age = modified.max(changed(metadata)).and_then(|time| now.duration_since(time).ok());
        let firm = age.is_some_and(|age| age >= RACY);
        Self { len: metadata.len(), modified, identity: identity(metadata), firm }
    }

    /// Whether a change after the stamp was taken shows in a later one.
    pub(crate) fn is_firm(&self) -> bool {
        self.firm
    }

    /// Whether the file is certainly the same as when `earlier` was taken.
    pub(crate) fn is_still(&self, earlier: &Self) -> bool {
        earlier.firm && self.same_file(earlier)
    }

    /// The same for the same file with the same size and times, and else another one.
    pub(crate) fn mark(&self) -> String {
        format!("{} {:?} {:?}", self.len, self.modified, self.identity)
    }

    /// Whether both are of one file with one size and time.
    pub(crate) fn same_file(&self, other: &Self) -> bool {
        (self.len, self.modified, self.identity) == (other.len, other.modified, other.identity)
    }

    /// For how long nobody has written to it. A time in the future says nothing: that is taken for long ago.
    fn age(&self) -> Duration {
        self.modified.and_then(|time| time.elapsed().ok()).unwrap_or(STABLE)
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "the other platforms' form")]
fn identity(metadata: &Metadata) -> Option<(u64, u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

/// When the file was changed last in any way. Unlike the time of the last write, nobody can set it back.
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

/// Waits until nobody has written to a file for [`STABLE`], or it is gone; `false` when somebody still does at `deadline`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_a_moment_ago_is_waited_for_and_an_old_one_is_not() {
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
    fn a_file_that_has_just_changed_is_never_taken_for_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "a").expect("writable");
        let stamp = |later| Stamp::at(SystemTime::now() + later, &fs::metadata(&file).expect("it is there"));
        let [young, old] = [Duration::ZERO, Duration::from_secs(60)].map(stamp);
        assert!(!stamp(Duration::ZERO).is_still(&young));
        assert!(stamp(Duration::ZERO).is_still(&old));
        // No time of a write makes up for a change that has only just been made.
        let set_back = SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(&file).and_then(|it| it.set_modified(set_back)).expect("ours");
        assert!(cfg!(not(unix)) || !stamp(Duration::ZERO).is_firm());
        fs::write(&file, "b").expect("writable");
        assert!(!stamp(Duration::ZERO).is_still(&old));
    }
}
