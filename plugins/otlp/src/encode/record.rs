//! The fields and attributes of the log record of an event, and the attributes of its resource, by OpenTelemetry's
//! semantic conventions.

use std::time::Duration;

use jackfield_http_client::{MetadataValue, OtherMembers, typed_metadata};
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
    fn boolean(&mut self, key: Key<'_>, value: bool);
    fn double(&mut self, key: Key<'_>, value: f64);
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
    for (name, value) in typed_metadata(event) {
        let key = Key("metadata.", name);
        match value {
            MetadataValue::Text(text) => out.text(key, text),
            MetadataValue::Boolean(value) => out.boolean(key, value),
            MetadataValue::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => out.int(key, integer),
                (None, Some(double)) => out.double(key, double),
                (None, None) => out.text(key, &number.to_string()),
            },
        }
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

/// Attributes that come from the events. The configuration can't set them; variables of the environment can.
pub(crate) const FROM_EVENTS: [&str; 6] =
    ["service.name", "service.version", "os.type", "os.version", "host.arch", "process.runtime.version"];

/// The values that the events of one resource share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tool<'a> {
    name: &'a str,
    version: &'a str,
    os: &'a str,
    arch: &'a str,
    os_version: &'a str,
    runtime_version: &'a str,
}

impl<'a> Tool<'a> {
    pub(crate) fn of(event: &Event<'a>) -> Self {
        Self {
            name: event.tool_name(),
            version: event.tool_version(),
            os: event.os(),
            arch: event.arch(),
            os_version: event.os_version(),
            runtime_version: event.runtime_version(),
        }
    }

    /// The attributes of the resource. Empty values are left out, except the service's name, which every resource has. What
    /// `extra` sets is not repeated; if it has another name of the service, the tool's name is an attribute of its own.
    pub(crate) fn attributes(&self, extra: &[(String, String)], out: &mut impl Attributes) {
        let values = [
            self.name,
            self.version,
            os_type(self.os),
            self.os_version,
            host_arch(self.arch),
            self.runtime_version,
        ];
        for (at, (key, value)) in FROM_EVENTS.into_iter().zip(values).enumerate() {
            let is_set = extra.iter().any(|(set, _)| set == key);
            if !is_set && (at == 0 || !value.is_empty()) {
                out.text(Key(key, ""), value);
            } else if is_set && at == 0 {
                out.text(Key("tool.name", ""), value);
            }
        }
        for (key, value) in extra {
            out.text(Key("", key), value);
        }
    }
}

/// The name of an operating system in the conventions.
fn os_type(os: &str) -> &str {
    match os {
        "macos" => "darwin",
        "dragonfly" => "dragonflybsd",
        other => other,
    }
}

/// The name of an architecture in the conventions.
fn host_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        other => other,
    }
}
