//! The trait by which a plugin describes its platform.

use jackfield_plugin_api::{Batch, Error, Outcome};
use serde::de::DeserializeOwned;

use crate::{
    client::Answer,
    connection::Connection,
    entries::{Entries, Entry, Limits},
    request::Request,
};

/// The differences between platforms. [`HttpBackend`](crate::HttpBackend) makes a backend of them.
///
/// The defaults describe a platform that takes a JSON array and whose status alone decides.
pub trait Platform: Send + Sync + Sized + 'static {
    /// The options.
    type Config: DeserializeOwned;

    /// What the entries of a batch share, in addition to the platform; `()` for most platforms.
    type Shared;

    /// `NAME/VERSION`: `concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"))` in the plugin.
    const USER_AGENT: &'static str;

    /// A hint for the error of an answer that is not HTTP, such as which port is the right one.
    const NOT_HTTP: &'static str = "";

    /// Whether [`accepted`](Self::accepted) reads the body of an answer. If not, events count as delivered as soon as
    /// the head of the answer says so, even when the body does not arrive.
    const READS_BODY: bool = false;

    /// The platform, the request for events and how it is sent, from the options.
    ///
    /// # Errors
    /// [`Error::config`] for an option that makes no sense.
    fn open(config: Self::Config) -> Result<(Self, Request, Connection), Error>;

    /// Encodes the events of a batch.
    fn encode(&self, batch: &Batch<'_>) -> Entries<Self::Shared>;

    /// The limits of one request.
    fn limits(&self) -> Limits;

    /// Whether an answer of 400, 409 or 422 to a probe only means that the body has no events. The platform has then read
    /// the request; it would have refused unknown credentials by another status.
    fn refuses_empty(&self) -> bool {
        false
    }

    /// Bytes that a body of this many entries has in addition to them, at most.
    fn overhead(&self, shared: &Self::Shared, entries: usize) -> usize {
        let _ = shared;
        2 + entries.saturating_sub(1)
    }

    /// Appends the body that carries `part` to `body`, which is empty.
    fn frame(&self, shared: &Self::Shared, part: &[Entry<'_>], body: &mut Vec<u8>) {
        let _ = shared;
        json_array(part, body);
    }

    /// The outcome of a request after a status of success. What its reason quotes of the answer has to come from
    /// [`Request::clean`], because the server may repeat credentials.
    ///
    /// Called with an incomplete body, too, when no more came before the deadline. The status is one of success by
    /// then, so a platform without deduplication should report delivered.
    fn accepted(&self, answer: &Answer<'_>) -> Outcome {
        let _ = answer;
        Outcome::Delivered
    }

    /// How the platform is asked to delete the data of a machine.
    fn deletion(&self, machine_id: &str) -> DeletionBy<'_>;
}

/// How a platform is asked to delete the data of a machine.
#[derive(Debug)]
pub enum DeletionBy<'p> {
    /// By a request with this body.
    Request(&'p Request, Vec<u8>),
    /// By an event, because the platform has no API for it. The text says who has to act on the event, and completes
    /// the sentence "it is a request: ...".
    Event(&'static str),
    /// In no way; the text says why.
    Nothing(&'static str),
}

/// Appends `[a,b,c]` to `body`: the entries, each of which is JSON, as an array.
pub fn json_array(part: &[Entry<'_>], body: &mut Vec<u8>) {
    body.push(b'[');
    for (at, entry) in part.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(entry.bytes);
    }
    body.push(b']');
}
