//! The HTTP client that Jackfield's HTTP backends share. It reports outcomes and does not decide about retries.
//!
//! A plugin implements [`Platform`] (limits, envelope, and what each status means), makes a [`Client`] and a [`Request`] when
//! it opens, and calls [`Client::deliver`] from `send`:
//!
//! ```
//! use jackfield_http_client::{Client, ClientOptions, Endpoint, Entry, Limits, Platform, Request, StatusTable, TlsConfig, Verdict};
//! use jackfield_plugin_api::{Batch, Call, Error, Outcomes};
//!
//! struct Generic;
//!
//! impl Platform for Generic {
//!     fn statuses(&self) -> &StatusTable {
//!         const TABLE: StatusTable = StatusTable::new(
//!             &[(200, 299, Verdict::Accepted), (413, 413, Verdict::Split), (400, 499, Verdict::Rejected)],
//!             Verdict::Retry,
//!         );
//!         &TABLE
//!     }
//!     fn limits(&self) -> Limits {
//!         Limits { body_bytes: 5_000_000, entries: 1000, entry_bytes: 1_000_000 }
//!     }
//! }
//!
//! fn open(url: &str) -> Result<(Client, Request), Error> {
//!     let endpoint = Endpoint::from_option("url", url)?;
//!     let user_agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
//!     Ok((Client::open(&ClientOptions::new(user_agent, TlsConfig::default()))?, Request::post(endpoint).gzip(true)))
//! }
//!
//! fn send(client: &Client, request: &Request, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
//!     let entries = batch.iter().enumerate().map(|(event, e)| Entry { event, bytes: e.json().as_bytes() });
//!     client.deliver(request, &Generic, entries, call)
//! }
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
//! | a status that the platform's table accepts | delivered with the head of the answer, whatever becomes of its body; a platform that [reads the body](Platform::needs_body) decides |
//! | a status that means retry | retry, not before `Retry-After` (at most a day); the rest of the batch likewise, unsent |
//! | a status that means split | halves are sent, down to single events, which are rejected |
//! | a status that means rejected | rejected, with the status and the beginning of the body as the reason |
//!
//! The deadline is that of the call minus a twentieth (5 ms to 250 ms). Connecting, sending and reading end by then. At
//! most [`ClientOptions::response_bytes`] of the body of an answer are read.
//!
//! Credentials are [`Secret`]s. No error, log line, `Debug` form or reason shows them, even where the server repeats
//! them.
#![forbid(unsafe_code)]

mod bodies;
mod client;
mod deadline;
mod deliver;
mod diagnose;
mod endpoint;
mod entries;
mod failure;
mod members;
mod platform;
mod proxy;
mod request;
mod secret;
mod single;
mod status;

pub use crate::{
    client::{Answer, Client, ClientOptions, DEFAULT_RESPONSE_BYTES},
    endpoint::{Endpoint, MAX_URL_BYTES},
    entries::{Entry, EntryBuffer, Limits},
    members::OtherMembers,
    platform::{Platform, json_array},
    request::Request,
    secret::Secret,
    status::{LONGEST_RETRY_AFTER, StatusTable, Verdict, retry_after},
};
pub use jackfield_tls::TlsConfig;
