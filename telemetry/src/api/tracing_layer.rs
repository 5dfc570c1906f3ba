//! A `tracing` layer: marked events and spans become telemetry. With the feature `tracing-layer`.
//!
//! An event or a span is marked by the target [`TARGET`], at any level:
//!
//! ```
//! use jackfield::Telemetry;
//! use tracing_subscriber::prelude::*;
//!
//! let (telemetry, memory) = Telemetry::builder("mytool", "1.4.0").for_tests();
//! // A tool calls `init` on it instead.
//! let subscriber = tracing_subscriber::registry().with(telemetry.layer());
//! tracing::subscriber::with_default(subscriber, || {
//!     let command = tracing::info_span!(target: "telemetry", "convert", exit_code = tracing::field::Empty);
//!     command.in_scope(|| {
//!         tracing::info!(target: "telemetry", name = "export", kind = "feature.used", format = "pdf");
//!         tracing::info!("for the log alone");
//!     });
//!     command.record("exit_code", 0);
//! });
//! let events = memory.events();
//! assert_eq!(events.len(), 2);
//! assert_eq!((&events[0]["name"], &events[0]["metadata"]["format"]), (&"export".into(), &"pdf".into()));
//! assert_eq!((&events[1]["type"], &events[1]["name"]), (&"command.invocation".into(), &"convert".into()));
//! ```
//!
//! # Fields
//! | field | of an event | of a span |
//! | --- | --- | --- |
//! | `name` | the name; else that of `tracing::info!(name: "…", …)`, else the kind | the name; else the span's own |
//! | `kind` | the kind; else `feature.used` | the kind; else `command.invocation`, or `command.error` when it failed |
//! | `exit_code` | the exit code, a whole number | the same; else 0, or 1 with an `error`, or 101 after a panic. A span with a `kind` has one only when it is given or the span failed |
//! | `error` | the message of the error | the same; the span failed |
//! | `duration_ms` | the duration, a whole number of milliseconds | ignored: the duration is the time from start to close |
//! | `message` | ignored: it is for people who read a log, and may hold paths | ignored |
//! | `args` | ignored: use [`Event::args`](crate::Event::args) | ignored |
//! | any other | metadata with that name, as text: `%` and `?` decide how | the same |
//!
//! Fields of a span may be recorded later, by `Span::record`; the last value of a field counts. The rules of
//! [`Telemetry::track_event`] hold: consent, redaction, error messages with extended collection only.
//! `#[tracing::instrument]` makes each parameter of the function a field: mark such a span with `skip_all`, and name the
//! fields that are to be collected.
//!
//! # Spans
//! A span is one event, recorded when it closes: when its last handle and its last child are dropped. It failed when a panic
//! leaves it, also a panic that an async runtime catches, unless an `exit_code` is recorded afterwards. Marked spans inside
//! one another are one event each. A span that starts without consent is not recorded.
//!
//! # Other layers
//! Other layers see marked events like any others. A filter of one layer (`with_filter`) does not affect this layer; a filter
//! of the whole subscriber and `tracing`'s features `max_level_*` do. An unmarked event costs one check for each call site.
//!
//! # What never becomes telemetry
//! - Records while telemetry works on the same thread: during the recording of an event (for example in the `Debug` of a
//!   field), during a delivery, and by a backend that is compiled in. A thread of such a backend must not mark its records.
//! - Records of plugins and of the crate `log`, whatever their target.
//! - Records in a module that happens to be called `telemetry`: the target must be given.

use std::{
    fmt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    filter::Filtered,
    layer::{Context, Filter, Layer},
    registry::LookupSpan,
};

use crate::api::command_scope::PANICKED;
use crate::api::telemetry::{Telemetry, TelemetryCore};
use crate::event::event::{Event, EventKind};
use crate::process::ReentrancyGuard;

/// The target that marks an event or a span.
pub const TARGET: &str = "telemetry";

/// Turns marked events and spans into telemetry. Made by [`Telemetry::layer`].
#[derive(Clone)]
pub struct TelemetryLayer {
    core: Arc<TelemetryCore>,
}

impl fmt::Debug for TelemetryLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryLayer")
            .field("tool", &self.core.context.settings.tool)
            .finish_non_exhaustive()
    }
}

/// The filter of a [`TelemetryLayer`], which selects the marked events and spans.
#[derive(Clone, Debug)]
pub struct Marked {
    /// Whether the author collects anything.
    enabled: bool,
}

impl Telemetry {
    /// A layer that records marked events and spans here; see [its module](crate::layer).
    ///
    /// It is no clone: a subscriber that lives as long as the process does not keep this from being
    /// [closed](Self::close) when it is dropped. What is marked after that waits in the spool for the next run.
    #[must_use]
    pub fn layer<S>(&self) -> Filtered<TelemetryLayer, Marked, S> {
        let core = Arc::clone(self.core());
        let marked = Marked { enabled: core.context.enabled };
        Filtered::new(TelemetryLayer { core }, marked)
    }
}

/// Whether the target was given in the code. Plugins and the crate `log` give no module. In a module of that name, all
/// events have the target.
fn is_marked(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TARGET && metadata.module_path().is_some_and(|module| module != TARGET)
}

impl<S> Filter<S> for Marked {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.enabled && is_marked(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        // The user's consent may change, and is checked for each event.
        if self.enabled && is_marked(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        (!self.enabled).then_some(LevelFilter::OFF)
    }
}

/// The fields of an event or a span.
#[derive(Debug, Default)]
struct Fields {
    name: Option<String>,
    kind: Option<String>,
    exit_code: Option<i64>,
    error: Option<String>,
    duration: Option<Duration>,
    metadata: Vec<(&'static str, String)>,
}

impl Fields {
    fn take(&mut self, field: &Field, value: String) {
        match field.name() {
            "name" => self.name = Some(value),
            "kind" => self.kind = Some(value),
            "error" => self.error = Some(value),
            name @ "exit_code" => match value.parse() {
                Ok(code) => self.exit_code = Some(code),
                Err(_) => self.metadata.push((name, value)),
            },
            name @ "duration_ms" => match value.parse() {
                Ok(ms) => self.duration = Some(Duration::from_millis(ms)),
                Err(_) => self.metadata.push((name, value)),
            },
            name => self.metadata.push((name, value)),
        }
    }

