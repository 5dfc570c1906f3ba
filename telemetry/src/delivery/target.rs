//! One backend: how it is opened.

use std::{
    fmt,
    ops::Deref,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jackfield_loader::{
    Backend, BackendOptions, Batch, Candidate, ForeignText, Isolation, Plugin, Policy, Verified,
    plugin_api::Deletion,
};

use sha2::{Digest as _, Sha256};

use crate::config::model::{BackendConfig, PluginsConfig};
use crate::files::stamp::Stamp;
use crate::process::deadline::left;

/// Opens a backend that is compiled into the tool.
pub(crate) type OpenStatic =
    Arc<dyn Fn(&BackendOptions) -> Result<Backend, jackfield_loader::Error> + Send + Sync>;

/// Where a backend comes from.
#[derive(Clone)]
pub(crate) enum Source {
    /// A plugin: its configuration, where plugins are, and where a relative path starts.
    Plugin { config: Box<BackendConfig>, plugins: PluginsConfig, folder: PathBuf },
    /// A value of the tool.
    Static(OpenStatic),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plugin { config, .. } => f.debug_tuple("Plugin").field(&config.plugin).finish(),
            Self::Static(_) => f.write_str("Static"),
        }
    }
}

/// One backend as it is configured, opened when it is first needed.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) options: BackendOptions,
    seat: Arc<Mutex<Option<Arc<Open>>>>,
}

/// An open backend.
#[derive(Debug)]
pub(crate) struct Open {
    backend: Backend,
    /// What it was loaded from, unless it is compiled in.
    pub(crate) image: Option<Loaded>,
}

/// The library of an open backend.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    library: Library,
    /// The library's name and version, as it says.
    pub(crate) name: ForeignText,
    pub(crate) version: ForeignText,
    pub(crate) file: PathBuf,
    /// What the file was like just before it was read.
    pub(crate) stamp: Option<Stamp>,
    /// SHA-256 of the bytes.
    pub(crate) digest: [u8; 32],
}

/// What a backend with another configuration can be opened from, without the file.
#[derive(Clone, Debug)]
enum Library {
    /// Loaded into this process.
    Here(Plugin),
    /// For processes of its own; this one never maps it.
    Apart(Arc<Verified>),
}

impl Loaded {
    /// Whether a policy allows it as it is now.
    pub(crate) fn still_allowed_by(&self, policy: &Policy) -> Result<(), jackfield_loader::Error> {
        match &self.library {
            Library::Here(plugin) => plugin.still_allowed_by(policy),
            Library::Apart(verified) => verified.still_allowed_by(policy),
        }
    }
}

impl Deref for Open {
    type Target = Backend;

    fn deref(&self) -> &Backend {
        &self.backend
    }
}

impl Target {
    pub(crate) fn new(source: Source, options: BackendOptions) -> Self {
        Self { name: options.name.clone(), source, options, seat: Arc::default() }
    }

    /// The same one: what is opened or closed by either is so for both.
    pub(crate) fn share(&self) -> Self {
        let Self { name, source, options, seat } = self;
        Self { name: name.clone(), source: source.clone(), options: options.clone(), seat: Arc::clone(seat) }
    }

    /// The same backend, to be opened anew.
    pub(crate) fn unopened(&self) -> Self {
        let Self { name, source, options, .. } = self;
        Self { name: name.clone(), source: source.clone(), options: options.clone(), seat: Arc::default() }
    }

    fn seat(&self) -> MutexGuard<'_, Option<Arc<Open>>> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The backend if it is open.
    pub(crate) fn opened(&self) -> Option<Arc<Open>> {
        self.seat().clone()
    }

    /// Has crashes of the plugin remembered in this folder, if it has a process of its own.
    pub(crate) fn remember_crashes(&mut self, folder: PathBuf) {
        if let Isolation::Process(process) = &self.options.isolation {
            self.options.isolation = Isolation::Process(process.clone().crashes(folder));
        }
    }

    /// The open backend. Opening takes at most `limit`.
    pub(crate) fn open(&mut self, limit: Duration) -> Result<Arc<Open>, jackfield_loader::Error> {
        if let Some(open) = self.opened() {
            return Ok(open);
        }
        match &self.source {
            Source::Plugin { config, plugins, folder } => {
                let file = jackfield_loader::find(&config.plugin, &plugins.path, folder)?;
                let stamp = Stamp::of_file(&file);
                let candidate = Candidate::open(&file)?;
                self.open_candidate(plugins, candidate, (file, stamp), limit)
            }
            Source::Static(open) => {
                let backend = open(&self.options_within(limit))?;
                Ok(self.take_seat(Open { backend, image: None }))
            }
        }
    }

    /// Opens a backend that is compiled in.
    pub(crate) fn open_static(&self, open: &OpenStatic) -> Result<Arc<Open>, jackfield_loader::Error> {
        let backend = open(&self.options)?;
        Ok(self.take_seat(Open { backend, image: None }))
    }

