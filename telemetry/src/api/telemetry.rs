//! The telemetry of a tool: the calls for its author.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::consent::consent::{Collection, Consent};
use crate::consent::prompt::{FirstRun, Prompt};
use crate::delivery::open_backend::OpenError;
use crate::delivery::resend::ResendReport;
use crate::error::{DropReason, Error};
use crate::event::event::{Event, EventKind};
use crate::event::id::EventId;
use crate::instance::context::Context;
use crate::instance::select_backends::BackendInfo;
use crate::process::{PerProcess, ReentrancyGuard, left};
use crate::schedule::flush_report::FlushReport;
use crate::schedule::scheduler::Scheduler;
use crate::spool::handle::Spools;

/// The telemetry of a tool. Clones share it. The drop of the last clone [closes](Self::close) it.
///
/// ```
/// use jackfield::{EventKind, Telemetry};
///
/// let telemetry = Telemetry::builder("mytool", "1.4.0").endpoint("https://telemetry.mytool.example/v1").build();
/// telemetry.track(EventKind::FEATURE_USED, "export", &[("format", "pdf")]);
/// telemetry.close();
/// ```
///
/// No method panics or fails because of telemetry. Only [`flush`](Self::flush), [`close`](Self::close) and the commands
/// wait for a network. Nothing is opened or read before the first event, and nothing at all without the consent of
/// author and user.
///
/// # After a fork
/// A forked child goes on with the same `Telemetry`. It gets its own segment of the spool, backends and threads.
#[derive(Clone)]
pub struct Telemetry {
    handle: Arc<Handle>,
}

/// What all clones share. Its drop closes the telemetry; a delivery thread holds no clone.
struct Handle {
    core: Arc<TelemetryCore>,
    /// Whether it is that of the clones, and not of the global one beside them.
    closes: bool,
}

impl Telemetry {
    pub(crate) fn assemble(context: Context) -> Self {
        Self { handle: Arc::new(Handle { core: Arc::new(TelemetryCore::new(context)), closes: true }) }
    }

    /// The same telemetry, whose drop is not that of a clone.
    pub(crate) fn beside(&self) -> Self {
        Self { handle: Arc::new(Handle { core: Arc::clone(self.core()), closes: false }) }
    }

    pub(crate) fn core(&self) -> &Arc<TelemetryCore> {
        &self.handle.core
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.core().context
    }

    /// Records an event. The operating system has the event when this returns: a kill of the tool loses nothing.
    ///
    /// Returns the event's id, to show to the user or to write into a log; `None` when the event is not recorded: without
    /// consent, when the author's rules keep it out, and when it can't be stored.
    pub fn track(
        &self,
        kind: impl Into<EventKind>,
        name: &str,
        metadata: &[(&str, &str)],
    ) -> Option<EventId> {
        if !self.is_open() {
            return None;
        }
        self.core().record(&Event::new(kind, name).metadata(metadata))
    }

    /// Records that a command ran. Returns the id, as [`track`](Self::track) does.
    pub fn track_command(
        &self,
        name: &str,
        duration: Duration,
        exit_code: impl Into<i64>,
        metadata: &[(&str, &str)],
    ) -> Option<EventId> {
        self.track_command_extended(name, duration, exit_code, &[], None, metadata)
    }

    /// Records that a command ran, with its arguments and the message of its error, which makes the event a `command.error`.
    /// Both are kept only with [extended collection](crate::Builder::extended_collection). Returns the id, as
    /// [`track`](Self::track) does.
    pub fn track_command_extended(
        &self,
        name: &str,
        duration: Duration,
        exit_code: impl Into<i64>,
        args: &[&str],
        error: Option<&str>,
        metadata: &[(&str, &str)],
    ) -> Option<EventId> {
        if !self.is_open() {
            return None;
        }
        let kind = EventKind::of_command(error.is_some());
        let mut event = Event::new(kind, name).duration(duration).exit_code(exit_code).metadata(metadata);
        event.parts.args = (!args.is_empty()).then_some(args);
        event.parts.error = error;
        self.core().record(&event)
    }

    /// Records an event in its extended form. Returns the id, as [`track`](Self::track) does.
    pub fn track_event(&self, event: &Event<'_>) -> Option<EventId> {
        if !self.is_open() {
            return None;
        }
        self.core().record(event)
    }

