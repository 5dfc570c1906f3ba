//! Keeps lapin's records out of the host's log.
//!
//! At the level `trace` the records contain every frame, including the login with its password, and at `warn` the whole
//! of each returned message. The outcomes of this plugin have what users need to know.

use tracing::subscriber::{NoSubscriber, set_default, with_default};

/// Drops all records of this thread from now on.
pub(crate) fn this_thread() {
    std::mem::forget(set_default(NoSubscriber::default()));
}

/// Drops all records of this thread while `work` runs.
pub(crate) fn while_running<T>(work: impl FnOnce() -> T) -> T {
    with_default(NoSubscriber::default(), work)
}