    /// Opens the backend from the bytes that were read. Opening takes at most `limit`.
    pub(crate) fn open_candidate(
        &self,
        plugins: &PluginsConfig,
        candidate: Candidate,
        (file, stamp): (PathBuf, Option<Stamp>),
        limit: Duration,
    ) -> Result<Arc<Open>, jackfield_loader::Error> {
        let digest = Sha256::digest(candidate.bytes()).into();
        let deadline = Instant::now() + limit;
        let options = self.options_within(limit);
        let verified = candidate.verify_for(&options.isolation, plugins.policy())?;
        let (name, version) = (verified.metadata().name.clone(), verified.metadata().version.clone());
        let (library, backend) = if matches!(options.isolation, Isolation::Thread) {
            let plugin = verified.load_within(options.timeout)?;
            let backend = Backend::open(&plugin, &self.options_within(left(deadline)))?;
            (Library::Here(plugin), backend)
        } else {
            let backend = Backend::open_verified(&verified, &options)?;
            (Library::Apart(Arc::new(verified)), backend)
        };
        let image = Loaded { library, name, version, file, stamp, digest };
        Ok(self.take_seat(Open { backend, image: Some(image) }))
    }

    /// Whether the backend can be opened from what another one was loaded from.
    pub(crate) fn can_share(&self, image: &Loaded) -> bool {
        let here = matches!(self.options.isolation, Isolation::Thread);
        here == matches!(image.library, Library::Here(_))
    }

    /// Opens the backend from what another one was loaded from. Opening takes at most `limit`.
    pub(crate) fn open_loaded(
        &self,
        image: &Loaded,
        limit: Duration,
    ) -> Result<Arc<Open>, jackfield_loader::Error> {
        let options = self.options_within(limit);
        let backend = match &image.library {
            Library::Here(plugin) => Backend::open(plugin, &options)?,
            Library::Apart(verified) => Backend::open_verified(verified, &options)?,
        };
        Ok(self.take_seat(Open { backend, image: Some(image.clone()) }))
    }

    fn options_within(&self, limit: Duration) -> BackendOptions {
        let options = self.options.clone();
        let timeout = options.timeout.min(limit);
        options.timeout(timeout)
    }

    fn take_seat(&self, open: Open) -> Arc<Open> {
        let open = Arc::new(open);
        *self.seat() = Some(Arc::clone(&open));
        open
    }

    /// Whether there is something to open: a plugin's file that is compatible and trusted. Runs none of its code.
    pub(crate) fn locate(&self) -> Result<(), String> {
        let Source::Plugin { config, plugins, folder } = &self.source else { return Ok(()) };
        let found = jackfield_loader::find(&config.plugin, &plugins.path, folder);
        let isolation = &self.options.isolation;
        let verified = found.and_then(|file| Candidate::open(&file)?.verify_for(isolation, plugins.policy()));
        verified.map(drop).map_err(|error| error.to_string())
    }

    /// What tells the backend from the same one with another configuration or another file, with nothing of it in clear.
    /// Of an open one the file is that which it was loaded from.
    pub(crate) fn fingerprint(&self) -> String {
        let Source::Plugin { config, plugins, folder } = &self.source else { return String::new() };
        let stamp = match self.opened().and_then(|open| open.image.as_ref()?.stamp.clone()) {
            Some(stamp) => Some(stamp),
            None => jackfield_loader::find(&config.plugin, &plugins.path, folder)
                .ok()
                .and_then(|file| Stamp::of_file(&file)),
        };
        let file = stamp.map(|stamp| stamp.mark()).unwrap_or_default();
        let confined = format!("{:?} {:?} {:?}", config.isolated, config.limits, config.sandbox);
        let parts = [&*config.plugin, &*config.config, &*file, &*confined];
        let digest = parts
            .iter()
            .fold(Sha256::new(), |hash, part| hash.chain_update(part).chain_update("\0"))
            .finalize();
        jackfield_loader::hex(&digest[..8])
    }

    /// `text`, which a plugin wrote, without the values of variables that are in its configuration.
    pub(crate) fn conceal(&self, text: &str) -> String {
        match &self.source {
            Source::Plugin { config, .. } => config.conceal(text),
            Source::Static(_) => text.to_owned(),
        }
    }

    /// Asks the backend's platform to forget a machine.
    pub(crate) fn request_deletion(&mut self, machine_id: &str, event: &Batch, limit: Duration) -> Deletion {
        match self.open(limit) {
            Ok(backend) => backend.request_deletion(machine_id, event, limit),
            Err(error) => Deletion::Failed(error.to_string()),
        }
    }

    /// Closes the backend if it is open.
    pub(crate) fn close(&self, limit: Duration) {
        let open = self.seat().take();
        if let Some(backend) = open
            && let Err(error) = backend.close(limit)
        {
            tracing::warn!("{error}");
        }
    }
}
