//! A tool's telemetry: what its author calls.

use std::{
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::api::instance::Instance;
use crate::consent::consent::{Collection, Consent};
use crate::consent::prompt::{FirstRun, Prompt};
use crate::delivery::open_backend::OpenError;
use crate::delivery::resend::Resent;
use crate::error::error::Error;
use crate::event::event::Event;
use crate::event::kind::EventKind;
use crate::instance::context::Context;
use crate::instance::select_backends::BackendInfo;
use crate::process::deadline::left;
use crate::process::reentrancy::Quiet;
use crate::schedule::flush_report::Flushed;

/// A tool's telemetry. Clones share it; the last one that is dropped [closes](Self::close) it.
///
/// ```
/// use jackfield::{EventKind, Telemetry};
///
/// let telemetry = Telemetry::builder("mytool", "1.4.0").endpoint("https://telemetry.mytool.example/v1").build();
/// telemetry.track(EventKind::FEATURE_USED, "export", &[("format", "pdf")]);
/// telemetry.close();
/// ```
///
/// Nothing here fails or panics because of telemetry, nor does anything but [`flush`](Self::flush),
/// [`close`](Self::close) and the commands wait for a network. Until the first event nothing is opened or read; without
/// the author's and the user's consent nothing ever is.
///
/// # After a fork
/// A child goes on with the same `Telemetry`: it gets a segment of the spool, backends and a thread of its own.
#[derive(Clone)]
pub struct Telemetry {
    handle: Arc<Handle>,
}

/// What all clones share. The telemetry closes when the last clone is dropped; a thread that delivers holds no clone.
struct Handle {
    instance: Arc<Instance>,
}

impl Telemetry {
    pub(crate) fn assemble(context: Context) -> Self {
        Self { handle: Arc::new(Handle { instance: Arc::new(Instance::new(context)) }) }
    }

    pub(crate) fn instance(&self) -> &Arc<Instance> {
        &self.handle.instance
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.instance().context
    }

    /// Records an event. It is with the operating system when this returns: a tool that is killed loses nothing.
    pub fn track(&self, kind: impl Into<EventKind>, name: &str, metadata: &[(&str, &str)]) {
        if self.is_open() {
            self.instance().record(&Event::new(kind, name).metadata(metadata));
        }
    }

    /// Records that a command ran.
    pub fn track_command(
        &self,
        name: &str,
        duration: Duration,
        exit_code: impl Into<i64>,
        metadata: &[(&str, &str)],
    ) {
        if self.is_open() {
            let event =
                Event::new(EventKind::COMMAND_INVOCATION, name).duration(duration).exit_code(exit_code);
            self.instance().record(&event.metadata(metadata));
        }
    }

    /// Records an event in its extended form.
    pub fn track_event(&self, event: &Event<'_>) {
        if self.is_open() {
            self.instance().record(event);
        }
    }

    /// Both gates, for less than it costs to look.
    fn is_open(&self) -> bool {
        self.context().is_open()
    }

    /// Whether events are recorded now: whether the tool's author and its user both consent.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.context().enabled && self.consent().is_enabled()
    }

    /// Whether the tool's author collects anything at all.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.context().enabled
    }

    /// The folder of all that is kept; `None` where there is no home folder.
    #[must_use]
    pub fn data_folder(&self) -> Option<PathBuf> {
        self.context().data.clone()
    }

    /// Whether events have arguments and error messages too.
    #[must_use]
    pub fn is_extended(&self) -> bool {
        self.context().settings.extended
    }

    /// Where people turn to with questions, if the tool's author says so.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.context().settings.help.as_deref()
    }

    /// What the user consents to at this moment, and where that is said.
    #[must_use]
    pub fn consent(&self) -> Consent {
        self.context().consent.read()
    }

    /// Asks the user for consent unless anything has decided already, or nobody is there to answer.
    ///
    /// # Errors
    /// As [`ConsentSource::first_run`].
    pub fn first_run(&self, prompt: &mut dyn Prompt) -> Result<FirstRun, Error> {
        let context = self.context();
        if !context.enabled {
            return Ok(FirstRun::NotAsked);
        }
        let asked = context.consent.first_run(&context.settings.tool, context.settings.extended, prompt);
        context.gate.look_again();
        asked
    }

    /// Which backends are in force, and why. Opens none.
    #[must_use]
    pub fn backend_info(&self) -> BackendInfo {
        self.context().select().info
    }

    /// Opens every backend now, instead of with its first batch, each for at most twice its timeout. Gives those that can't
    /// be opened, and why; they are tried again when there is something for them. For a service that would rather not start
    /// than have events wait.
    #[must_use]
    pub fn open_backends(&self) -> Vec<(String, OpenError)> {
        if !self.is_enabled() {
            return Vec::new();
        }
        let _quiet = Quiet::enter();
        self.instance().scheduler().open_backends(self.context())
    }

    /// Lets every backend have what waits in the spool, and returns as soon as each has come as far as it can: it has
    /// everything that was recorded before, or it has failed and is left alone for a while. So one that hangs is waited
    /// for as long as a call to it may take, and one that has failed before is not waited for at all. `within` is the most
    /// that it takes in any case. [`Flushed::waiting`] says which backends have not got everything, why, and when they
    /// are tried again. With [`Deliver::InBackground`](crate::Deliver) the backends go on meanwhile, and afterwards.
    pub fn flush(&self, within: Duration) -> Flushed {
        let context = self.context();
        if !self.is_enabled() {
            return Flushed { emptied: true, ..Flushed::default() };
        }
        let _quiet = Quiet::enter();
        self.instance().scheduler().flush(context, Instant::now() + within)
    }

    /// Hands each backend the events that it has refused for good once more, for when what was wrong with it is mended.
    /// Those that it takes leave the quarantine; those that it refuses again stay, with its new reason; the others stay
    /// as they are. Without consent nothing is sent. A delivery under way in another process is waited for.
    ///
    /// With [`DeliveryMode::AtMostOnce`](crate::DeliveryMode) an event leaves the quarantine before it is sent, and is
    /// lost when it is not known whether it has arrived.
    ///
    /// # Errors
    /// [`Error::Spool`] when the quarantine can't be read.
    pub fn resend_rejected(&self, within: Duration) -> Result<Resent, Error> {
        let _quiet = Quiet::enter();
        let context = self.context();
        let collection = if context.enabled { context.consent.read().collection } else { Collection::Off };
        let Some(mut delivery) = context.delivery(collection, &Arc::default()) else {
            return Ok(Resent::default());
        };
        let deadline = Instant::now() + within;
        let resent = delivery.resend(deadline);
        delivery.close(left(deadline));
        resent
    }

    /// Forgets all events that wait, those of other processes of the tool too. Those that a backend is being handed at
    /// this moment may still arrive.
    ///
    /// # Errors
    /// [`Error::Spool`].
    pub fn drop_pending(&self) -> Result<(), Error> {
        let _quiet = Quiet::enter();
        self.context().drop_pending()
    }

    /// Ends delivery as [`Deliver`](crate::Deliver) says: leaves the spool to a child process, or delivers for the last time
    /// for as long as that allows; and closes the backends. What is left waits in the spool. What a child delivers is not
    /// counted here. A process that has had no event has nothing to do here. A second time does nothing; events
    /// tracked later wait for the next run.
    pub fn close(&self) -> Flushed {
        self.instance().close()
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
        self.instance.close();
    }
}
