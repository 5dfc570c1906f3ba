//! The messages that a plugin would send, as it hands them over.

use std::fmt;

use jackfield_plugin_api::Outcome;

use super::report::{Failure, Reported};

/// Most bytes of a preview, with labels and what each message takes beside them: a plugin can't fill the host's memory.
pub(super) const LIMIT: usize = 64 << 20;

/// Bytes that a message counts for beside its own.
const MESSAGE_BYTES: usize = 64;

/// What a `send` of a batch would send, at this moment.
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
    /// Where it would go and in which form, for people: one line, such as `POST https://host/path (application/json)`.
    pub label: String,
    /// Its body: exactly what would go out, or, where the label says so, as it would be before compression.
    pub bytes: Vec<u8>,
}

/// An event that the plugin would not send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsent {
    /// Its index in the batch.
    pub event: usize,
    /// The outcome that `send` would report.
    pub outcome: Outcome,
}

/// Why there is no preview.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PreviewError {
    /// The plugin has no table of diagnostics.
    Unsupported,
    /// It is larger than this many bytes.
    TooLarge {
        /// Most bytes that are taken.
        limit: usize,
    },
    /// The call failed.
    Failed(Failure),
}

impl fmt::Display for PreviewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => f.write_str("this plugin has no way to show what it would send"),
            Self::TooLarge { limit } => {
                write!(f, "what it would send is more than {limit} bytes; preview fewer events")
            }
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for PreviewError {}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("label", &self.label)
            .field("bytes", &format_args!("({} bytes)", self.bytes.len()))
            .finish()
    }
}

/// The messages of one call so far.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    messages: Vec<Message>,
    size: usize,
    overflowed: bool,
}

impl Collected {
    /// Makes room for a message with these lengths; `false` when there is none.
    pub(super) fn admit(&mut self, label: usize, bytes: usize) -> bool {
        let size = [label, bytes, MESSAGE_BYTES].into_iter().fold(self.size, usize::saturating_add);
        self.overflowed |= size > LIMIT;
        if !self.overflowed {
            self.size = size;
        }
        !self.overflowed
    }

    /// Takes a message, or that so many bytes of it were withheld.
    pub(crate) fn push(&mut self, label: String, bytes: &[u8], withheld: usize) {
        if self.admit(label.len(), bytes.len().max(withheld)) {
            self.push_admitted(label, bytes);
        }
    }

    /// Takes a message that was admitted.
    pub(super) fn push_admitted(&mut self, label: String, bytes: &[u8]) {
        self.messages.push(Message { label, bytes: bytes.to_vec() });
    }

    /// The preview that a call has brought that did not fail.
    pub(super) fn preview(self, reported: Reported, events: usize) -> Result<Preview, PreviewError> {
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
    fn what_is_reported_meanwhile_is_what_would_not_be_sent() {
        let unsent = |reported| Collected::default().preview(reported, 2).expect("small").unsent;
        let no = || Outcome::rejected("no");
        assert_eq!(
            unsent(Reported::Each(vec![Some(Outcome::Delivered), Some(no())])),
            [Unsent { event: 1, outcome: no() }]
        );
        assert_eq!(unsent(Reported::All(no())).len(), 2);
    }
}
