//! A backend: a guarded plugin, or the noop in its place.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use jackfield_plugin_api::{
    Backend as PluginBackend, DeletesData, Deletion, Diagnoses, Probe, deletion, diagnostics, export,
};

use crate::boundary::batch::Batch;
use crate::guard::error::{CloseError, OpenError, OpenFailure, Stage};
use crate::guard::executor::Entry;
use crate::guard::in_process::{InProcess, Source};
use crate::guard::options::BackendOptions;
use crate::guard::preview::{Preview, PreviewError};
use crate::guard::report::Report;
use crate::guard::stats::Stats;
use crate::guard::supervisor::Supervisor;
use crate::isolated::instance;
use crate::library::location::Location;
use crate::load::check::CheckError;
use crate::load::dlopen::LoadError;
use crate::load::loaded_libraries::hanging_load;
use crate::load::tables::PluginTables;
use crate::plugin::{Candidate, Error, Plugin, Verified};

/// A backend that takes batches of events.
///
/// Dropping it lets no further call enter the plugin. [`close`](Self::close) flushes first.
pub struct Backend {
    name: String,
    timeout: Duration,
    /// `None` for noop.
    supervisor: Option<Supervisor>,
}

fn not_open(options: &BackendOptions, plugin: Option<&Location>, failure: OpenFailure) -> Error {
    Error::Open(OpenError { backend: options.name.clone(), plugin: plugin.cloned(), failure })
}

impl Backend {
    /// Opens an instance of a plugin in this process or, with process isolation, in a child process.
    ///
    /// # Errors
    /// [`Error::Load`], [`Error::Check`], then as for [`open`](Self::open). [`Error::Open`] also if no child
    /// can be started, if it crashed, or if the file is left alone after crashes.
    ///
    /// # Platform
    /// Child processes exist on Linux.
    pub fn open_verified(plugin: &Verified, options: &BackendOptions) -> Result<Self, Error> {
        let Some(process) = options.isolation.process_of(plugin.metadata()) else {
            return Self::open(&plugin.load_within(options.timeout)?, options);
        };
        let location = plugin.location();
        let entry = instance::entry(Arc::clone(plugin.content()), location, process, options);
        let opened = entry.and_then(|entry| Self::open_entry(entry, options));
        opened.map_err(|failure| match failure {
            OpenFailure::Stage { stage: Stage::Load, message } => {
                let reason = LoadError::InProcess { message: message.into() };
                Error::Load { plugin: location.clone(), reason }
            }
            OpenFailure::Stage { stage: Stage::Check, message } => {
                let reason = CheckError::InProcess { message: message.into() };
                Error::Check { plugin: location.clone(), reason }
            }
            failure => not_open(options, Some(location), failure),
        })
    }

    /// Goes the way to an isolated plugin up to its load, and no further: starts a child, which applies its limits and
    /// its sandbox, and ends it. No code of the plugin runs. Without process isolation there is nothing to do.
    ///
    /// # Errors
    /// [`Error::Open`]: no child can be started, or it can't be limited or sandboxed as the options say.
    ///
    /// # Platform
    /// Child processes exist on Linux.
    pub fn rehearse(plugin: &Candidate, options: &BackendOptions) -> Result<(), Error> {
        let Some(process) = options.isolation.process_of(&plugin.inspection().metadata) else {
            return Ok(());
        };
        let entry = instance::rehearsal(Arc::clone(plugin.content()?), plugin.location(), process, options);
        match entry.and_then(|entry| Self::open_entry(entry, options)) {
            // The child has come to the load, where a rehearsal ends.
            Ok(_) | Err(OpenFailure::Stage { stage: Stage::Load, .. }) => Ok(()),
            Err(failure) => Err(not_open(options, Some(plugin.location()), failure)),
        }
    }

    /// Opens an instance of a loaded plugin in this process, with any isolation in the options.
    ///
    /// # Errors
    /// [`Error::Open`]: the plugin refused its configuration, failed, panicked, or did not return in time; or
    /// [another library hangs](crate::load::loaded_libraries::hanging_load).
    pub fn open(plugin: &Plugin, options: &BackendOptions) -> Result<Self, Error> {
        let entry = InProcess { tables: plugin.tables(), source: Source::config(options) };
        Self::open_entry(Box::new(entry), options)
            .map_err(|failure| not_open(options, Some(plugin.location()), failure))
    }