    /// Whether author and user consent, by a cached answer.
    fn is_open(&self) -> bool {
        self.context().is_open()
    }

    /// Whether events are recorded now: whether both the author and the user consent.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.context().is_enabled()
    }

    /// Whether the author collects anything: see [`Builder::enabled`](crate::Builder::enabled).
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.context().enabled
    }

    /// The data folder; `None` when there is no home folder.
    #[must_use]
    pub fn data_folder(&self) -> Option<PathBuf> {
        self.context().data.clone()
    }

    /// Whether events contain arguments and error messages.
    #[must_use]
    pub fn is_extended(&self) -> bool {
        self.context().settings.extended
    }

    /// The author's address for questions, if there is one.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.context().settings.help.as_deref()
    }

    /// What the user consents to now, and the source of that answer.
    #[must_use]
    pub fn consent(&self) -> Consent {
        self.context().consent.read()
    }

    /// Asks the user for consent, unless consent is decided already or nobody can answer.
    ///
    /// # Errors
    /// As [`ConsentSource::first_run`](crate::ConsentSource::first_run).
    pub fn first_run(&self, prompt: &mut dyn Prompt) -> Result<FirstRun, Error> {
        let context = self.context();
        if !context.enabled {
            return Ok(FirstRun::NotAsked);
        }
        let asked = context.consent.first_run(&context.settings.tool, context.settings.extended(), prompt);
        context.gate.look_again();
        asked
    }

    /// The backends in force, and the reason for the choice. Opens none.
    #[must_use]
    pub fn backend_info(&self) -> BackendInfo {
        self.context().select().info
    }

    /// Opens every backend before its first batch, each for at most twice its timeout. Returns the backends that can't be
    /// opened, with the reasons; delivery tries them again. A service calls this if it does not want to start while events
    /// would wait.
    #[must_use]
    pub fn open_backends(&self) -> Vec<(String, OpenError)> {
        if !self.is_enabled() {
            return Vec::new();
        }
        let _quiet = ReentrancyGuard::enter();
        self.core().scheduler().open_backends(self.context())
    }

    /// Delivers to every backend what waits in the spool. Returns when each backend has got everything that was recorded
    /// before the call, or has failed, and after `within` at the latest. A backend that hangs is waited for during one call
    /// of it; a backend whose circuit is open is not waited for. [`FlushReport::waiting`] names the backends that have not
    /// got everything, the reasons, and the times of the next attempts. With [`Deliver::InBackground`](crate::Deliver)
    /// delivery goes on during and after the call.
    pub fn flush(&self, within: Duration) -> FlushReport {
        self.core().flush(within)
    }

    /// Sends the dead letters again: the events that a backend has rejected. An event that the backend takes leaves the dead
    /// letters; an event that it rejects again stays, with the new reason; every other event stays as it is. Without
    /// consent nothing is sent. This waits for a delivery in another process.
    ///
    /// With [`DeliveryMode::AtMostOnce`](crate::DeliveryMode) an event leaves the dead letters before it is sent. An event of
    /// which the backend then says nothing is lost.
    ///
    /// # Errors
    /// [`Error::Spool`] when the dead letters can't be read.
    pub fn resend_rejected(&self, within: Duration) -> Result<ResendReport, Error> {
        let _quiet = ReentrancyGuard::enter();
        let context = self.context();
        let collection = if context.enabled { context.consent.read().collection } else { Collection::Off };
        let Some(mut delivery) = context.delivery(collection, &Arc::default()) else {
            return Ok(ResendReport::default());
        };
        let deadline = Instant::now() + within;
        let resent = delivery.resend(deadline);
        delivery.close(left(deadline));
        resent
    }

    /// Drops all events that wait, also those of other processes of the tool. Events that a call is sending at this moment
    /// may still arrive.
    ///
    /// # Errors
    /// [`Error::Spool`].
    pub fn drop_pending(&self) -> Result<(), Error> {
        let _quiet = ReentrancyGuard::enter();
        self.context().drop_pending()
    }

    /// Ends delivery as [`Deliver`](crate::Deliver) says: a child process takes the spool over, or a last pass delivers for
    /// a bounded time. Closes the backends. What is left waits in the spool. What a child delivers is not counted here.
    ///
    /// Before the first event this does nothing, and a later call or the drop of the last clone closes. After the first
    /// event a second call only waits, within the same time, for a first one on another thread; events tracked after that
    /// wait for the next run.
    pub fn close(&self) -> FlushReport {
        self.core().close()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = self.context();
        f.debug_struct("Telemetry")
            .field("tool", &context.settings.tool)
            .field("data", &context.data)
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.closes {
            // The global one may still get an event.
            self.core.close_if(|is_used| is_used || !self.core.is_global.load(Ordering::Relaxed));
        }
    }
}