    /// Adds fields that were recorded later.
    fn update(&mut self, later: Self) {
        self.name = later.name.or(self.name.take());
        self.kind = later.kind.or(self.kind.take());
        self.exit_code = later.exit_code.or(self.exit_code);
        self.error = later.error.or(self.error.take());
        self.metadata.extend(later.metadata);
    }

    fn metadata(&self) -> Vec<(&str, &str)> {
        self.metadata.iter().map(|(name, value)| (*name, &**value)).collect()
    }
}

/// Whether a field is never collected. It is not even formatted.
fn is_left_out(field: &Field) -> bool {
    matches!(field.name(), "message" | "args")
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !is_left_out(field) {
            self.take(field, format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if !is_left_out(field) {
            self.take(field, value.to_owned());
        }
    }
}

/// The data of all layers that record a span.
#[derive(Default)]
struct OpenSpans(Vec<OpenSpan>);

struct OpenSpan {
    of: Arc<TelemetryCore>,
    started: Instant,
    /// Whether the thread was unwinding at the start. A panic at the end then says nothing of this span.
    within_panic: bool,
    panicked: bool,
    fields: Fields,
}

impl TelemetryLayer {
    /// The data of this layer among those of a span.
    fn open_span<'a>(&self, spans: &'a mut OpenSpans) -> Option<&'a mut OpenSpan> {
        spans.0.iter_mut().find(|span| Arc::ptr_eq(&span.of, &self.core))
    }
}

impl OpenSpan {
    fn is_left_by_panic(&self) -> bool {
        thread::panicking() && !self.within_panic
    }

    fn record(&self, own_name: &str) {
        let fields = &self.fields;
        let panicked = self.panicked || self.is_left_by_panic();
        let failed = panicked || fields.error.is_some();
        let kind = match &fields.kind {
            Some(kind) => kind.clone().into(),
            None => EventKind::of_command(failed),
        };
        let implied = (failed || fields.kind.is_none()).then_some(i64::from(failed));
        let metadata = fields.metadata();
        let mut event = Event::new(kind, fields.name.as_deref().unwrap_or(own_name))
            .duration(self.started.elapsed())
            .metadata(&metadata);
        event.exit_code = if panicked { Some(PANICKED) } else { fields.exit_code.or(implied) };
        event.parts.error = fields.error.as_deref().or(panicked.then_some("panicked"));
        self.of.record(&event);
    }
}

impl<S> Layer<S> for TelemetryLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        // A bridge may check one target and send another one.
        if !is_marked(event.metadata()) {
            return;
        }
        let Some(_quiet) = ReentrancyGuard::enter_first() else { return };
        if !self.core.context.is_open() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let kind = fields.kind.take().map_or(EventKind::FEATURE_USED, EventKind::from);
        let name = fields.name.as_deref().or_else(|| given_name(event.metadata()));
        let metadata = fields.metadata();
        let mut recorded = Event::new(kind.clone(), name.unwrap_or(kind.as_str())).metadata(&metadata);
        recorded.duration = fields.duration;
        recorded.exit_code = fields.exit_code;
        recorded.parts.error = fields.error.as_deref();
        self.core.record(&recorded);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let started = Instant::now();
        let Some(_quiet) = ReentrancyGuard::enter_first() else { return };
        let Some(span) = context.span(id) else { return };
        if !self.core.context.is_open() {
            return;
        }
        // Before the data of the span are locked, because the `Debug` of a field may need them.
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let open = OpenSpan {
            of: Arc::clone(&self.core),
            started,
            within_panic: thread::panicking(),
            panicked: false,
            fields,
        };
        let mut extensions = span.extensions_mut();
        match extensions.get_mut::<OpenSpans>() {
            Some(spans) => spans.0.push(open),
            None => extensions.insert(OpenSpans(vec![open])),
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let _quiet = ReentrancyGuard::enter();
        let Some(span) = context.span(id) else { return };
        if span.extensions().get::<OpenSpans>().is_none() {
            return;
        }
        let mut later = Fields::default();
        values.record(&mut later);
        if let Some(open) = span.extensions_mut().get_mut().and_then(|spans| self.open_span(spans)) {
            // An exit code after a panic means that the panic was caught.
            open.panicked &= later.exit_code.is_none();
            open.fields.update(later);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if !thread::panicking() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut().and_then(|spans| self.open_span(spans)) {
            open.panicked |= open.is_left_by_panic();
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let is_ours = |open: &OpenSpan| Arc::ptr_eq(&open.of, &self.core);
        let open = span.extensions_mut().get_mut().and_then(|OpenSpans(spans)| {
            let at = spans.iter().position(is_ours)?;
            Some(spans.swap_remove(at))
        });
        let Some(open) = open else { return };
        let Some(_quiet) = ReentrancyGuard::enter_first() else { return };
        if self.core.context.is_open() {
            open.record(span.name());
        }
    }
}

/// The given name of an event; `None` for the default name, which is its place in the code.
fn given_name(metadata: &'static Metadata<'static>) -> Option<&'static str> {
    let place = metadata.name().strip_prefix("event ");
    let made_up = place.zip(metadata.file()).is_some_and(|(place, file)| place.starts_with(file));
    (!made_up).then(|| metadata.name())
}
