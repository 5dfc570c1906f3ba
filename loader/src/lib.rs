//! The host's side of Jackfield: from a name in a configuration to a guarded backend.
//!
//! A plugin passes through stages, each a module with its own error: `find` → `inspect` → `verify` → `load` → `check`,
//! and every call of it through the `guard`.
#![allow(unsafe_code, reason = "the boundary to foreign code: every crate above is spared it")]

mod backend;
mod batch;
mod error;
mod guard;
mod host;
mod log;
mod plugin;

pub use jackfield_plugin_api as plugin_api;

pub use crate::{
    backend::{Backend, BackendOptions, CloseError, OpenError},
    batch::{Batch, BatchWriter, EventFields},
    error::Error,
    guard::{Backoff, CloseFailure, Failure, Latency, OpenFailure, Report, Stats},
    plugin::Plugin,
};
