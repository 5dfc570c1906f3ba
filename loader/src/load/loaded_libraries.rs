//! The libraries that this process has loaded. They are never unloaded, because their thread-local
//! destructors and late callbacks would crash (rust-lang/rust#91979). So equal bytes are loaded once.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jackfield_plugin_api::abi::Descriptor;

use super::check::{self, CheckError, Checked};
use super::dlopen::{self, LoadError, Opened};
use crate::boundary::process::{deadline, lock, process_id, thread};
use crate::boundary::text::ForeignText;
use crate::inspect::inspection::Inspection;
use crate::library::content::Content;

/// The default limit of different libraries in a process. Each keeps memory and a file descriptor.
pub const DEFAULT_IMAGE_LIMIT: usize = 256;

/// The default limit for the static constructors of a library.
pub(crate) const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

static LIMIT: AtomicUsize = AtomicUsize::new(DEFAULT_IMAGE_LIMIT);
static IMAGES: Mutex<Vec<&'static Loaded>> = Mutex::new(Vec::new());

/// A library that stays loaded, and the bytes that it was loaded from; or a plugin that is built in, and its metadata.
pub(crate) struct Loaded {
    pub(crate) content: Arc<Content>,
    library: Opened,
    checked: OnceLock<Result<Checked, CheckError>>,
}

/// The number of different libraries that this process has loaded.
#[must_use]
pub fn loaded_images() -> usize {
    lock(&IMAGES).len()
}

/// The bytes of these libraries' files, which stay in memory.
#[must_use]
pub fn loaded_bytes() -> usize {
    lock(&IMAGES).iter().map(|loaded| loaded.content.bytes().len()).sum()
}

/// Sets how many different libraries this process may load. Loaded libraries stay.
pub fn limit_loaded_images(limit: usize) {
    LIMIT.store(limit, Ordering::Relaxed);
}

/// The limit of different libraries in this process.
#[must_use]
pub fn image_limit() -> usize {
    LIMIT.load(Ordering::Relaxed)
}

fn known(content: &Content) -> Option<&'static Loaded> {
    find(&lock(&IMAGES), content)
}

fn find(all: &[&'static Loaded], content: &Content) -> Option<&'static Loaded> {
    // The comparison of unequal lengths is cheap.
    all.iter().find(|loaded| loaded.content.bytes() == content.bytes()).copied()
}

/// The plugins of this program that were used. They are no libraries, so they are not counted.
static BUILT_IN: Mutex<Vec<&'static Loaded>> = Mutex::new(Vec::new());

/// The plugin of this program with this metadata and descriptor.
pub(crate) fn built_in(content: &Arc<Content>, descriptor: *const Descriptor) -> &'static Loaded {
    let mut all = lock(&BUILT_IN);
    find(&all, content).unwrap_or_else(|| {
        let loaded = Loaded::leak(content, Opened::built_in(descriptor));
        all.push(loaded);
        loaded
    })
}

/// Loads the library with these bytes, unless it is loaded. Waits for its static constructors, and for those
/// of a library that is being loaded, at most for `limit`.
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
    // The first use of a channel by a thread takes the lock that a constructor may hold.
    let answer = Arc::new((Mutex::new(None), Condvar::new()));
    let (told, content, needed) = (Arc::clone(&answer), Arc::clone(content), needed.to_vec());
    // Not on the caller's thread, because constructors can hang.
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

/// As [`load`] on the caller's thread without a limit, for a process that loads nothing else.
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
    let loaded = Loaded::leak(content, dlopen::open(content, needed)?);
    lock(&IMAGES).push(loaded);
    Ok(loaded)
}

/// The right to load a library, as the dynamic loader has it. With this one, an error can name the holder.
struct LoadLock {
    process: u32,
}

#[derive(Clone)]
struct Holder {
    by: PathBuf,
    since: Instant,
    /// The time from which it counts as hanging.
    until: Instant,
    process: u32,
}

static HOLDER: Mutex<Option<Holder>> = Mutex::new(None);
static FREE: Condvar = Condvar::new();

/// The library whose static constructors exceed their limit, and how long they have been running.
///
/// # Platform
/// Until they return, a new thread of Rust waits in glibc for the dynamic loader's lock. So code with a
/// deadline must not start a thread or use a channel for the first time.
#[must_use]
pub fn hanging_load() -> Option<(PathBuf, Duration)> {
    let holder = lock(&HOLDER).clone();
    let holder = holder.filter(|holder| holder.process == process_id() && holder.until <= Instant::now())?;
    Some((holder.by, holder.since.elapsed()))
}

impl LoadLock {
    /// Waits for the lock, at most for `limit` and until its holder counts as hanging.
    fn take(path: &Path, limit: Duration) -> Result<Self, LoadError> {
        let until = deadline(limit);
        let process = process_id();
        let mut holder = lock(&HOLDER);
        // A holder in the parent process does not load in the forked child.
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
    fn leak(content: &Arc<Content>, library: Opened) -> &'static Self {
        Box::leak(Box::new(Self { content: Arc::clone(content), library, checked: OnceLock::new() }))
    }

    /// Checks the descriptor once: the same bytes have the same metadata.
    pub(crate) fn check(&'static self, inspection: &Inspection) -> Result<&'static Checked, CheckError> {
        self.checked.get_or_init(|| check::check(&self.library, inspection)).as_ref().map_err(Clone::clone)
    }
}
