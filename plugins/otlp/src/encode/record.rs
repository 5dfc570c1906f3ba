//! The fields and attributes of the log record of an event.

use std::time::Duration;

use jackfield_http_client::OtherMembers;
use jackfield_plugin_api::Event;

/// The severities of events, with OTLP's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Info = 9,
    Error = 17,
}

impl Severity {
    /// An event with an error or with an exit code other than 0 has the severity ERROR.
    pub(crate) fn of(event: &Event<'_>) -> Self {
        let failed = event.error().is_some() || event.exit_code().is_some_and(|code| code != 0);
        if failed { Self::Error } else { Self::Info }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Error => "ERROR",
        }
    }
}

/// Nanoseconds since 1970. 0 means an unknown time in OTLP, and stands here for a time before 1970 as well.
pub(crate) fn time(event: &Event<'_>) -> u64 {
    u64::try_from(event.time_unix_nanos()).unwrap_or(0)
}

/// `TYPE: NAME`, in parts.
pub(crate) fn body<'a>(event: &Event<'a>) -> [&'a str; 3] {
    [event.kind(), ": ", event.name()]
}

/// The name of an attribute, in two parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a>(pub(crate) &'static str, pub(crate) &'a str);

/// A receiver of attributes.
pub(crate) trait Attributes {
    fn text(&mut self, key: Key<'_>, value: &str);
    fn int(&mut self, key: Key<'_>, value: i64);
    /// `values` returns the same values at each call.
    fn list<'e, I: Iterator<Item = &'e str>>(&mut self, key: Key<'_>, values: impl Fn() -> I);
}

/// All attributes of the event's record.
pub(crate) fn attributes(event: &Event<'_>, out: &mut impl Attributes) {
    let key = |name| Key(name, "");
    out.text(key("event.type"), event.kind());
    out.text(key("event.name"), event.name());
    out.text(key("event.id"), event.id());
    if time(event) == 0 && !event.timestamp().is_empty() {
        out.text(key("event.timestamp"), event.timestamp());
    }
    out.text(key("machine.id"), event.machine_id());
    if let Some(duration) = event.duration() {
        out.int(key("command.duration_ms"), milliseconds(duration));
    }
    if let Some(code) = event.exit_code() {
        out.int(key("command.exit_code"), code);
    }
    if event.args().is_some() {
        out.list(key("command.args"), || event.args().into_iter().flatten());
    }
    if let Some(error) = event.error() {
        out.text(key("exception.message"), error);
    }
    for (name, value) in event.metadata() {
        out.text(Key("metadata.", name), value);
    }
    let extra = OtherMembers::of(event.json());
    if !extra.is_empty()
        && let Ok(json) = serde_json::to_string(&extra)
    {
        out.text(key("event.extra"), &json);
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
