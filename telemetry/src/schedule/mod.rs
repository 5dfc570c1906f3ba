//! When events leave the spool.

pub(crate) mod flush_report;
pub(crate) mod scheduler;
#[cfg(feature = "watch")]
pub(crate) mod watch;
