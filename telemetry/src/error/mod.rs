//! What fails, and why an event is dropped.

pub(crate) mod error;
