//! Passes the `tracing` events of a plugin to the host's `tracing`.

use std::fmt::Write as _;

use tracing_core::{
    Event, Level, Metadata, Subscriber,
    dispatcher::{self, Dispatch},
    field::{Field, Visit},
    span,
    subscriber::Interest,
};

use crate::{abi, host::Host};

/// Sends this library's `tracing` events to `host`, unless the plugin set a subscriber of its own. A library has one
/// `tracing`, so of several instances the first one's host gets the events.
pub(crate) fn install(host: Host) {
    // An error means that the plugin has set a subscriber, which stays.
    let _ = dispatcher::set_global_default(Dispatch::new(HostSubscriber { host }));
}

struct HostSubscriber {
    host: Host,
}

const fn number(level: Level) -> u32 {
    match level {
        Level::ERROR => abi::LEVEL_ERROR,
        Level::WARN => abi::LEVEL_WARN,
        Level::INFO => abi::LEVEL_INFO,
        Level::DEBUG => abi::LEVEL_DEBUG,
        Level::TRACE => abi::LEVEL_TRACE,
    }
}

impl Subscriber for HostSubscriber {
    fn register_callsite(&self, _metadata: &'static Metadata<'static>) -> Interest {
        // The host's filter may change at any time, so the plugin caches no answer.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.host.log_enabled(number(*metadata.level()), metadata.target())
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line::default();
        event.record(&mut line);
        self.host.log(&abi::LogRecord {
            level: number(*metadata.level()),
            line: metadata.line().unwrap_or(0),
            target: abi::Str::new(metadata.target()),
            file: metadata.file().map_or(abi::Str::EMPTY, abi::Str::new),
            message: abi::Str::new(&line.finish()),
        });
    }

    // Spans stay inside the plugin: `enabled` refuses them, so these methods are never called.
    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}

/// The message, followed by the other fields as `name=value`.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn finish(mut self) -> String {
        self.message.push_str(&self.fields);
        self.message
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            let _ = write!(self.fields, " {}={value:?}", field.name());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
