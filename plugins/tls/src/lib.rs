//! TLS for Jackfield's backends: which certificates are trusted, which one is shown to the server, and what a failure means
//! in words. The same options and the same messages for every backend.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test makes the files that it needs"))]

mod certificates;
mod failure;

pub use rustls;

pub use crate::{certificates::TlsConfig, failure::describe};
