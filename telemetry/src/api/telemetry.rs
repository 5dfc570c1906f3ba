//! A tool's telemetry: what its author calls.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jackfield_loader::{Batch, Crash};

use crate::api::builder::{Builder, Settings};
use crate::api::command_scope::CommandScope;
use crate::consent::consent::{Collection, Consent};
use crate::consent::gate::Gate;
use crate::consent::prompt::{FirstRun, Prompt};
use crate::consent::source::ConsentSource;
use crate::delivery::backend_state::States;
use crate::delivery::in_flight_lock::Sending;
use crate::delivery::open_backend::OpenError;
use crate::delivery::pass::{Kept, Outbox};
use crate::delivery::resend::Resent;
use crate::delivery::target::left;
use crate::error::error::Error;
use crate::event::batch_buffer::EventBuffer;
use crate::event::defaults::Fill;
use crate::event::encode::{Encoder, Origin};
use crate::event::kind::EventKind;
use crate::event::recorder::{Event, Recorder};
use crate::files::data_folder;
use crate::identity::machine_id_file::MachineIdFile;
use crate::instance::select_backends::{BackendInfo, Chosen, Selected, select};
use crate::process::per_process::PerProcess;
use crate::process::reentrancy::Quiet;
use crate::schedule::flush_report::Flushed;
use crate::schedule::scheduler::Courier;
use crate::spool::fs::Fs;
use crate::spool::limits::DropReason;
use crate::spool::pair::Spools;

/// The folder in the data folder in which crashes of plugins are remembered.
pub(crate) const CRASHES: &str = "crashes";

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

/// What all clones share; its end is the end of the telemetry. A thread that delivers has the [`Inner`] alone.
struct Handle {
    inner: Arc<Inner>,
}

/// What a telemetry is made of.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    /// The author's gate.
    pub(crate) enabled: bool,
    pub(crate) consent: Arc<ConsentSource>,
    pub(crate) gate: Gate,
    /// The folder of all that is kept; `None` where there is no home folder.
    pub(crate) data: Option<PathBuf>,
    pub(crate) spools: Option<Spools>,
    /// Events lost for want of a folder.
    pub(crate) homeless: AtomicU64,
    fs: Arc<dyn Fs>,
    parts: PerProcess<Parts>,
}

/// What belongs to one process.
#[derive(Debug, Default)]
struct Parts {
    /// Not known before the first event.
    recording: RwLock<Option<Recording>>,
    courier: Courier,
}

/// What becomes of an event that is tracked.
#[derive(Clone, Debug)]
struct Recording {
    /// As long as this is what may be done.
    collection: Collection,
    /// What makes a line of it; `None` where it would go nowhere.
    by: Option<Arc<Recorder>>,
    /// Whether the line is to stay on this machine.
    local: bool,
}

impl Telemetry {
    /// Telemetry of a tool with this name and version.
    pub fn builder(tool: impl Into<String>, version: impl Into<String>) -> Builder {
        Builder::new(tool.into(), version.into())
    }

    pub(crate) fn assemble(
        settings: Settings,
        enabled: bool,
        consent: ConsentSource,
        data: Option<PathBuf>,
        fs: Arc<dyn Fs>,
    ) -> Self {
        let spools = data.as_ref().map(|data| Spools::open(data, &settings.limits, &fs));
        let inner = Inner {
            settings,
            enabled,
            consent: Arc::new(consent),
            gate: Gate::default(),
            data,
            spools,
            homeless: AtomicU64::new(0),
            parts: PerProcess::new(fs.process(), Parts::default()),
            fs,
        };
        Self { handle: Arc::new(Handle { inner: Arc::new(inner) }) }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.handle.inner
    }

    /// Records an event. It is with the operating system when this returns: a tool that is killed loses nothing.
    pub fn track(&self, kind: impl Into<EventKind>, name: &str, metadata: &[(&str, &str)]) {
        if self.is_open() {
            self.inner().record(&Event::new(kind, name).metadata(metadata));
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
            self.inner().record(&event.metadata(metadata));
        }
    }

