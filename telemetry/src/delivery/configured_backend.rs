//! One backend, and how it is opened.

use std::{
    ops::Deref,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use jackfield_loader::{Backend, BackendOptions, Batch, Digest, Isolation, Location, plugin_api::Deletion};

use crate::config::model::{BackendConfig, LONGEST_PAUSE, PluginsConfig};
use crate::delivery::open_backend::{Loaded, OpenError, PluginFile, PluginSource};
use crate::files::Stamp;
use crate::process::lock;

/// Opens a backend that is compiled into the tool.
pub(crate) type OpenStatic =
    Arc<dyn Fn(&BackendOptions) -> Result<Backend, jackfield_loader::Error> + Send + Sync>;

/// The source of a backend.
#[derive(Clone)]
pub(crate) enum Source {
    /// A plugin: its configuration, the settings for plugins, and the folder where relative paths start.
    Plugin { config: Box<BackendConfig>, plugins: PluginsConfig, folder: PathBuf },
    /// A backend that is compiled into the tool.
    Static(OpenStatic),
}

impl Source {
    /// The plugin; `None` for a backend that is compiled in.
    pub(crate) fn plugin(&self) -> Option<PluginSource<'_>> {
        match self {
            Self::Plugin { config, plugins, folder } => Some(PluginSource { config, plugins, folder }),
            Self::Static(_) => None,
        }
    }
}

/// One configured backend. It is opened when it is first needed.
pub(crate) struct ConfiguredBackend {
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) options: BackendOptions,
    seat: Mutex<Option<Arc<Open>>>,
    /// Held while the backend is opened.
    opening: Mutex<()>,
    /// The digest of the configuration.
    configuration: OnceLock<Digest>,
}

/// An open backend.
#[derive(Debug)]
pub(crate) struct Open {
    backend: Backend,
    /// The library; `None` for a backend that is compiled in.
    pub(crate) image: Option<Loaded>,
}

impl Deref for Open {
    type Target = Backend;

    fn deref(&self) -> &Backend {
        &self.backend
    }
}

impl ConfiguredBackend {
    pub(crate) fn new(source: Source, options: BackendOptions) -> Self {
        let (seat, opening, configuration) = Default::default();
        Self { name: options.name.clone(), source, options, seat, opening, configuration }
    }

    /// The same backend, not opened.
    pub(crate) fn unopened(&self) -> Self {
        Self::new(self.source.clone(), self.options.clone())
    }

    /// The longest pause between two attempts, while the backend fails.
    pub(crate) fn longest_pause(&self) -> Duration {
        match &self.source {
            Source::Plugin { config, .. } => config.longest_pause,
            Source::Static(_) => LONGEST_PAUSE,
        }
    }

    /// The open backend; `None` before it is opened.
    pub(crate) fn opened(&self) -> Option<Arc<Open>> {
        lock(&self.seat).clone()
    }

    /// Sets the folder of the crash history, if the plugin may run in an isolated child.
    pub(crate) fn remember_crashes(&mut self, folder: PathBuf) {
        if let Isolation::Process(process) | Isolation::AsDeclared(process) = &mut self.options.isolation {
            process.crashes = Some(folder);
        }
    }

    /// Opens the backend if it is not open. This takes at most `limit`.
    pub(crate) fn open(&self, limit: Duration) -> Result<Arc<Open>, OpenError> {
        let _one = lock(&self.opening);
        if let Some(open) = self.opened() {
            return Ok(open);
        }
        match &self.source {
            Source::Plugin { config, plugins, folder } => {
                let plugin = PluginSource { config, plugins, folder };
                self.open_file(plugin, plugin.read()?, limit)
            }
            Source::Static(open) => self.open_static(open, limit),
        }
    }

    /// Where the plugin is now; `None` for a backend in code.
    pub(crate) fn find(&self) -> Option<Result<Location, OpenError>> {
        self.source.plugin().map(PluginSource::find)
    }

    /// Whether the plugin is the one that is built in.
    pub(crate) fn is_built_in(&self) -> bool {
        matches!(self.find(), Some(Ok(Location::BuiltIn(_))))
    }

    /// Whether the plugin is a library.
    pub(crate) fn is_library(&self) -> bool {
        matches!(self.find(), Some(Ok(Location::File(_))))
    }

    /// Why the plugin can't be found, for messages to people; `None` when it is there, and for a backend in code.
    pub(crate) fn missing(&self) -> Option<OpenError> {
        Some(self.explained(self.find()?.err()?))
    }

    /// The error in more words, for messages to people.
    pub(crate) fn explained(&self, error: OpenError) -> OpenError {
        match self.source.plugin() {
            Some(plugin) => plugin.explained(error),
            None => error,
        }
    }

