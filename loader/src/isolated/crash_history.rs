//! The crash history of plugin files, so that the next run of a tool does not begin with a crash: a small file in a folder
//! of the host's choice for each SHA-256 of a plugin's bytes.
//!
//! Such a file is a hint: garbage counts as nothing, and a user who may write the folder may as well remove the file.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::crash::{Crash, MOST_CRASHES};
use crate::{
    boundary::{
        backoff::Backoff,
        process::lock,
        text::{self, ForeignText},
    },
    files::{
        self,
        open::{Access, create_folder},
        write::{Mode, Survives, replace},
    },
    library::content::Digest,
};

/// Most that is read of a file, in bytes.
const LIMIT: u64 = 4096;

/// How many files a folder may hold: past that, nothing more is remembered.
const MOST_FILES: usize = 1000;

/// How long the plugin is not to be started; [`Duration::MAX`] is until its file changes.
fn left_alone(crash: &Crash, backoff: Backoff, now: SystemTime) -> Option<Duration> {
    if crash.count >= MOST_CRASHES {
        return Some(Duration::MAX);
    }
    let pause = backoff.pause(crash.count.saturating_sub(1));
    let last = UNIX_EPOCH.checked_add(Duration::from_secs(crash.time))?;
    // A clock that was set back must not lengthen it.
    let since = now.duration_since(last).ok()?;
    pause.checked_sub(since).filter(|left| !left.is_zero())
}

/// The records in `folder`, in the order of the digests. A folder that does not exist has none.
#[must_use]
pub fn crashes(folder: &Path) -> Vec<Crash> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut all: Vec<_> = entries
        .take(MOST_FILES)
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let digest = path.file_stem()?.to_str()?.to_owned();
            (path.extension()? == "json" && digest.len() == 64).then(|| read(&path, digest)).flatten()
        })
        .collect();
    all.sort_by(|one, other| one.digest.cmp(&other.digest));
    all
}

fn read(path: &Path, digest: String) -> Option<Crash> {
    let crash: Crash = serde_json::from_str(&files::open::read(path, Access::Read, LIMIT).ok()?).ok()?;
    let how = ForeignText::cut(crash.how.as_raw(), 200);
    Some(Crash { digest, how, ..crash })
}

/// The crashes of one plugin's bytes: those of this process and, with a folder, those of others.
pub(super) struct CrashHistory {
    folder: Option<PathBuf>,
    plugin: PathBuf,
    backoff: Backoff,
    /// Crashes in a row.
    count: Mutex<u32>,
}

impl CrashHistory {
    pub(super) fn new(folder: Option<PathBuf>, plugin: &Path, backoff: Backoff) -> Self {
        Self { folder, plugin: plugin.to_owned(), backoff, count: Mutex::new(0) }
    }

    fn file(&self, digest: impl FnOnce() -> Digest) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!("{}.json", digest())))
    }

    /// Why the plugin is not to be started now, if so: one line that says what to do.
    pub(super) fn refusal(&self, digest: impl FnOnce() -> Digest, now: SystemTime) -> Option<String> {
        // A folder in which there is nothing needs no digest.
        fs::read_dir(self.folder.as_ref()?).ok()?.next()?.ok()?;
        let file = self.file(digest)?;
        let crash = read(&file, String::new())?;
        *lock(&self.count) = crash.count;
        let left = left_alone(&crash, self.backoff, now)?;
        let how = &crash.how;
        let at = clock(crash.time);
        Some(if left == Duration::MAX {
            format!(
                "this file crashed {} times in a row ({how}), the last time {at}: it is left alone until it changes (remove {} to try it again)",
                crash.count,
                text::show(&file)
            )
        } else {
            format!(
                "this file crashed ({how}; {} in a row), the last time {at}: it is left alone for another {:.1} s",
                crash.count,
                left.as_secs_f64()
            )
        })
    }

    /// Takes note of a crash; `true` when the plugin is not to be tried again.
    pub(super) fn crashed(&self, digest: impl FnOnce() -> Digest, how: &str) -> bool {
        let mut count = lock(&self.count);
        *count = count.saturating_add(1);
        if let Some(file) = self.file(digest) {
            let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let crash = Crash {
                count: *count,
                how: how.into(),
                time,
                plugin: self.plugin.clone(),
                digest: String::new(),
            };
            if let Err(error) = write(&file, &crash) {
                tracing::debug!(%error, "a crash of {} can't be remembered", text::show(&self.plugin));
            }
        }
        *count >= MOST_CRASHES
    }

    /// A call went well.
    pub(super) fn succeeded(&self, digest: impl FnOnce() -> Digest) {
        let mut count = lock(&self.count);
        if *count > 0 {
            *count = 0;
            if let Some(file) = self.file(digest) {
                let _ = fs::remove_file(file);
            }
        }
    }
}