    /// Records an event in its extended form.
    pub fn track_event(&self, event: &Event<'_>) {
        if self.is_open() {
            self.inner().record(event);
        }
    }

    /// Times a command from here to the end of the returned scope, and records it then, also on a panic.
    #[must_use = "the command ends when this is dropped"]
    pub fn command(&self, name: impl Into<String>) -> CommandScope {
        CommandScope::new(self.clone(), name.into())
    }

    /// Both gates, for less than it costs to look.
    fn is_open(&self) -> bool {
        self.inner().is_open()
    }

    /// Whether events are recorded now: whether the tool's author and its user both consent.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.inner().enabled && self.consent().is_enabled()
    }

    /// Whether the tool's author collects anything at all.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.inner().enabled
    }

    /// The folder of all that is kept; `None` where there is no home folder.
    #[must_use]
    pub fn data_folder(&self) -> Option<PathBuf> {
        self.inner().data.clone()
    }

    /// Whether events have arguments and error messages too.
    #[must_use]
    pub fn is_extended(&self) -> bool {
        self.inner().settings.extended
    }

    /// Where people turn to with questions, if the tool's author says so.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.inner().settings.help.as_deref()
    }

    /// What the user consents to at this moment, and where that is said.
    #[must_use]
    pub fn consent(&self) -> Consent {
        self.inner().consent.read()
    }

    /// Asks the user for consent unless anything has decided already, or nobody is there to answer.
    ///
    /// # Errors
    /// As [`ConsentSource::first_run`].
    pub fn first_run(&self, prompt: &mut dyn Prompt) -> Result<FirstRun, Error> {
        let inner = self.inner();
        if !inner.enabled {
            return Ok(FirstRun::NotAsked);
        }
        let asked = inner.consent.first_run(&inner.settings.tool, inner.settings.extended, prompt);
        inner.gate.look_again();
        asked
    }

    /// Which backends are in force, and why. Opens none.
    #[must_use]
    pub fn backend_info(&self) -> BackendInfo {
        self.inner().select().info
    }

    /// Opens every backend now, instead of with its first batch, each for at most twice its timeout. Gives those that can't
    /// be opened, and why; they are tried again when there is something for them. For a service that would rather not start
    /// than have events wait.
    #[must_use]
    pub fn open_backends(&self) -> Vec<(String, OpenError)> {
        let inner = self.inner();
        if !self.is_enabled() {
            return Vec::new();
        }
        let _quiet = Quiet::enter();
        inner.courier().open_backends(inner)
    }

    /// Lets every backend have what waits in the spool, and returns as soon as each has come as far as it can: it has
    /// everything that was recorded before, or it has failed and is left alone for a while. So one that hangs is waited
    /// for as long as a call to it may take, and one that has failed before is not waited for at all. `within` is the most
    /// that it takes in any case. [`Flushed::waiting`] says which backends have not got everything, why, and when they
    /// are tried again. With [`Deliver::InBackground`](crate::Deliver) the backends go on meanwhile, and afterwards.
    pub fn flush(&self, within: Duration) -> Flushed {
        let inner = self.inner();
        if !self.is_enabled() {
            return Flushed { emptied: true, ..Flushed::default() };
        }
        let _quiet = Quiet::enter();
        inner.courier().flush(inner, Instant::now() + within)
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
        let inner = self.inner();
        let collection = if inner.enabled {
            inner.consent.read().collection
        } else {
            crate::consent::consent::Collection::Off
        };
        let Some(mut outbox) = inner.outbox(collection) else { return Ok(Resent::default()) };
        let deadline = Instant::now() + within;
        let resent = outbox.resend(deadline);
        outbox.close(left(deadline));
        resent
    }

    /// Forgets all events that wait, those of other processes of the tool too. Those that a backend is being handed at
    /// this moment may still arrive.
    ///
    /// # Errors
    /// [`Error::Spool`].
    pub fn drop_pending(&self) -> Result<(), Error> {
        let _quiet = Quiet::enter();
        self.inner().drop_pending()
    }

    /// Ends delivery as [`Deliver`](crate::Deliver) says: leaves the spool to a child process, or delivers for the last time
    /// for as long as that allows; and closes the backends. What is left waits in the spool. What a child delivers is not
    /// counted here. A process that has had no event has nothing to do here. A second time does nothing; events
    /// tracked later wait for the next run.
    pub fn close(&self) -> Flushed {
        self.inner().close()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner();
        f.debug_struct("Telemetry")
            .field("tool", &inner.settings.tool)
            .field("data", &inner.data)
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inner.close();
    }
}

