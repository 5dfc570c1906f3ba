//! How a pass ended.

use std::time::Duration;

/// How a pass ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PassResult {
    /// Events that backends took, each counted once for each backend.
    pub(crate) delivered: u64,
    /// Events that backends refused for good.
    pub(crate) rejected: u64,
    /// Whether everything that was in the spool at the start is settled.
    pub(crate) emptied: bool,
    /// Whether somebody else delivers at this moment.
    pub(crate) busy: bool,
    /// How soon a backend that failed is to be tried again.
    pub(crate) again_in: Option<Duration>,
}
