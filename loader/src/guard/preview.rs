//! The messages that a plugin would send.

use std::fmt;

use jackfield_plugin_api::Outcome;

use super::report::{Failure, Reported};

/// Largest preview in bytes, with labels and [`MESSAGE_BYTES`]: a plugin can't fill the host's memory.
pub(super) const LIMIT: usize = 64 << 20;

/// The size of a message beside label and body, in bytes.
const MESSAGE_BYTES: usize = 64;

/// The effect of a `send` of a batch at this time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preview {
    /// The requests or messages, in order.
    pub messages: Vec<Message>,
    /// The events that the plugin would not send.
    pub unsent: Vec<Unsent>,
}

/// One request or message. Its `Debug` leaves out the bytes, which may hold a platform's key.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Destination and form in one line for people, such as `POST https://host/path (application/json)`.
    pub label: String,
    /// The body: exactly the bytes that would be sent or, where the label says so, before their compression.
    pub bytes: Vec<u8>,
}

/// An event that the plugin would not send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsent {
    /// The index in the batch.
    pub event: usize,
    /// The outcome that `send` would report.
    pub outcome: Outcome,
}

/// Why there is no preview.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PreviewError {
    /// The plugin has no table of diagnostics.
    #[error("this plugin has no way to show what it would send")]
    Unsupported,
    /// The preview is too large.
    #[error("what it would send is more than {limit} bytes; preview fewer events")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The call failed.
    #[error("{0}")]
    Failed(Failure),
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("label", &self.label)
            .field("bytes", &format_args!("({} bytes)", self.bytes.len()))
            .finish()
    }
}

/// The messages of a call so far.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    messages: Vec<Message>,
    size: usize,
    overflowed: bool,
}

impl Collected {
    /// Adds a message with a body of `len` bytes. Reads the body only if the message is within the limit.
    pub(crate) fn push<'a>(&mut self, label: String, len: usize, bytes: impl FnOnce() -> &'a [u8]) {
        let size = [label.len(), len, MESSAGE_BYTES].into_iter().fold(self.size, usize::saturating_add);
        self.overflowed |= size > LIMIT;
        if !self.overflowed {
            self.size = size;
            self.messages.push(Message { label, bytes: bytes().to_vec() });
        }
    }

    /// The preview of a successful call.
    pub(crate) fn preview(self, reported: Reported, events: usize) -> Result<Preview, PreviewError> {
        if self.overflowed {
            return Err(PreviewError::TooLarge { limit: LIMIT });
        }
        let reported = match reported {
            Reported::Nothing => Vec::new(),
            Reported::All(outcome) => vec![Some(outcome); events],
            Reported::Each(each) => each,
        };
        let unsent = reported.into_iter().enumerate().filter_map(|(event, outcome)| {
            outcome.filter(|outcome| *outcome != Outcome::Delivered).map(|outcome| Unsent { event, outcome })
        });
        Ok(Preview { unsent: unsent.collect(), messages: self.messages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reported_failures_are_the_unsent_events() {
        let unsent = |reported| Collected::default().preview(reported, 2).expect("small").unsent;
        let no = || Outcome::rejected("no");
        assert_eq!(
            unsent(Reported::Each(vec![Some(Outcome::Delivered), Some(no())])),
            [Unsent { event: 1, outcome: no() }]
        );
        assert_eq!(unsent(Reported::All(no())).len(), 2);
    }
}
