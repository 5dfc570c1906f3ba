//! When events leave the spool.

pub(crate) mod flush_report;
pub(crate) mod scheduler;
pub(crate) mod unclosed;
#[cfg(feature = "watch")]
pub(crate) mod watch;
