//! TLS for Jackfield's backends: trusted certificates, the certificate that is shown to the server, and the explanation
//! of failures. Every backend has the same options and the same messages.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test makes the files that it needs"))]

mod certificates;
mod failure;

pub use rustls;

pub use crate::{certificates::TlsConfig, failure::describe};
