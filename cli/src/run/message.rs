//! Messages to the main thread of a run.

use std::io;

/// A message to the main thread.
pub(super) enum Message {
    /// The input has ended, or can't be read.
    Ended(io::Result<()>),
    Reload,
    /// A reload is over.
    Reloaded,
    /// The first request to end.
    Stop,
}