    /// Opens a backend that is compiled into this program, guarded as a plugin, with the configuration of the
    /// options. [`StaticBackend`] opens one with optional abilities.
    ///
    /// # Errors
    /// [`Error::Open`], as for [`open`](Self::open).
    pub fn open_static<B: PluginBackend>(options: &BackendOptions) -> Result<Self, Error> {
        StaticBackend::<B>::configured().open(options)
    }

    /// Opens a backend that is a value of this program, guarded as a plugin. `make` is called now, and again
    /// after a panic or a hang, for a new instance. The configuration of the options has no effect.
    ///
    /// # Errors
    /// [`Error::Open`] if `make` panics or takes longer than the timeout.
    pub fn open_with<B: PluginBackend>(
        options: &BackendOptions,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        StaticBackend::made(make).open(options)
    }

    fn open_entry(entry: Box<dyn Entry>, options: &BackendOptions) -> Result<Self, OpenFailure> {
        if let Some((by, since)) = hanging_load() {
            let message = LoadError::Blocked { by, since }.to_string();
            return Err(OpenFailure::Stage { stage: Stage::Load, message });
        }
        let supervisor = Supervisor::open(entry, options)?;
        Ok(Self { name: options.name.clone(), timeout: options.timeout, supervisor: Some(supervisor) })
    }

    /// A backend that accepts and discards every event.
    pub fn noop(name: impl Into<String>) -> Self {
        Self { name: name.into(), timeout: Duration::MAX, supervisor: None }
    }