impl Inner {
    /// The number of this process.
    fn process(&self) -> u32 {
        self.fs.process()
    }

    /// What the clock of the file system says, by which all that is kept is dated.
    pub(crate) fn now_ms(&self) -> u64 {
        self.fs.now_ms()
    }

    fn parts(&self, process: u32) -> &Parts {
        self.parts.of(process, |_| Parts::default())
    }

    pub(crate) fn courier(&self) -> &Courier {
        &self.parts(self.process()).courier
    }

    /// Both gates, for less than it costs to look.
    pub(crate) fn is_open(&self) -> bool {
        self.enabled && self.gate.is_open(&self.consent)
    }

    /// Records an event, unless consent has been withdrawn meanwhile.
    pub(crate) fn record(self: &Arc<Self>, event: &Event<'_>) {
        let _quiet = Quiet::enter();
        let collection = self.consent.current();
        let process = self.process();
        let parts = self.parts(process);
        // What is called from here on may track an event itself, by way of a log, so no lock is held.
        let known = parts.recording.read().unwrap_or_else(PoisonError::into_inner).clone();
        let recording = match known.filter(|known| known.collection == collection) {
            Some(known) => known,
            None => {
                let found = self.recording(collection);
                *parts.recording.write().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
                found
            }
        };
        let Some(recorder) = recording.by else { return };
        let Some(spools) = &self.spools else {
            self.homeless.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let spool = spools.get(recording.local);
        if recorder.is_too_long(event) {
            spool.refuse_as(process, DropReason::TooLong);
            return;
        }
        match recorder.record(process, event, |line| spool.append_as(process, line)) {
            Ok(()) => parts.courier.recorded(self),
            Err(reason) => parts.courier.lost(self, reason),
        }
    }

    /// Puts the event of another into the spool for events that may be sent. One that finds no place there is not
    /// counted: it is still the caller's.
    pub(crate) fn offer(self: &Arc<Self>, line: &[u8]) -> Result<(), DropReason> {
        let Some(spools) = &self.spools else { return Err(DropReason::Unwritable) };
        let process = self.process();
        let courier = &self.parts(process).courier;
        match spools.get(false).offer_as(process, line) {
            Ok(()) => courier.recorded(self),
            Err(reason) => {
                courier.lost(self, reason);
                return Err(reason);
            }
        }
        Ok(())
    }

    /// Looks again at what events are made of, when the next one comes.
    pub(crate) fn forget_recorder(&self) {
        let parts = self.parts(self.process());
        *parts.recording.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn recording(&self, collection: Collection) -> Recording {
        let nowhere = Recording { collection, by: None, local: false };
        if collection == Collection::Off {
            return nowhere;
        }
        let info = self.select_for(collection).info;
        if info.why == Chosen::Nothing {
            tracing::debug!("telemetry: no backend is configured, nothing is recorded");
            return nowhere;
        }
        let recorder = self.recorder_for(&self.machine_id().read().id);
        Recording { by: Some(Arc::new(recorder)), local: info.stays_here(collection), ..nowhere }
    }

    pub(crate) fn machine_id(&self) -> MachineIdFile {
        MachineIdFile::new(&self.settings.tool, self.trusted_data())
    }

    /// The backends by what is so now, not opened.
    pub(crate) fn select(&self) -> Selected {
        self.select_for(self.consent.read().collection)
    }

    /// Those by what would be so.
    pub(crate) fn select_for(&self, collection: Collection) -> Selected {
        let mut selected = select(&self.settings, collection, self.data.as_deref());
        if let Some(data) = self.trusted_data() {
            for target in &mut selected.targets {
                target.remember_crashes(data.join(CRASHES));
            }
        }
        selected
    }

    /// Plugin files that have crashed in processes of their own.
    pub(crate) fn crashes(&self) -> Vec<Crash> {
        self.trusted_data().map(|data| jackfield_loader::crashes(&data.join(CRASHES))).unwrap_or_default()
    }

    /// A batch of an event that is not recorded.
    pub(crate) fn batch_of(&self, event: &Event<'_>, machine_id: &str) -> Result<Batch, Error> {
        let mut buffer = EventBuffer::new(self.fill());
        self.recorder_for(machine_id).record(self.process(), event, |line| buffer.push_line(line))?;
        Ok(buffer.take())
    }

    fn recorder_for(&self, machine_id: &str) -> Recorder {
        let origin = Origin {
            machine_id,
            tool_name: &self.settings.tool,
            version: &self.settings.version,
            os_version: &crate::event::defaults::os_version(),
        };
        Recorder::new(Encoder::new(origin), &self.settings.metadata, self.settings.extended)
    }

    /// What lines that were recorded by us do not lack, and those of a damaged spool may.
    pub(crate) fn fill(&self) -> Fill {
        Fill::new(&self.settings.tool, &self.settings.version).with_machine_id(&self.machine_id().peek())
    }

    /// The data folder, unless others can write to it.
    pub(crate) fn trusted_data(&self) -> Option<&Path> {
        self.data.as_deref().filter(|data| data_folder::refusal(data).is_none())
    }

    /// Why the data folder is not used.
    pub(crate) fn data_refusal(&self) -> Option<String> {
        self.data.as_deref().and_then(data_folder::refusal)
    }

    pub(crate) fn states(&self) -> Option<States> {
        self.trusted_data().map(States::new)
    }

    pub(crate) fn sending(&self) -> Option<Sending> {
        self.trusted_data().map(Sending::new)
    }

    /// What delivers under `collection`; `None` without a folder.
    pub(crate) fn outbox(&self, collection: Collection) -> Option<Outbox> {
        let Selected { targets, info } = self.select_for(collection);
        if let Chosen::Broken(reason) = &info.why {
            tracing::warn!("telemetry waits: {reason}");
        }
        let consent = Arc::clone(&self.consent);
        let may_send = Arc::new(move || consent.read().collection);
        let local = info.stays_here(collection);
        let spool = self.spools.as_ref()?.get(local).clone();
        let kept = Kept { spool, states: self.states()?, sending: self.sending()? };
        let outbox = Outbox::new(kept, targets, self.settings.mode, self.fill(), collection, may_send);
        Some(outbox.local(local))
    }

    pub(crate) fn enforce_limits(&self) -> Result<(), Error> {
        self.spools.as_ref().map_or(Ok(()), Spools::enforce_limits)
    }

    /// Forgets what waits.
    pub(crate) fn drop_pending(&self) -> Result<(), Error> {
        self.spools.as_ref().map_or(Ok(()), Spools::drop_pending)
    }

    /// The local log of `TELEMETRY_LOCAL`.
    pub(crate) fn local_log(&self) -> Option<PathBuf> {
        self.data.as_deref().map(|data: &Path| data.join(crate::instance::select_backends::LOCAL_LOG))
    }

    fn close(&self) -> Flushed {
        // What another process has, a forked child leaves alone.
        let Some(parts) = self.parts.get(self.process()) else {
            return Flushed { emptied: true, ..Flushed::default() };
        };
        let _quiet = Quiet::enter();
        let flushed = parts.courier.close(self, Instant::now() + self.settings.deliver.within());
        for spool in self.spools.iter().flat_map(Spools::both) {
            spool.seal();
        }
        flushed
    }
}
