//! What a plugin would send, as it hands it over.

use std::{ffi::c_void, fmt};

use jackfield_plugin_api::{Outcome, abi::Str, diagnostics::PreviewSink};

use super::{
    report::{Failure, Reported},
    running,
};
use crate::text::{self, REASON_LIMIT};

/// Most bytes of a preview, with labels and what each message takes beside them: a plugin can't fill the host's memory.
const LIMIT: usize = 64 << 20;

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
    /// What `send` would say of it.
    pub outcome: Outcome,
}

/// Why there is no preview.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PreviewError {
    /// The plugin has no way to say.
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

impl std::error::Error for PreviewError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

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
    fn admit(&mut self, label: usize, bytes: usize) -> bool {
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
            self.messages.push(Message { label, bytes: bytes.to_vec() });
        }
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

/// The sink of the call that `context` stands for.
pub(super) fn sink(context: *const c_void) -> PreviewSink {
    PreviewSink { size: size_of::<PreviewSink>() as u32, reserved: 0, context, message }
}

unsafe extern "C" fn message(context: *const c_void, label: Str, bytes: *const u8, len: usize) {
    let Some(call) = running::find(context) else { return };
    // SAFETY: the contract: readable text.
    let label = unsafe { text::from_plugin(label, REASON_LIMIT) };
    call.collect(|collected| {
        if !collected.admit(label.len(), len) {
            return;
        }
        let bytes = if bytes.is_null() {
            Vec::new()
        } else {
            // SAFETY: the contract: null or `len` readable bytes, which are fewer than `LIMIT`.
            unsafe { std::slice::from_raw_parts(bytes, len) }.to_vec()
        };
        collected.messages.push(Message { label, bytes });
    });
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use super::{
        super::{
            call::{CallState, Ended},
            running::Running,
            spin::Spin,
        },
        *,
    };

    /// Hands over messages from a call that runs, and gives what was collected.
    fn collected(hand_over: impl FnOnce(&PreviewSink)) -> Collected {
        let call = Arc::new(CallState::new(2, Instant::now() + std::time::Duration::from_secs(60)));
        assert!(call.start());
        let running = Running::enter(&call);
        let sink = sink(running.context());
        hand_over(&sink);
        drop(running);
        // SAFETY: any context may be given; label and bytes are readable.
        unsafe { (sink.message)(sink.context, Str::new("late"), b"late".as_ptr(), 4) };
        call.finish(0);
        let Ended::Finished { collected, .. } = call.wait(&Spin::new()) else { panic!("it has finished") };
        collected
    }

    #[test]
    fn messages_are_taken_while_the_call_runs_and_no_longer() {
        let collected = collected(|sink| {
            // SAFETY: the sink of a call that runs; label and bytes are readable.
            unsafe {
                (sink.message)(sink.context, Str::new("one\nline"), b"ab".as_ptr(), 2);
                (sink.message)(sink.context, Str::EMPTY, std::ptr::null(), 7);
            }
        });
        let preview = collected.preview(Reported::Nothing, 2).expect("small");
        let messages: Vec<_> = preview.messages.iter().map(|m| (m.label.as_str(), &*m.bytes)).collect();
        assert_eq!(messages, [("one\\nline", b"ab".as_slice()), ("", b"")]);
        assert!(preview.unsent.is_empty());
    }

    #[test]
    fn a_preview_without_end_is_refused_and_not_read() {
        let collected = collected(|sink| {
            // SAFETY: the sink of a call that runs; a length above the limit is not read.
            unsafe { (sink.message)(sink.context, Str::new("large"), std::ptr::dangling(), LIMIT) };
            // SAFETY: as above, with readable bytes.
            unsafe { (sink.message)(sink.context, Str::new("small"), b"ab".as_ptr(), 2) };
        });
        assert_eq!(collected.preview(Reported::Nothing, 2), Err(PreviewError::TooLarge { limit: LIMIT }));
    }

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