/// The content of a [`Telemetry`](crate::Telemetry).
pub(crate) struct TelemetryCore {
    pub(crate) context: Arc<Context>,
    schedulers: PerProcess<Arc<Scheduler>>,
    /// Whether the process has it for the rest of its life.
    pub(crate) is_global: AtomicBool,
}

impl TelemetryCore {
    pub(crate) fn new(context: Context) -> Self {
        let schedulers = PerProcess::new(context.process(), Arc::default());
        Self { context: Arc::new(context), schedulers, is_global: AtomicBool::new(false) }
    }

    /// The scheduler of this process.
    pub(crate) fn scheduler(&self) -> &Arc<Scheduler> {
        self.scheduler_of(self.context.process())
    }

    fn scheduler_of(&self, process: u32) -> &Arc<Scheduler> {
        self.schedulers.of(process, |_| Arc::default())
    }

    /// Records an event, unless consent has been withdrawn.
    pub(crate) fn record(&self, event: &Event<'_>) -> Option<EventId> {
        let _quiet = ReentrancyGuard::enter();
        let context = &self.context;
        let process = context.process();
        let recording = context.recording(process);
        let recorder = recording.by?;
        let Some(spools) = &context.spools else {
            context.homeless.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let spool = spools.get(recording.local);
        let store = |id, line: &[u8]| {
            let stored = match &context.settings.for_tests {
                None => spool.append_as(process, line),
                Some(tests) => tests.memory.push(line),
            };
            stored.map(|()| id)
        };
        if recorder.is_too_long(event) {
            spool.refuse_as(process, DropReason::TooLong);
            return None;
        }
        match recorder.record(process, event, store)? {
            Ok(id) => {
                self.scheduler_of(process).recorded(context);
                Some(id)
            }
            Err(reason) => {
                self.scheduler_of(process).lost(context, reason);
                None
            }
        }
    }

    /// Puts an event from elsewhere into the spool for events that may be sent. The caller keeps an event for which there is
    /// no room; that event is not counted.
    pub(crate) fn offer(&self, line: &[u8]) -> Result<(), DropReason> {
        let context = &self.context;
        let Some(spools) = &context.spools else { return Err(DropReason::Unwritable) };
        let process = context.process();
        let offered = spools.get(false).offer_as(process, line);
        match offered {
            Ok(()) => self.scheduler_of(process).recorded(context),
            Err(reason) => self.scheduler_of(process).lost(context, reason),
        }
        offered
    }

    /// Delivers what waits in the spool: see [`Telemetry::flush`].
    pub(crate) fn flush(&self, within: Duration) -> FlushReport {
        if !self.context.is_enabled() {
            return FlushReport { emptied: true, ..FlushReport::default() };
        }
        let _quiet = ReentrancyGuard::enter();
        self.scheduler().flush(&self.context, Instant::now() + within)
    }

    /// Ends delivery, and closes the segments of this process; does nothing before the first event.
    pub(crate) fn close(&self) -> FlushReport {
        self.close_if(|is_used| is_used)
    }

    /// Ends delivery, and closes the segments of this process, if `ends` says so of whether there was an event.
    fn close_if(&self, ends: impl FnOnce(bool) -> bool) -> FlushReport {
        // A forked child has nothing to close: the threads and backends belong to its parent.
        let scheduler = self.schedulers.get(self.context.process()).filter(|it| ends(it.is_used()));
        let Some(scheduler) = scheduler else {
            return FlushReport { emptied: true, ..FlushReport::default() };
        };
        let _quiet = ReentrancyGuard::enter();
        let context = &self.context;
        let flushed = scheduler.close(context, Instant::now() + context.settings.deliver.within());
        for spool in context.spools.iter().flat_map(Spools::both) {
            spool.seal();
        }
        flushed
    }
}