    pub(crate) fn open_static(&self, open: &OpenStatic, limit: Duration) -> Result<Arc<Open>, OpenError> {
        let backend =
            open(&self.options_within(limit)).map_err(|error| OpenError::of(&error, error.to_string()))?;
        Ok(self.take_seat(Open { backend, image: None }))
    }

    /// Opens the backend from a file that was read, in at most `limit`.
    pub(crate) fn open_file(
        &self,
        plugin: PluginSource<'_>,
        file: PluginFile,
        limit: Duration,
    ) -> Result<Arc<Open>, OpenError> {
        let (backend, image) = plugin.open(file, &self.options, limit)?;
        Ok(self.take_seat(Open { backend, image: Some(image) }))
    }

    /// Opens the backend from the library of another one, in at most `limit`.
    pub(crate) fn open_loaded(
        &self,
        plugin: PluginSource<'_>,
        image: &Loaded,
        limit: Duration,
    ) -> Result<Arc<Open>, OpenError> {
        let (backend, image) = plugin.open_loaded(image, &self.options_within(limit))?;
        Ok(self.take_seat(Open { backend, image: Some(image) }))
    }

    fn options_within(&self, limit: Duration) -> BackendOptions {
        let options = self.options.clone();
        let timeout = options.timeout.min(limit);
        options.timeout(timeout)
    }

    fn take_seat(&self, open: Open) -> Arc<Open> {
        let open = Arc::new(open);
        *lock(&self.seat) = Some(Arc::clone(&open));
        open
    }

    /// Checks whether the backend can be opened, without running the plugin's code: the file is compatible and trusted,
    /// and the options fit its schema.
    pub(crate) fn locate(&self) -> Result<(), OpenError> {
        self.source.plugin().map_or(Ok(()), |plugin| plugin.locate(&self.options.isolation))
    }

    /// A digest of the configuration and the plugin's file. It reveals nothing of the configuration. For an open
    /// backend, the file is the one that it was loaded from.
    pub(crate) fn fingerprint(&self) -> String {
        let Source::Plugin { config, plugins, folder } = &self.source else { return String::new() };
        let stamp = match self.opened().and_then(|open| open.image.as_ref()?.stamp) {
            Some(stamp) => Some(stamp),
            // A plugin that is built in changes with the tool.
            None => jackfield_loader::find(&config.plugin, &plugins.path, folder)
                .ok()
                .and_then(|location| Stamp::of_file(&location.code_file())),
        };
        let file = stamp.map(|stamp| stamp.mark()).unwrap_or_default();
        let of_all = [self.configuration(config, plugins).as_bytes(), file.as_bytes()].concat();
        jackfield_loader::hex(&Digest::of(&of_all).as_bytes()[..8])
    }

    fn configuration(&self, config: &BackendConfig, plugins: &PluginsConfig) -> &Digest {
        self.configuration.get_or_init(|| config.digest(plugins))
    }

    /// Whether both have the same configuration. Relative paths start at its folder.
    pub(crate) fn same_configuration(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (Source::Static(ours), Source::Static(theirs)) => Arc::ptr_eq(ours, theirs),
            (
                Source::Plugin { config: ours, plugins: our_plugins, folder: our_folder },
                Source::Plugin { config: theirs, plugins: their_plugins, folder: their_folder },
            ) => {
                self.configuration(ours, our_plugins) == other.configuration(theirs, their_plugins)
                    && our_folder == their_folder
            }
            _ => false,
        }
    }

    /// `text` of a plugin, without the values of variables in its configuration.
    pub(crate) fn conceal(&self, text: &str) -> String {
        match &self.source {
            Source::Plugin { config, .. } => config.conceal(text),
            Source::Static(_) => text.to_owned(),
        }
    }

    /// A reason of a plugin for people, as [`BackendConfig::reason`].
    pub(crate) fn reason(&self, text: &str) -> String {
        match &self.source {
            Source::Plugin { config, .. } => config.reason(text),
            Source::Static(_) => text.to_owned(),
        }
    }

    /// Requests the deletion of a machine's data from the backend's platform.
    pub(crate) fn request_deletion(&self, machine_id: &str, event: &Batch, limit: Duration) -> Deletion {
        match self.open(limit) {
            Ok(backend) => backend.request_deletion(machine_id, event, limit),
            Err(error) => Deletion::Failed(self.explained(error).to_string()),
        }
    }

    /// Closes the backend, if it is open.
    pub(crate) fn close(&self, limit: Duration) {
        let open = lock(&self.seat).take();
        if let Some(backend) = open
            && let Err(error) = backend.close(limit)
        {
            tracing::warn!("{}", self.conceal(&error.to_string()));
        }
    }
}
