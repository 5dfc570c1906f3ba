//! Reading and writing consent.

use std::{
    fmt, fs, io,
    path::Path,
    sync::{
        Mutex, MutexGuard, TryLockError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use jackfield_loader::files::{self, Access, FileError};

use crate::config::paths::{Environment, ProcessEnvironment};
use crate::consent::cache::Recent;
use crate::consent::consent::{Collection, Consent, ConsentOptions, FileAnswer, Names, decide, parse};
use crate::consent::edit_file::{self, LARGEST};
use crate::error::Error;
use crate::files::Stamp;

/// The source of a tool's consent: environment and file. Threads may share it.
pub struct ConsentSource {
    options: ConsentOptions,
    names: Names,
    environment: Box<dyn Environment>,
    cache: Mutex<Option<Cached>>,
    recent: Recent,
}

/// The answer of the file, and the stamp of the file at that time.
struct Cached {
    stamp: Stamp,
    answer: FileAnswer,
}

impl fmt::Debug for ConsentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsentSource").field("options", &self.options).finish_non_exhaustive()
    }
}

impl ConsentSource {
    /// With the environment of this process.
    #[must_use]
    pub fn new(options: ConsentOptions) -> Self {
        Self::with_environment(options, ProcessEnvironment)
    }

    /// With another environment.
    #[must_use]
    pub fn with_environment(options: ConsentOptions, environment: impl Environment + 'static) -> Self {
        Self::boxed(options, Box::new(environment))
    }

    pub(crate) fn boxed(options: ConsentOptions, environment: Box<dyn Environment>) -> Self {
        let names = Names::new(options.prefix.as_deref());
        Self { options, names, environment, cache: Mutex::new(None), recent: Recent::new() }
    }

    /// The decisions of the tool's author.
    #[must_use]
    pub fn options(&self) -> &ConsentOptions {
        &self.options
    }

    /// The consent now. Each call reads the environment and the file's metadata, and the file's text when it may have changed.
    /// Never fails: a file that can't be read gives no consent.
    #[must_use]
    pub fn read(&self) -> Consent {
        self.read_at(SystemTime::now())
    }

    /// The same at a time. What the file says is kept for the next call if the file is old by then.
    pub(super) fn read_at(&self, now: SystemTime) -> Consent {
        decide(&self.options, &self.names, &*self.environment, || self.file_answer(now))
    }

    /// The greatest age of an answer of [`current`](Self::current).
    pub const MAX_AGE: Duration = Recent::MAX_AGE;

    /// An answer of [`read`](Self::read) that is at most [`MAX_AGE`](Self::MAX_AGE) old. A call costs one look at the clock.
    /// For the recording of events.
    ///
    /// The next call on any thread sees an answer that was written through this `ConsentSource`. A change of the file or the
    /// environment by others is seen when the answer expires. Until then an event may be recorded after another process
    /// has opted out. `read` decides whether it may be stored for longer, or sent.
    #[must_use]
    pub fn current(&self) -> Collection {
        self.recent.get(|| self.read().collection)
    }

    /// Writes consent into the user's file, and returns the consent that is then in force. An opt-out elsewhere still takes
    /// precedence: see [`Consent::why`].
    ///
    /// # Errors
    /// [`Error::Consent`] and [`Error::ReadConsent`] when the file can't be parsed or read, and is left as it is;
    /// [`Error::Write`].
    pub fn enable(&self) -> Result<Consent, Error> {
        self.write(true, false)
    }

    /// Writes an opt-out into the user's file, and returns the consent that is then in force. With
    /// [`ConsentOptions::force_enabled`] the opt-out is stored, and telemetry stays on.
    ///
    /// # Errors
    /// As [`enable`](Self::enable).
    pub fn disable(&self) -> Result<Consent, Error> {
        self.write(false, false)
    }

