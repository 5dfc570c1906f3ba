//! What fails, and why an event is dropped.

pub(crate) mod drop_reason;
pub(crate) mod error;
