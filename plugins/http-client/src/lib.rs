//! What Jackfield's HTTP backends share: client, division of batches, outcomes, deletion, diagnostics.
//!
//! A plugin implements [`Platform`] (options, encoding, limits, and what an answer of success says) and exports the
//! [`HttpBackend`] of it:
//!
//! ```
//! use jackfield_http_client::{
//!     Connection, DeletionBy, Endpoint, Entries, HttpBackend, Limits, Platform, Request,
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
//!
//!     fn open(config: Config) -> Result<(Self, Request, Connection), Error> {
//!         let endpoint = Endpoint::from_option("url", &config.url)?;
//!         Ok((Self, Request::post(endpoint).gzip(true), Connection::default()))
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
//! | 2xx | delivered with the head of the answer, whatever becomes of its body; a platform that [reads the body](Platform::READS_BODY) decides |
//! | 2xx with a body that is [not of the platform](Answer::is_not_of) | refused, as below |
//! | 400, 409, 413, 422: the content of the request is wrong or too large | halves are sent, down to single events, which are rejected with the status and the beginning of the body as the reason. When the time of the call does not suffice, the rest is [too large](jackfield_plugin_api::Outcome::TooLarge) for it, and the host sends halves by further calls |
//! | 400 to a request without TLS, whose body says that the port is one for TLS | refused, as below |
//! | 415 to a compressed body | sent once more without compression; if that is taken, no further body is compressed |
//! | 408, 425, 429, 5xx, a status of 600 or more | retry, not before `Retry-After` (at most a day) |
//! | any other status, such as 401, 403, 404, 405, 407, 410, 415 and 3xx: the platform refuses every event of this backend | [refused](jackfield_plugin_api::Outcome::refused): a retry after half a minute at least, or after `Retry-After` if that is longer |
//! | 301, 302, 307 or 308 within the same scheme, host and port, or from port 80 to encrypted port 443 of the same host | followed, up to three times, with method, headers and body |
//! | such a redirect to anywhere else, or a fourth one | refused |
//! | connection refused, host name unknown, TLS refused, connection closed before the head of the answer | retry |
//! | no head of an answer before the deadline, or the host has stopped waiting | retry |
//!
//! After a retry the rest of the batch gets the same outcome, unsent. A wrong key or a wrong address rejects no event,
//! unless the server answers by a status about the content: a server that answers 400 to everything rejects every event.
//!
//! The deadline is that of the call minus a twentieth (5 ms to 250 ms). Connecting, sending and reading end by then. At
//! most 1 MiB of the body of an answer is read.
//!
//! Credentials are [`Secret`]s. No error, log line, `Debug` form or reason shows them, even where the server repeats
//! them: [`Request::clean`] takes them from every text of a server. A header or a parameter of the query is a credential
//! if its name says so; other headers and parameters may be credentials.
#![forbid(unsafe_code)]

mod backend;
mod client;
mod connection;
mod deadline;
mod delivery;
mod endpoint;
mod entries;
mod failure;
mod members;
mod no_proxy;
mod platform;
mod proxy;
mod request;
mod status;

pub use crate::{
    backend::{Http, HttpBackend},
    client::{Answer, json_object},
    connection::Connection,
    endpoint::Endpoint,
    entries::{Entries, Entry, Limits},
    members::{MetadataValue, OtherMembers, typed_metadata, write_common, write_texts},
    platform::{DeletionBy, Platform, json_array},
    request::Request,
};
pub use jackfield_secret::{Secret, percent_decoded};
pub use jackfield_tls::TlsConfig;
