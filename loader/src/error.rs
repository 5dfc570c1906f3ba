//! Placeholder until the loading stages land.
use crate::backend::{CloseError, OpenError};
/// Placeholder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plugin loaded, and its backend does not open.
    #[error("open: {0}")]
    Open(#[source] OpenError),
    /// The backend is closed, but something may not have been flushed or freed.
    #[error("close: {0}")]
    Close(#[source] CloseError),
}
