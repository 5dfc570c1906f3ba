//! Consent, read again at every boundary.

use std::{
    fmt, fs, io,
    path::Path,
    sync::{Mutex, MutexGuard, TryLockError},
    time::Duration,
};

use jackfield_loader::files::{self, Access, FileError};

use crate::config::environment::{Environment, ProcessEnvironment};
use crate::consent::cache::Recent;
use crate::consent::consent::{Collection, Consent, ConsentOptions, FileAnswer, Names, decide, parse};
use crate::consent::edit_file::{self, LARGEST};
use crate::error::error::Error;
use crate::files::stamp::Stamp;

/// Where a tool's consent is read from and written to. May be shared between threads.
pub struct ConsentSource {
    options: ConsentOptions,
    names: Names,
    environment: Box<dyn Environment>,
    cache: Mutex<Option<Cached>>,
    recent: Recent,
}

/// What the file said when it had this stamp.
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

    /// With an environment of its own.
    #[must_use]
    pub fn with_environment(options: ConsentOptions, environment: impl Environment + 'static) -> Self {
        let names = Names::new(options.prefix.as_deref());
        let environment = Box::new(environment);
        Self { options, names, environment, cache: Mutex::new(None), recent: Recent::new() }
    }

    /// What was decided by the tool's author.
    #[must_use]
    pub fn options(&self) -> &ConsentOptions {
        &self.options
    }

    /// What is so now: the environment is looked at each time, the file's metadata too, and its text when it may have
    /// changed. Never fails: what can't be read is no consent.
    #[must_use]
    pub fn read(&self) -> Consent {
        decide(&self.options, &self.names, &*self.environment, || self.file_answer())
    }

    /// How old an answer of [`current`](Self::current) may be.
    pub const MAX_AGE: Duration = Recent::MAX_AGE;

    /// What [`read`](Self::read) found at most [`MAX_AGE`](Self::MAX_AGE) ago. It costs a look at the clock, which is for
    /// where events are recorded.
    ///
    /// An answer written through this `ConsentSource` is seen by the next call on any thread. What others change, be it
    /// the file or the environment, is seen once the age is reached, to which the machine's sleep may not add. So for
    /// that long an event may be recorded after another process has opted out: whether what is recorded may be stored
    /// for longer, or sent, is for `read` to tell.
    #[must_use]
    pub fn current(&self) -> Collection {
        self.recent.get(|| self.read().collection)
    }

    /// Consents in the user's file, and answers what is so now: an opt-out elsewhere still wins, see [`Consent::why`].
    ///
    /// # Errors
    /// [`Error::Config`] and [`Error::ReadConfig`] for a file that is not touched because it can't be understood,
    /// [`Error::Write`].
    pub fn enable(&self) -> Result<Consent, Error> {
        self.write(true, false)
    }

    /// Opts out in the user's file, and answers what is so now: with [`ConsentOptions::force_enabled`] the opt-out is kept
    /// for when it ends, and telemetry stays on.
    ///
    /// # Errors
    /// As [`enable`](Self::enable).
    pub fn disable(&self) -> Result<Consent, Error> {
        self.write(false, false)
    }

    /// The variables that count and are set, with their values: for another process, whose answer has to be the same.
    #[cfg(unix)]
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let Names { do_not_track, enabled, local } = &self.names;
        let names = do_not_track.iter().chain(enabled).chain(local);
        let set = names.filter_map(|name| crate::consent::consent::variable(&*self.environment, name));
        set.map(|variable| (variable.name, variable.value)).collect()
    }

    pub(super) fn environment(&self) -> &dyn Environment {
        &*self.environment
    }

    /// With `first`, an answer that is there already stays.
    pub(super) fn write(&self, enabled: bool, first: bool) -> Result<Consent, Error> {
        let Some(file) = &self.options.file else {
            let source = io::Error::new(
                io::ErrorKind::NotFound,
                "no folder for configuration is known (is HOME set?)",
            );
            return Err(Error::Write { what: "consent", file: "telemetry.enabled".into(), source });
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

    /// The cache, unless somebody has it: in a forked child that may be a thread of its parent, which never gives it back
    /// there. It is nothing to wait for, because the stamp tells what it is worth.
    fn cache(&self) -> Option<MutexGuard<'_, Option<Cached>>> {
        match self.cache.try_lock() {
            Ok(cache) => Some(cache),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn file_answer(&self) -> FileAnswer {
        let Some(file) = self.options.file.as_deref() else { return FileAnswer::Silent };
        let bad = |error: &io::Error| FileAnswer::Bad { file: file.to_owned(), reason: error.to_string() };
        let metadata = match fs::metadata(file) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(file, &error) => return FileAnswer::Silent,
            Err(error) => return bad(&error),
        };
        let stamp = Stamp::of(&metadata);
        let mut cache = self.cache();
        if let Some(Some(cached)) = cache.as_deref()
            && cached.stamp.same_file(&stamp)
        {
            return cached.answer.clone();
        }
        if let Some(cache) = cache.as_deref_mut() {
            *cache = None;
        }
        let read = || {
            let open = files::open(file, Access::ReadLinked)?;
            // Before the text, so that a change while it is read counts as one after it.
            let stamp = Stamp::of(&open.metadata()?);
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
        // A second write within the clock's step leaves the same stamp, so a young file is read again each time.
        if let Some(cache) = cache.as_deref_mut()
            && stamp.is_firm()
        {
            *cache = Some(Cached { stamp, answer: answer.clone() });
        }
        answer
    }
}

/// Whether there is no file, rather than one that can't be reached: a dangling link may come back.
fn is_absent(file: &Path, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(file).is_err()
}
