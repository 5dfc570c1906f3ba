//! An event as a tool states it.

use std::time::Duration;

use crate::event::kind::EventKind;
use crate::redact::event_parts::EventParts;

/// An event as a tool states it: the extended form of [`Telemetry::track`](crate::Telemetry::track).
///
/// ```
/// use jackfield::{Event, EventKind};
/// # use std::time::Duration;
/// let event = Event::new(EventKind::COMMAND_ERROR, "deploy")
///     .duration(Duration::from_millis(1500))
///     .exit_code(2)
///     .args(&["--target", "staging"])
///     .error("no such target")
///     .metadata(&[("region", "eu")]);
/// # let _ = event;
/// ```
#[derive(Debug, Clone)]
pub struct Event<'a> {
    pub(crate) kind: EventKind,
    pub(crate) name: &'a str,
    pub(crate) duration: Option<Duration>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) parts: EventParts<'a>,
}

impl<'a> Event<'a> {
    /// An event of this kind. `name` is the command, the feature or another subject; an empty name becomes `unnamed`.
    pub fn new(kind: impl Into<EventKind>, name: &'a str) -> Self {
        Self { kind: kind.into(), name, duration: None, exit_code: None, parts: EventParts::default() }
    }

    /// The duration; stored in whole milliseconds.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// The exit code.
    #[must_use]
    pub fn exit_code(mut self, code: impl Into<i64>) -> Self {
        self.exit_code = Some(code.into());
        self
    }

    /// The arguments. They are dropped unless the tool has extended collection.
    #[must_use]
    pub fn args(mut self, args: &'a [&'a str]) -> Self {
        self.parts.args = Some(args);
        self
    }

    /// The message of the error. It is dropped unless the tool has extended collection.
    #[must_use]
    pub fn error(mut self, message: &'a str) -> Self {
        self.parts.error = Some(message);
        self
    }

    /// Names and values of this event. They replace metadata of all events with the same name. The last of two equal names
    /// counts.
    #[must_use]
    pub fn metadata(mut self, metadata: &'a [(&'a str, &'a str)]) -> Self {
        self.parts.metadata = metadata;
        self
    }
}
