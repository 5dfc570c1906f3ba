//! What the main thread of a run is told by the other threads.

use std::io;

/// What the main thread is told.
pub(super) enum Message {
    /// The input has ended, or can't be read.
    Ended(io::Result<()>),
    Reload,
    /// A reload is over.
    ReloadReport,
    /// The first request to end.
    CancellationToken,
}
