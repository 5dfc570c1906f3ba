//! The contract between a Jackfield host and its telemetry backends.
//!
//! A backend is a dynamic library that exports one static, the [descriptor](abi::Descriptor), and carries its metadata
//! as JSON in a section of its own, so that a host can decide whether to load it before any of its code runs. The contract
//! is in C: [`abi`] has the frozen types, and `include/jackfield.h` is generated from them. Rust authors do not need
//! these; they implement [`Backend`] and call [`export!`]:
//!
//! ```
//! #![forbid(unsafe_code)]
//! use jackfield_plugin_api::{Backend, Batch, Call, Error, Host, Outcome, Outcomes, export};
//!
//! #[derive(serde::Deserialize)]
//! struct Config {
//!     prefix: String,
//! }
//!
//! struct Stderr(Config);
//!
//! impl Backend for Stderr {
//!     type Config = Config;
//!
//!     fn open(config: Config, _host: Host, _call: &Call<'_>) -> Result<Self, Error> {
//!         Ok(Self(config))
//!     }
//!
//!     fn send(&self, batch: &Batch<'_>, _call: &Call<'_>) -> Outcomes {
//!         for event in batch {
//!             eprintln!("{}{}", self.0.prefix, event.json());
//!         }
//!         Outcome::Delivered.into()
//!     }
//! }
//!
//! export! {
//!     backend: Stderr,
//!     name: "stderr",
//!     description: "writes events to standard error",
//! }
//! # fn main() {}
//! ```
//!
//! Compiled as a `cdylib`, this is a complete plugin. The crate does the rest: a panic is caught and becomes a status, an
//! unknown configuration key is refused by name, and `tracing` events appear in the host's `tracing`.
#![allow(unsafe_code, reason = "the boundary itself: every plugin is spared it")]

pub mod abi;
mod backend;
mod call;
mod config;
pub mod deletion;
pub mod diagnostics;
mod event;
pub mod export;
mod host;
pub mod layout;
pub mod metadata;
#[cfg(feature = "schema")]
pub mod schema;
mod static_plugin;
#[cfg(feature = "test-host")]
pub mod test_host;

pub use crate::{
    backend::{Backend, Error},
    call::{Call, Outcome, Outcomes},
    deletion::{DeletesData, Deletion, DeletionRequest},
    diagnostics::{Diagnoses, Probe},
    event::{Batch, Event, EventFields, Events, Pairs, Strings},
    export::NoConfig,
    host::Host,
    layout::{DIGEST, SURFACE},
    static_plugin::StaticPlugin,
};

/// The files of this crate without its manifest, by their paths in its folder, for programs that write projects of plugins:
/// `include/jackfield.h` for other languages, and a copy of the crate for Rust.
#[cfg(feature = "source")]
pub const SOURCE: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/source.rs"));
