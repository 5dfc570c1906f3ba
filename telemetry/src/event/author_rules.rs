//! What a tool's author decides of each event before it is stored: a share that is kept, changes, rules of redaction.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use crate::event::event::{Event, EventKind};
use crate::event::id::EventId;
use crate::event::value::Value;
use crate::redact::bytes::REDACTED;
use crate::redact::redact::EventParts;

/// An event before it is redacted and stored, as [`Builder::before_send`](crate::Builder::before_send) gets it. Its id and
/// its time can't be changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EventDraft {
    /// The kind.
    pub kind: EventKind,
    /// The name; an empty one becomes `unnamed`.
    pub name: String,
    /// The duration.
    pub duration: Option<Duration>,
    /// The exit code.
    pub exit_code: Option<i64>,
    /// The arguments; `None` without extended collection. They are not stored then, whatever is set here.
    pub args: Option<Vec<String>>,
    /// The message of the error; `None` without extended collection, as for the arguments.
    pub error: Option<String>,
    /// Names and values, those of all events included.
    pub metadata: BTreeMap<String, Value<'static>>,
}

type Rule = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;
type BeforeSend = Arc<dyn Fn(&mut EventDraft) -> bool + Send + Sync>;

/// The author's decisions.
#[derive(Clone, Default)]
pub(crate) struct AuthorRules {
    /// The share of the events that is kept; `None` for all.
    pub(crate) sample: Option<f64>,
    pub(crate) before_send: Option<BeforeSend>,
    /// Each returns the text without what it has found, or `None` when it has found nothing.
    pub(crate) redact: Vec<Rule>,
}

impl fmt::Debug for AuthorRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorRules")
            .field("sample", &self.sample)
            .field("before_send", &self.before_send.is_some())
            .field("redact", &self.redact.len())
            .finish()
    }
}

/// The names and values of all events of a tool.
pub(crate) type CommonMetadata = [(String, Value<'static>)];

thread_local! {
    /// Whether the author's code runs on this thread.
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

impl AuthorRules {
    /// Whether there is a rule that looks at events.
    pub(crate) fn looks_at_events(&self) -> bool {
        self.before_send.is_some() || !self.redact.is_empty()
    }

    /// Whether the share of events that is kept contains the one with this id.
    pub(crate) fn keeps(&self, id: EventId) -> bool {
        self.sample.is_none_or(|share| id.fraction() < share)
    }

    /// The event as the author wants it; `None` when it is not to be stored.
    pub(crate) fn apply(
        &self,
        common: &CommonMetadata,
        extended: bool,
        event: &Event<'_>,
    ) -> Option<EventDraft> {
        // An event that the author's code tracks itself would come here again.
        if IN_HOOK.try_with(|in_hook| in_hook.replace(true)).unwrap_or(true) {
            return None;
        }
        let kept = self.apply_outside(common, extended, event);
        _ = IN_HOOK.try_with(|in_hook| in_hook.set(false));
        kept
    }

    fn apply_outside(
        &self,
        common: &CommonMetadata,
        extended: bool,
        event: &Event<'_>,
    ) -> Option<EventDraft> {
        let mut draft = EventDraft::of(common, extended, event);
        if let Some(before_send) = &self.before_send {
            match catch_unwind(AssertUnwindSafe(|| before_send(&mut draft))) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(_) => {
                    tracing::warn!(
                        "telemetry: before_send panicked; the event is kept without arguments, error message and metadata"
                    );
                    draft = EventDraft::of(&[], false, event);
                    draft.metadata.clear();
                }
            }
        }
        if !self.redact.is_empty() {
            draft.redact(|text| self.redacted(text));
        }
        Some(draft)
    }

    /// The text after every rule.
    fn redacted(&self, mut text: String) -> String {
        for rule in &self.redact {
            match catch_unwind(AssertUnwindSafe(|| rule(&text))) {
                Ok(Some(changed)) => text = changed,
                Ok(None) => {}
                Err(_) => {
                    tracing::warn!("telemetry: a rule of redaction panicked; its whole text is redacted");
                    return REDACTED.to_owned();
                }
            }
        }
        text
    }
}

impl EventDraft {
    fn of(common: &CommonMetadata, extended: bool, event: &Event<'_>) -> Self {
        let parts = &event.parts;
        let mut metadata: BTreeMap<_, _> = common.iter().cloned().collect();
        metadata.extend(parts.metadata.iter().map(|(key, value)| {
            let value: Value<'_> = (*value).into();
            ((*key).to_owned(), value.into_owned())
        }));
        metadata.extend(
            event.values.iter().map(|(key, value)| ((*key).to_owned(), value.borrowed().into_owned())),
        );
        let args = parts.args.filter(|_| extended);
        Self {
            kind: event.kind.clone(),
            name: event.name.to_owned(),
            duration: event.duration,
            exit_code: event.exit_code,
            args: args.map(|args| args.iter().map(|arg| (*arg).to_owned()).collect()),
            error: parts.error.filter(|_| extended).map(str::to_owned),
            metadata,
        }
    }

    /// Changes each text that the tool states.
    fn redact(&mut self, redact: impl Fn(String) -> String) {
        let Self { kind, name, args, error, metadata, .. } = self;
        if !kind.is_shipped() {
            *kind = redact(kind.as_str().to_owned()).into();
        }
        let texts = [name].into_iter().chain(args.iter_mut().flatten()).chain(error.as_mut());
        for text in texts {
            *text = redact(std::mem::take(text));
        }
        *metadata = std::mem::take(metadata)
            .into_iter()
            .map(|(key, value)| match value {
                Value::Text(text) => (redact(key), redact(text.into_owned()).into()),
                other => (redact(key), other),
            })
            .collect();
    }

    /// Calls `then` with the draft as an event.
    pub(crate) fn with_event<T>(&self, then: impl FnOnce(&Event<'_>) -> T) -> T {
        let args: Option<Vec<&str>> = self.args.as_ref().map(|args| args.iter().map(|arg| &**arg).collect());
        let values: Vec<_> = self.metadata.iter().map(|(key, value)| (&**key, value.borrowed())).collect();
        then(&Event {
            kind: self.kind.clone(),
            name: &self.name,
            duration: self.duration,
            exit_code: self.exit_code,
            parts: EventParts {
                args: args.as_deref(),
                error: self.error.as_deref(),
                ..EventParts::default()
            },
            values: &values,
        })
    }
}
