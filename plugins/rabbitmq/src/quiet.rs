//! Keeps lapin's records out of the host's log.
//!
//! At the level `trace` they hold every frame, the login with its password among them, and at `warn` the whole of each
//! message that comes back. What users need to know, this plugin says in its outcomes.

use tracing::subscriber::{NoSubscriber, set_default, with_default};

/// Silences this thread for good.
pub(crate) fn this_thread() {
    std::mem::forget(set_default(NoSubscriber::default()));
}

/// Silences this thread while `work` runs.
pub(crate) fn while_running<T>(work: impl FnOnce() -> T) -> T {
    with_default(NoSubscriber::default(), work)
}