    /// The variables that are set and decide about consent, with their values, for a child process that has to come to the same
    /// answer.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let Names { do_not_track, enabled, local } = &self.names;
        let names = do_not_track.iter().chain(enabled).chain(local);
        let set = names.filter_map(|name| crate::consent::consent::variable(&*self.environment, name));
        set.map(|variable| (variable.name, variable.value.as_raw().to_owned())).collect()
    }

    pub(super) fn environment(&self) -> &dyn Environment {
        &*self.environment
    }

    /// With `first`, an existing answer stays.
    pub(super) fn write(&self, enabled: bool, first: bool) -> Result<Consent, Error> {
        let Some(file) = &self.options.file else {
            let error = io::Error::new(
                io::ErrorKind::NotFound,
                "no folder for configuration is known (is HOME set?)",
            );
            return Err(Error::Write { what: "consent", file: "telemetry.enabled".into(), error });
        };
        let written = edit_file::set(file, enabled, first);
        if let Some(mut cache) = self.cache() {
            *cache = None;
        }
        self.recent.forget();
        written.map(|()| self.read())
    }

    #[cfg(test)]
    pub(super) fn is_cached(&self) -> bool {
        self.cache().is_some_and(|cache| cache.is_some())
    }

    /// The cache, unless another thread has locked it. In a forked child that may be a thread of the parent, which never
    /// unlocks it there. Nothing waits for the cache: without it the file is read.
    fn cache(&self) -> Option<MutexGuard<'_, Option<Cached>>> {
        match self.cache.try_lock() {
            Ok(cache) => Some(cache),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// `now` is taken before the text is read, so that a change in between is found at the next read.
    fn file_answer(&self, now: SystemTime) -> FileAnswer {
        let Some(file) = self.options.file.as_deref() else { return FileAnswer::Silent };
        let bad = |error: &io::Error| FileAnswer::Bad { file: file.to_owned(), reason: error.to_string() };
        let metadata = match fs::metadata(file) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(file, &error) => return FileAnswer::Silent,
            Err(error) => return bad(&error),
        };
        let stamp = Stamp::at(now, &metadata);
        let mut cache = self.cache();
        if let Some(Some(cached)) = cache.as_deref()
            && cached.stamp == stamp
        {
            return cached.answer.clone();
        }
        if let Some(cache) = cache.as_deref_mut() {
            *cache = None;
        }
        let read = || {
            let open = files::open(file, Access::ReadLinked)?;
            let stamp = Stamp::at(now, &open.metadata()?);
            Ok::<_, FileError>((files::read_open(&open, LARGEST)?, stamp, open))
        };
        let (text, stamp, open) = match read() {
            Ok(read) => read,
            Err(error) => return bad(&error.into()),
        };
        let mut answer = parse(text.strip_prefix('\u{feff}').unwrap_or(&text), file);
        if let FileAnswer::Says { enabled: true, .. } = &answer
            && let Err(refusal) = files::judge_with_folders(&open, file)
        {
            answer = FileAnswer::Bad { file: file.to_owned(), reason: refusal.to_string() };
        }
        // A second write within one step of the clock leaves the same stamp, so a young file is read each time.
        if let Some(cache) = cache.as_deref_mut()
            && stamp.is_firm()
        {
            *cache = Some(Cached { stamp, answer: answer.clone() });
        }
        answer
    }
}

/// Whether the file is missing. A dangling link is no missing file: its target may come back.
fn is_absent(file: &Path, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(file).is_err()
}

/// The number of calls that a closed gate refuses before it reads consent again.
const TURNED_AWAY: u32 = 1024;

/// Decides whether a call records. A closed gate costs a few nanoseconds, because it does not read consent each time: after
/// an opt-in it opens within [`TURNED_AWAY`] events. An open gate follows [`ConsentSource::current`].
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The number of calls that are still refused without reading consent.
    shut_for: AtomicU32,
}

impl Gate {
    pub(crate) fn is_open(&self, consent: &ConsentSource) -> bool {
        let left = self.shut_for.load(Ordering::Relaxed);
        if left > 0 {
            // Another thread's decrement may be lost, which only delays the next read.
            self.shut_for.store(left - 1, Ordering::Relaxed);
            return false;
        }
        let open = consent.current() != Collection::Off;
        if !open {
            self.shut_for.store(TURNED_AWAY, Ordering::Relaxed);
        }
        open
    }

    /// Makes the next call read consent.
    pub(crate) fn look_again(&self) {
        self.shut_for.store(0, Ordering::Relaxed);
    }
}
