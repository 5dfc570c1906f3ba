//! What Jackfield's HTTP backends share: client, division of batches, outcomes, deletion, diagnostics.
//!
//! A plugin implements [`Platform`] (options, encoding, limits, and what each status means) and exports the
//! [`HttpBackend`] of it:
//!
//! ```
//! use jackfield_http_client::{
//!     DeletionBy, Endpoint, Entries, HttpBackend, Limits, Platform, Request, StatusMeaning, StatusTable, TlsConfig,
//! };
//! use jackfield_plugin_api::{Batch, Error, export};
//!
//! #[derive(serde::Deserialize)]
//! struct Config {
//!     url: String,
//! }
//!
//! struct Generic;
//!
//! impl Platform for Generic {
//!     type Config = Config;
//!     type Shared = ();
//!     const USER_AGENT: &'static str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
//!     const STATUSES: StatusTable = StatusTable::new(
//!         &[
//!             (200, 299, StatusMeaning::Accepted),
//!             (413, 413, StatusMeaning::TooLarge),
//!             (400, 499, StatusMeaning::Rejected),
//!         ],
//!         StatusMeaning::Retry,
//!     );
//!
//!     fn open(config: Config) -> Result<(Self, Request, TlsConfig), Error> {
//!         let endpoint = Endpoint::from_option("url", &config.url)?;
//!         Ok((Self, Request::post(endpoint).gzip(true), TlsConfig::default()))
//!     }
//!
//!     fn encode(&self, batch: &Batch<'_>) -> Entries {
//!         Entries::encode(batch, |event, entry| Ok(entry.extend_from_slice(event.json().as_bytes())))
//!     }
//!
//!     fn limits(&self) -> Limits {
//!         Limits { body_bytes: 5_000_000, entries: 1000, entry_bytes: 1_000_000 }
//!     }
//!
//!     fn deletion(&self, _machine_id: &str) -> DeletionBy<'_> {
//!         DeletionBy::Nothing("the platform can't delete")
//!     }
//! }
//!
//! export! {
//!     backend: HttpBackend<Generic>,
//!     name: "generic",
//!     offers: [deletion, diagnostics],
//! }
//! # fn main() {}
//! ```
//!
//! # Outcomes
//!
//! | what happens | outcome |
//! | --- | --- |
//! | an entry is over the platform's limit | rejected, unsent |
//! | connection refused, host name unknown, TLS refused, connection closed before the head of the answer | retry |
//! | no head of an answer before the deadline, or the host has stopped waiting | retry |
//! | 301, 302, 307 or 308 within the same scheme, host and port, or from port 80 to encrypted port 443 of the same host | followed, up to three times, with method, headers and body |
//! | 301 or 308 (moved for good) to anywhere else | rejected: no retry helps until the configuration names the right host |
//! | 302 or 307 (for now) to anywhere else, such as the login page of a guest network | retry |
//! | 407, which a proxy says | retry |
//! | a status that the platform's table accepts | delivered with the head of the answer, whatever becomes of its body; a platform that [reads the body](Platform::READS_BODY) decides |
//! | a status that means retry | retry, not before `Retry-After` (at most a day); the rest of the batch likewise, unsent |
//! | a status that means split | halves are sent, down to single events, which are rejected |
//! | a status that means rejected | rejected, with the status and the beginning of the body as the reason |
//!
//! The deadline is that of the call minus a twentieth (5 ms to 250 ms). Connecting, sending and reading end by then. At
//! most 1 MiB of the body of an answer is read.
//!
//! Credentials are [`Secret`]s. No error, log line, `Debug` form or reason shows them, even where the server repeats
//! them.
#![forbid(unsafe_code)]

mod backend;
mod client;
mod deadline;
mod delivery;
mod endpoint;
mod entries;
mod failure;
mod members;
mod platform;
mod request;
mod secret;
mod status;

pub use crate::{
    backend::HttpBackend,
    client::Answer,
    endpoint::Endpoint,
    entries::{Entries, Entry, Limits},
    members::{OtherMembers, write_common, write_texts},
    platform::{DeletionBy, Platform, json_array},
    request::Request,
    secret::Secret,
    status::{StatusMeaning, StatusTable},
};
pub use jackfield_tls::TlsConfig;
