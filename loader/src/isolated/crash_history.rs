//! The crash history of a plugin file, so that the next run of a tool does not begin with a crash. The host
//! chooses the folder, which has a record for each SHA-256 of a plugin's bytes.
//!
//! A record is a hint: an unreadable one counts as none, and the user may remove it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use super::crash::{Crash, MOST_CRASHES, MOST_FILES, read};
use crate::boundary::process::lock;
use crate::boundary::text;
use crate::files::open::create_folder;
use crate::files::write::{Mode, Survives, replace};
use crate::guard::circuit_breaker::Backoff;
use crate::library::content::Digest;

/// The remaining time in which the plugin is not started; [`Duration::MAX`] until its file changes.
fn left_alone(crash: &Crash, backoff: Backoff, now: SystemTime) -> Option<Duration> {
    if crash.count >= MOST_CRASHES {
        return Some(Duration::MAX);
    }
    let pause = backoff.pause(crash.count.saturating_sub(1));
    let last = UNIX_EPOCH.checked_add(Duration::from_secs(crash.time))?;
    // A clock that was set back must not make the pause longer.
    let since = now.duration_since(last).ok()?;
    pause.checked_sub(since).filter(|left| !left.is_zero())
}

/// The crashes of one plugin's bytes, in this process and, with a folder, in others.
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

    /// Why the plugin is not to be started now, if so, and what to do, in one line.
    pub(super) fn refusal(&self, digest: impl FnOnce() -> Digest, now: SystemTime) -> Option<String> {
        // An empty folder makes the digest unnecessary.
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

    /// Notes a crash; `true` if the plugin is not to be tried again.
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

    /// Notes a call that succeeded.
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

    use super::{super::crash::crashes, *};

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
    fn a_crashed_file_is_left_alone_permanently_after_the_limit() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("crashes");
        // Within the pause, and after the crashes: a test may take a while.
        let now = SystemTime::now() + Duration::from_secs(50);
        assert_eq!(history(&folder).refusal(x, now), None);
        for count in 1..MOST_CRASHES {
            // Each crash is in its own run, after the pause of the last crash.
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
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let file = folder.join(format!("{}.json", crash.digest));
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_success_resets_the_count_and_garbage_is_ignored() {
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
        #[cfg(unix)]
        {
            // An open that waits for a writer would never return.
            let made = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
            assert!(made.success());
            assert_eq!(history(folder).refusal(x, now), None);
            assert!(crashes(folder).is_empty());
            fs::remove_file(&file).unwrap();
        }
        fs::create_dir(&file).unwrap();
        assert_eq!(history(folder).refusal(x, now), None);
        assert!(!history(folder).crashed(x, "ended by SIGSEGV"), "a crash that can't be remembered is one");
    }
}