    /// The backend of `plugin`, or [`noop`](Self::noop) with a `tracing` warning about the error.
    pub fn open_or_noop(plugin: Result<Plugin, Error>, options: &BackendOptions) -> Self {
        match plugin.and_then(|plugin| Self::open(&plugin, options)) {
            Ok(backend) => backend,
            Err(error) => {
                tracing::warn!(backend = %options.name, "its events go nowhere: {error}");
                Self::noop(&options.name)
            }
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether there is no plugin, so that "delivered" means "discarded".
    #[must_use]
    pub const fn is_noop(&self) -> bool {
        self.supervisor.is_none()
    }

    /// Sends a batch and waits for the answer, at most for the backend's timeout.
    #[must_use]
    pub fn send(&self, batch: &Batch) -> Report {
        self.send_within(batch, self.timeout)
    }

    /// Sends a batch and waits for the answer, at most for `timeout`.
    #[must_use]
    pub fn send_within(&self, batch: &Batch, timeout: Duration) -> Report {
        match &self.supervisor {
            Some(supervisor) => supervisor.send(batch, timeout, None),
            None => Report::delivered(batch.len()),
        }
    }

    /// As [`send_within`](Self::send_within), while `wanted` returns `true`, which is checked ten times a
    /// second. Then the call is cancelled, and the plugin has a quarter of a second to return before a child
    /// process is killed. In this process the plugin runs until it asks whether it is cancelled.
    #[must_use]
    pub fn send_while(&self, batch: &Batch, timeout: Duration, wanted: &dyn Fn() -> bool) -> Report {
        match &self.supervisor {
            Some(supervisor) => supervisor.send(batch, timeout, Some(wanted)),
            None => Report::delivered(batch.len()),
        }
    }

    /// As [`send_within`](Self::send_within), from a task of a tokio runtime with its time driver enabled.
    /// Dropping the future cancels the call, whose outcome stays unknown.
    #[cfg(feature = "tokio")]
    pub async fn send_async(&self, batch: &Batch, timeout: Duration) -> Report {
        match &self.supervisor {
            Some(supervisor) => supervisor.send_async(batch, timeout).await,
            None => Report::delivered(batch.len()),
        }
    }

    /// Asks the platform to delete the data of a machine, and waits for the answer, at most for `timeout`.
    /// `event` is a batch of one event of the type `data.deletion_request`, for platforms without such a
    /// request.
    #[must_use]
    pub fn request_deletion(&self, machine_id: &str, event: &Batch, timeout: Duration) -> Deletion {
        let none = "there is no backend behind the name: events were discarded";
        self.supervisor.as_ref().map_or_else(
            || Deletion::Unsupported(none.to_owned()),
            |supervisor| supervisor.delete(machine_id, event, timeout),
        )
    }

    /// Asks what a `send` of the batch would send, and waits for the answer, at most for `timeout`.
    ///
    /// The bytes are for the user of the tool. They may contain the key of the platform.
    ///
    /// # Errors
    /// [`PreviewError::Unsupported`] without a table of diagnostics; otherwise why the call failed.
    pub fn preview(&self, batch: &Batch, timeout: Duration) -> Result<Preview, PreviewError> {
        self.supervisor
            .as_ref()
            .map_or_else(|| Ok(Preview::default()), |supervisor| supervisor.preview(batch, timeout))
    }

    /// Asks whether the platform can be reached and accepts the backend, without delivering an event, and
    /// waits at most for `timeout`. A call that fails or takes too long is [`Probe::Unreachable`].
    #[must_use]
    pub fn probe(&self, timeout: Duration) -> Probe {
        let none = || Probe::Unsupported("there is no backend behind the name: events are discarded".into());
        self.supervisor.as_ref().map_or_else(none, |supervisor| supervisor.probe(timeout))
    }

    /// Lets calls finish, flushes and frees the instance, all within `timeout`. A second close does nothing.
    ///
    /// # Errors
    /// [`Error::Close`] if something failed or took too long. The backend is closed all the same.
    pub fn close(&self, timeout: Duration) -> Result<(), Error> {
        let Some(supervisor) = &self.supervisor else { return Ok(()) };
        supervisor
            .close(timeout)
            .map_err(|failure| Error::Close(CloseError { backend: self.name.clone(), failure }))
    }

    /// As [`close`](Self::close), for a task of a tokio runtime. Another thread waits.
    #[cfg(feature = "tokio")]
    pub async fn close_async(self: Arc<Self>, timeout: Duration) -> Result<(), Error> {
        let (answer, closed) = tokio::sync::oneshot::channel();
        let backend = Arc::clone(&self);
        let closer = crate::boundary::process::backend_thread("close", &self.name)
            .spawn(move || drop(answer.send(backend.close(timeout))));
        match closer {
            Ok(_) => closed.await.unwrap_or(Ok(())),
            Err(_) => self.close(timeout),
        }
    }

    /// The counts since the backend was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.supervisor.as_ref().map(Supervisor::stats).unwrap_or_default()
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("name", &self.name)
            .field("noop", &self.is_noop())
            .finish_non_exhaustive()
    }
}

/// A backend that is compiled into this program, with its optional abilities. [`Backend::open_static`] and
/// [`Backend::open_with`] open one without any.
pub struct StaticBackend<B> {
    tables: PluginTables,
    /// `None` for the configuration of the options.
    source: Option<Source>,
    backend: PhantomData<fn() -> B>,
}

impl<B: PluginBackend> StaticBackend<B> {
    /// A backend with the configuration of the options.
    #[must_use]
    pub const fn configured() -> Self {
        let tables = PluginTables::new(export::static_table::<B>());
        Self { tables, source: None, backend: PhantomData }
    }

    /// A backend that is a value of this program, as for [`Backend::open_with`].
    #[must_use]
    pub fn made(make: impl Fn() -> B + Send + Sync + 'static) -> Self {
        let source = Source::Value(Arc::new(move || export::instance(make())));
        Self { source: Some(source), ..Self::configured() }
    }

    /// Adds the ability to ask the platform to delete data.
    #[must_use]
    pub fn deletion(mut self) -> Self
    where
        B: DeletesData,
    {
        self.tables.deletion = Some(deletion::table::<B>());
        self
    }

    /// Adds the abilities to show what would be sent, and to probe the platform.
    #[must_use]
    pub fn diagnostics(mut self) -> Self
    where
        B: Diagnoses,
    {
        self.tables.diagnostics = Some(diagnostics::table::<B>());
        self
    }

    /// Opens it, guarded as a plugin.
    ///
    /// # Errors
    /// [`Error::Open`], as for [`Backend::open`].
    pub fn open(self, options: &BackendOptions) -> Result<Backend, Error> {
        let source = self.source.unwrap_or_else(|| Source::config(options));
        Backend::open_entry(Box::new(InProcess { tables: self.tables, source }), options)
            .map_err(|failure| not_open(options, None, failure))
    }
}

impl<B> fmt::Debug for StaticBackend<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticBackend")
            .field("deletion", &self.tables.deletion.is_some())
            .field("diagnostics", &self.tables.diagnostics.is_some())
            .finish_non_exhaustive()
    }
}
