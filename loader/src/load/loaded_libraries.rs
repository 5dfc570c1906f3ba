//! The libraries that this process has loaded. They are never unmapped: a library's thread-local destructors and late
//! callbacks crash when its code is gone (rust-lang/rust#91979). So the same bytes are loaded once, and there is a limit.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    check::{self, CheckError, Checked},
    dlopen::{self, LoadError, Opened},
};
use crate::{
    boundary::{
        process::{deadline, lock, process_id, thread},
        text::ForeignText,
    },
    inspect::inspection::Inspection,
    library::content::Content,
};

/// How many different libraries a process may load unless [`limit_loaded_images`] says otherwise. Each keeps its memory
/// and, on Linux, one file descriptor.
pub const DEFAULT_IMAGE_LIMIT: usize = 256;

/// How long the static constructors of a library may take, unless the caller says otherwise. Most take no time at all.
pub(crate) const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

static LIMIT: AtomicUsize = AtomicUsize::new(DEFAULT_IMAGE_LIMIT);
static IMAGES: Mutex<Vec<&'static Loaded>> = Mutex::new(Vec::new());

/// A library that stays loaded until the process ends, and the bytes that it was loaded from.
pub(crate) struct Loaded {
    content: Arc<Content>,
    library: Opened,
    checked: OnceLock<Result<Checked, CheckError>>,
}

/// How many different libraries this crate has loaded in this process. None is ever unloaded.
#[must_use]
pub fn loaded_images() -> usize {
    lock(&IMAGES).len()
}

/// Sets how many different libraries this process may load. Those that are loaded stay.
pub fn limit_loaded_images(limit: usize) {
    LIMIT.store(limit, Ordering::Relaxed);
}

/// How many different libraries this process may load.
#[must_use]
pub fn image_limit() -> usize {
    LIMIT.load(Ordering::Relaxed)
}

/// The library with these bytes, if it is loaded.
fn known(content: &Content) -> Option<&'static Loaded> {
    // Slices of unequal length are told apart by their length alone.
    lock(&IMAGES).iter().find(|loaded| loaded.content.bytes() == content.bytes()).copied()
}

/// The library with these bytes, which was found at `path`, loaded now if it is not yet. Waits for its static
/// constructors, and for those of a library that was to be loaded before, at most for `limit`.
pub(crate) fn load(
    content: &Arc<Content>,
    needed: &[ForeignText],
    path: &Path,
    limit: Duration,
) -> Result<&'static Loaded, LoadError> {
    if let Some(loaded) = known(content) {
        return Ok(loaded);
    }
    let started = Instant::now();
    let load_lock = LoadLock::take(path, limit)?;
    // A channel would not do: its first use by a thread takes the lock that a constructor may hold.
    let answer = Arc::new((Mutex::new(None), Condvar::new()));
    let (told, content, needed) = (Arc::clone(&answer), Arc::clone(content), needed.to_vec());
    // Constructors can hang, so that no caller runs them.
    let run = move || {
        let loaded = load_here(&content, &needed);
        drop(load_lock);
        *lock(&told.0) = Some(loaded);
        told.1.notify_one();
    };
    let thread = thread("load").spawn(run);
    thread.map_err(|error| LoadError::NoThread { message: error.to_string().into() })?;
    let left = limit.saturating_sub(started.elapsed());
    let waited = answer.1.wait_timeout_while(lock(&answer.0), left, |told| told.is_none());
    let (mut told, _) = waited.unwrap_or_else(PoisonError::into_inner);
    told.take().unwrap_or_else(|| Err(LoadError::Hangs { after: started.elapsed() }))
}

/// The same on the caller's thread, without a limit, for a process in which nothing else is loaded.
pub(crate) fn load_here(
    content: &Arc<Content>,
    needed: &[ForeignText],
) -> Result<&'static Loaded, LoadError> {
    if let Some(loaded) = known(content) {
        return Ok(loaded);
    }
    let limit = image_limit();
    if loaded_images() >= limit {
        return Err(LoadError::TooManyImages { limit });
    }
    let library = dlopen::open(content, needed)?;
    let content = Arc::clone(content);
    let loaded: &'static Loaded = Box::leak(Box::new(Loaded { content, library, checked: OnceLock::new() }));
    lock(&IMAGES).push(loaded);
    Ok(loaded)
}

/// The right to load: one library at a time. The dynamic loader has such a lock, too, and holds it while static constructors
/// run; with this one in front of it, an error can name the library that holds the lock.
struct LoadLock {
    process: u32,
}

/// The holder of the lock.
#[derive(Clone)]
struct Holder {
    by: PathBuf,
    since: Instant,
    /// From then on it counts as hung.
    until: Instant,
    process: u32,
}

static HOLDER: Mutex<Option<Holder>> = Mutex::new(None);
static FREE: Condvar = Condvar::new();

/// The file of the library whose static constructors have not returned by their deadline, and for how long they have been
/// running; `None` where all is well.
///
/// # Platform
/// As long as they run, glibc lets no new thread of Rust's begin: each waits for the dynamic loader's lock to note what
/// is to be done at its end. So code with a deadline may not start a thread, nor use a channel for the first time.
#[must_use]
pub fn hanging_load() -> Option<(PathBuf, Duration)> {
    let holder = lock(&HOLDER).clone();
    let holder = holder.filter(|holder| holder.process == process_id() && holder.until <= Instant::now())?;
    Some((holder.by, holder.since.elapsed()))
}

impl LoadLock {
    /// Waits for the lock at most for `limit`, and no longer than its holder may take.
    fn take(path: &Path, limit: Duration) -> Result<Self, LoadError> {
        let until = deadline(limit);
        let process = process_id();
        let mut holder = lock(&HOLDER);
        // The thread of a parent does not load in its forked child.
        while let Some(other) = holder.clone().filter(|other| other.process == process) {
            let left = until.min(other.until).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LoadError::Blocked { by: other.by, since: other.since.elapsed() });
            }
            holder = FREE.wait_timeout(holder, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *holder = Some(Holder { by: path.to_owned(), since: Instant::now(), until, process });
        Ok(Self { process })
    }
}

impl Drop for LoadLock {
    fn drop(&mut self) {
        let mut holder = lock(&HOLDER);
        if holder.as_ref().is_some_and(|holder| holder.process == self.process) {
            *holder = None;
            FREE.notify_all();
        }
    }
}

impl Loaded {
    /// The bytes that it was loaded from.
    pub(crate) fn content(&'static self) -> &'static Content {
        &self.content
    }

    /// The checked descriptor. The check runs once: the same bytes have the same metadata.
    pub(crate) fn check(&'static self, inspection: &Inspection) -> Result<&'static Checked, CheckError> {
        self.checked.get_or_init(|| check::check(&self.library, inspection)).as_ref().map_err(Clone::clone)
    }
}