fn write(file: &Path, crash: &Crash) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    if !file.exists() && fs::read_dir(folder)?.take(MOST_FILES).count() == MOST_FILES {
        return Err(io::Error::other("there are too many already"));
    }
    replace(file, &serde_json::to_vec(crash)?, Mode::Private, Survives::Crash)
}

/// A moment for people, in UTC.
fn clock(time: u64) -> String {
    let (days, second) = (time / 86_400, time % 86_400);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    match (now / 86_400).checked_sub(days) {
        Some(0) => format!("at {hour:02}:{minute:02} UTC"),
        Some(1) => "yesterday".to_owned(),
        Some(ago) => format!("{ago} days ago"),
        None => "in the future, says the clock".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_secs(100), longest: Duration::from_secs(300) };

    fn x() -> Digest {
        Digest::of(b"x")
    }

    fn y() -> Digest {
        Digest::of(b"y")
    }

    fn history(folder: &Path) -> CrashHistory {
        CrashHistory::new(Some(folder.to_owned()), Path::new("/p/libx.so"), BACKOFF)
    }

    #[test]
    fn the_next_run_leaves_a_file_alone_that_has_just_crashed_and_for_good_after_the_limit() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("crashes");
        let now = SystemTime::now();
        assert_eq!(history(&folder).refusal(x, now), None);
        for count in 1..MOST_CRASHES {
            // Each in a run of its own, once the file's time is over.
            let run = history(&folder);
            assert_eq!(run.refusal(x, now + Duration::from_secs(1000)), None, "{count}");
            assert!(!run.crashed(x, "ended by SIGSEGV"));
            let refusal = history(&folder).refusal(x, now).unwrap();
            assert!(refusal.contains(&format!("ended by SIGSEGV; {count} in a row")), "{refusal}");
        }
        let run = history(&folder);
        assert_eq!(run.refusal(x, now + Duration::from_secs(1000)), None);
        assert!(run.crashed(x, "ended by SIGABRT"));
        let refusal = history(&folder).refusal(x, now + Duration::from_secs(1_000_000)).unwrap();
        assert!(refusal.contains("5 times in a row (ended by SIGABRT)"), "{refusal}");
        assert!(refusal.contains("until it changes"), "{refusal}");
        assert_eq!(history(&folder).refusal(y, now), None, "a file with other bytes");
        let [crash] = &crashes(&folder)[..] else { panic!("one file") };
        assert_eq!((crash.count, crash.how.as_raw()), (5, "ended by SIGABRT"));
        let file = folder.join(format!("{}.json", crash.digest));
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_success_is_forgiveness_and_garbage_counts_as_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, now) = (parent.path(), SystemTime::now());
        let run = history(folder);
        run.crashed(x, "ended by SIGSEGV");
        run.succeeded(x);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
        assert!((1..MOST_CRASHES).all(|_| !run.crashed(x, "ended by SIGSEGV")), "it counts from the start");

        let file = run.file(x).unwrap();
        for garbage in [&b""[..], b"{}", b"\xff\xff", b"{\"count\":-1}", &[b'['; 100_000]] {
            fs::write(&file, garbage).unwrap();
            assert_eq!(history(folder).refusal(x, now), None);
            assert!(crashes(folder).is_empty());
        }
        fs::remove_file(&file).unwrap();
        // No process writes to it: an open that waits for a writer never returns.
        let made = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
        assert!(made.success());
        assert_eq!(history(folder).refusal(x, now), None);
        assert!(crashes(folder).is_empty());
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(history(folder).refusal(x, now), None);
        assert!(!history(folder).crashed(x, "ended by SIGSEGV"), "a crash that can't be remembered is one");
    }
}
