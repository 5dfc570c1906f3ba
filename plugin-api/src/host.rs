//! The host, as a plugin sees it, and the way of a plugin's `tracing` events to the host's `tracing`.

use std::fmt::Write as _;

use tracing_core::{
    Event, Level, Metadata, Subscriber,
    dispatcher::{self, Dispatch},
    field::{Field, Visit},
    span,
    subscriber::Interest,
};

use crate::abi;

/// The host's services. Cheap to copy, usable from any thread, for as long as the process lives.
///
/// A backend gets it in [`open`](crate::Backend::open) and may keep it: for the tool's name, and for threads of its own, which
/// end when the host no longer uses the backend. There is no function for logs: `tracing` events of a plugin go to the host.
///
/// ```
/// use std::{thread, time::Duration};
///
/// use jackfield_plugin_api::Host;
///
/// fn open(host: Host) -> thread::JoinHandle<()> {
///     tracing::debug!("{} sends events of {} {}", host.backend_name(), host.tool_name(), host.tool_version());
///     thread::spawn(move || {
///         while !host.is_cancelled() {
///             thread::sleep(Duration::from_millis(100));
///         }
///     })
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Host {
    services: &'static abi::HostServices,
}

// SAFETY: the contract keeps the services for the life of the process and makes them callable from any thread.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    /// Views the host; `None` when it is null, of another major version, or without services.
    ///
    /// # Safety
    /// `host` is null, or points to a host that lives as long as the process, as [`abi::Host`] says.
    #[must_use]
    pub unsafe fn from_abi(host: *const abi::Host) -> Option<Self> {
        // SAFETY: the caller guarantees a valid host unless it is null, and valid tables.
        let services = unsafe {
            let host = host.as_ref()?;
            if host.size as usize != size_of::<abi::Host>() || host.abi_major != abi::ABI_MAJOR {
                return None;
            }
            host.tables.find(abi::HOST_TABLE_SERVICES).cast::<abi::HostServices>().as_ref()?
        };
        (services.size as usize == size_of::<abi::HostServices>()).then_some(Self { services })
    }

    /// The host with these services, for tests.
    #[cfg(feature = "test-host")]
    pub(crate) const fn of_services(services: &'static abi::HostServices) -> Self {
        Self { services }
    }

    fn text(view: abi::Str) -> &'static str {
        // SAFETY: the contract keeps the services' strings for the life of the process.
        unsafe { view.to_str() }.unwrap_or_default()
    }

    /// Name of the tool whose telemetry this is.
    #[must_use]
    pub fn tool_name(&self) -> &'static str {
        Self::text(self.services.tool_name)
    }

    /// Version of that tool.
    #[must_use]
    pub fn tool_version(&self) -> &'static str {
        Self::text(self.services.tool_version)
    }

    /// Name of this backend in the configuration.
    #[must_use]
    pub fn backend_name(&self) -> &'static str {
        Self::text(self.services.backend_name)
    }

    /// Whether the host no longer uses this backend. A plugin's own threads check it regularly, and end as soon as it is
    /// true: it may be false again after several later backends of the same name were closed.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        // SAFETY: the services live as long as the process, and their context belongs to their functions.
        unsafe { (self.services.cancelled)(self.services.context) != 0 }
    }

    /// Whether the host wants a log record.
    pub(crate) fn log_enabled(&self, level: u32, target: &str) -> bool {
        // SAFETY: as above; the target is borrowed for the call.
        unsafe { (self.services.log_enabled)(self.services.context, level, abi::Str::new(target)) != 0 }
    }

    /// Hands a log record to the host.
    pub(crate) fn log(&self, record: &abi::LogRecord) {
        // SAFETY: as above; the record is copied before `log` returns.
        unsafe { (self.services.log)(self.services.context, record) }
    }
}

/// Sends this library's `tracing` events to `host`, unless the plugin set a subscriber of its own. A library has one
/// `tracing`, so of several instances the first one's host gets the events.
pub(crate) fn install_log(host: Host) {
    // An error means that the plugin has set a subscriber, which stays.
    let _ = dispatcher::set_global_default(dispatch(host));
}

/// What takes `tracing` events to `host`.
pub(crate) fn dispatch(host: Host) -> Dispatch {
    Dispatch::new(HostSubscriber { host })
}

struct HostSubscriber {
    host: Host,
}

/// The number of a level in the ABI.
pub(crate) const fn number(level: Level) -> u32 {
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
