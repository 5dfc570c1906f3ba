//! The attributes of a resource, by OpenTelemetry's semantic conventions.

use jackfield_plugin_api::Event;

use super::record::{Attributes, Key};

/// Attributes that come from the events. The configuration can't set them.
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

    /// The attributes of the resource. Empty values are left out, except the service's name, which every resource has.
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
            if at == 0 || !value.is_empty() {
                out.text(Key(key, ""), value);
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
