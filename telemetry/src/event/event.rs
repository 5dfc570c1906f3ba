//! An event as a tool states it.

use std::{borrow::Cow, fmt, time::Duration};

use crate::event::value::Value;
use crate::redact::redact::EventParts;

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
    /// Further metadata.
    pub(crate) values: &'a [(&'a str, Value<'a>)],
}

impl<'a> Event<'a> {
    /// An event of this kind. `name` is the command, the feature or another subject; an empty name becomes `unnamed`.
    pub fn new(kind: impl Into<EventKind>, name: &'a str) -> Self {
        let (duration, exit_code, parts) = Default::default();
        Self { kind: kind.into(), name, duration, exit_code, parts, values: &[] }
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

    /// Further metadata, whose values may be numbers and booleans:
    ///
    /// ```
    /// # let (telemetry, events) = jackfield::Telemetry::for_tests();
    /// use jackfield::{Event, EventKind};
    ///
    /// let export = Event::new(EventKind::FEATURE_USED, "export");
    /// telemetry.track_event(&export.values(&[("pages", 12.into()), ("color", true.into()), ("format", "pdf".into())]));
    /// assert_eq!(events.events()[0]["metadata"]["pages"], 12);
    /// ```
    #[must_use]
    pub fn values(mut self, values: &'a [(&'a str, Value<'a>)]) -> Self {
        self.values = values;
        self
    }
}

/// The member `type` of an event. A tool may have kinds of its own: [`EventKind::other`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventKind(Cow<'static, str>);

impl EventKind {
    /// A command was run.
    pub const COMMAND_INVOCATION: Self = Self(Cow::Borrowed("command.invocation"));
    /// A command failed.
    pub const COMMAND_ERROR: Self = Self(Cow::Borrowed("command.error"));
    /// A feature was used.
    pub const FEATURE_USED: Self = Self(Cow::Borrowed("feature.used"));
    /// The tool looked for a newer version of itself.
    pub const UPDATE_CHECK: Self = Self(Cow::Borrowed("update.check"));
    /// The tool replaced itself by another version.
    pub const UPDATE_APPLIED: Self = Self(Cow::Borrowed("update.applied"));
    /// The user asks that the data of this machine be deleted.
    pub const DATA_DELETION_REQUEST: Self = Self(Cow::Borrowed("data.deletion_request"));

    /// Another kind, by convention `noun.verb`. An empty kind becomes `other`, because platforms drop events without a kind.
    /// The kind is redacted like all other text of the tool.
    pub fn other(kind: impl Into<Cow<'static, str>>) -> Self {
        let kind = kind.into();
        Self(if kind.is_empty() { Cow::Borrowed("other") } else { kind })
    }

    /// The kind of a command that has ended.
    pub(crate) const fn of_command(failed: bool) -> Self {
        if failed { Self::COMMAND_ERROR } else { Self::COMMAND_INVOCATION }
    }

    /// Whether it is one of the constants.
    pub(crate) fn is_shipped(&self) -> bool {
        static OURS: [EventKind; 6] = [
            EventKind::COMMAND_INVOCATION,
            EventKind::COMMAND_ERROR,
            EventKind::FEATURE_USED,
            EventKind::UPDATE_CHECK,
            EventKind::UPDATE_APPLIED,
            EventKind::DATA_DELETION_REQUEST,
        ];
        OURS.contains(self)
    }

    /// The redacted kind. The constants contain no secret, and are not scanned.
    pub(crate) fn redacted(&self) -> Cow<'_, str> {
        if self.is_shipped() { Cow::Borrowed(&self.0) } else { crate::redact::redact::redact(&self.0) }
    }

    /// The kind's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&'static str> for EventKind {
    fn from(kind: &'static str) -> Self {
        Self::other(kind)
    }
}

impl From<String> for EventKind {
    fn from(kind: String) -> Self {
        Self::other(kind)
    }
}
