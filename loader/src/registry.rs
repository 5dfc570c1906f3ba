//! The libraries that this process has loaded. They are never unmapped: a library's thread-local destructors and late
//! callbacks crash when its code is gone (rust-lang/rust#91979). So the same bytes are loaded once, and there is a limit.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use crate::{
    CheckError, LoadError,
    check::{self, Checked},
    inspect::Inspection,
    load::{self, Library},
    os::Content,
};

/// How many different libraries a process may load unless [`limit_loaded_images`] says otherwise. Each keeps its memory
/// and, on Linux, one file descriptor.
pub const DEFAULT_IMAGE_LIMIT: usize = 256;

static LIMIT: AtomicUsize = AtomicUsize::new(DEFAULT_IMAGE_LIMIT);
static IMAGES: Mutex<Vec<&'static Loaded>> = Mutex::new(Vec::new());

/// A library that stays loaded until the process ends, and the bytes that it was loaded from.
pub(crate) struct Loaded {
    content: Arc<Content>,
    library: Library,
    checked: OnceLock<Result<Checked, CheckError>>,
}

/// How many different libraries this crate has loaded in this process. None is ever unloaded.
#[must_use]
pub fn loaded_images() -> usize {
    images().len()
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

fn images() -> MutexGuard<'static, Vec<&'static Loaded>> {
    // Nothing is left half-done: the list changes by one push.
    IMAGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The library with these bytes, loaded now if it is not yet. One at a time: the dynamic linker has such a lock too.
pub(crate) fn load(content: &Arc<Content>, needed: &[String]) -> Result<&'static Loaded, LoadError> {
    let mut images = images();
    // Slices of unequal length are told apart by their length alone.
    if let Some(loaded) = images.iter().find(|loaded| loaded.content.bytes() == content.bytes()) {
        return Ok(loaded);
    }
    let limit = image_limit();
    if images.len() >= limit {
        return Err(LoadError::TooManyImages { limit });
    }
    let library = load::open(content, needed)?;
    let content = Arc::clone(content);
    let loaded: &'static Loaded = Box::leak(Box::new(Loaded { content, library, checked: OnceLock::new() }));
    images.push(loaded);
    Ok(loaded)
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
