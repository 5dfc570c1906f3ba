//! The only way from a backend's configuration to an open backend.
//!
//! | stage | what it does | who refuses |
//! | --- | --- | --- |
//! | find | finds the plugin along the search path, whose last place is what is built in | no place has it |
//! | read | reads the file and its metadata | the file is no plugin for this host |
//! | verify | judges the bytes that were read by the trust policy | the policy |
//! | options | compares the options with the schema in the file | the schema |
//! | load | maps the bytes, in this process or in a child | the dynamic linker |
//! | open | passes the options to the plugin | the plugin, or its platform can't be reached |
//!
//! The plugin's code does not run before `load`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield_loader::{
    Backend, BackendOptions, Candidate, Error, Failure, ForeignText, Isolation, Layout, LoadError, Location,
    Metadata, OpenFailure, Plugin, Policy, Stage, Verified, VerifyError, plugin_api::abi,
};
use serde_json::Value;

use crate::config::model::{BackendConfig, Config, PluginsConfig};
use crate::config::paths::explain_missing;
use crate::config::schema::OptionsSchema;
use crate::config::schema::fault::Fault;
use crate::error::Place;
use crate::files::{Stamp, Stamps};
use crate::process::left;

/// Why a backend could not be opened, in one line without the values of variables.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The backend's configuration is wrong: the schema or the plugin refuses an option, or the isolated child can't be
    /// started or sandboxed with it.
    #[error("{reason}")]
    Config {
        /// File, line, backend, key, what is wrong with it, and the nearest right key.
        reason: ForeignText,
        /// The first place that the reason names.
        at: Option<Place>,
    },
    /// The lock file can't be read or is wrong.
    #[error("{reason}")]
    Lock {
        /// The lock file, its line, and what is wrong.
        reason: ForeignText,
    },
    /// The plugin can't be used: it is missing, is no plugin for this host, is not trusted, can't be loaded, or always
    /// fails.
    #[error("{reason}")]
    Plugin {
        /// The stage, the file, what was expected and what was found.
        reason: ForeignText,
        /// Whether the plugin's code has run, which may have cost time.
        ran: bool,
    },
    /// The backend may open later: its platform can't be reached, or its plugin has crashed and is paused.
    #[error("{reason}")]
    Unavailable {
        /// The file, the backend and what the plugin says.
        reason: ForeignText,
    },
}

impl OpenError {
    /// The place in the configuration that the error is about.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        if let Self::Config { at, .. } = self { at.as_ref() } else { None }
    }

    /// The message for people who have several backends.
    #[must_use]
    pub fn line(&self, backend: &str) -> String {
        match self {
            Self::Plugin { reason, .. } => format!("backend `{backend}`: {reason}"),
            other => other.to_string(),
        }
    }

    /// No thread could be started to open this backend.
    pub(crate) fn no_thread(backend: &str, error: &std::io::Error) -> Self {
        Self::Unavailable { reason: format!("backend `{backend}`: no thread to open it on: {error}").into() }
    }

    /// The thread that opened this backend has panicked.
    pub(crate) fn panicked(backend: &str) -> Self {
        Self::Unavailable { reason: format!("backend `{backend}`: opening it panicked").into() }
    }

    /// Whether another attempt may cost much time.
    pub(crate) fn costs_time(&self) -> bool {
        !matches!(self, Self::Plugin { ran: false, .. } | Self::Lock { .. })
    }

    /// The meaning of an error of the loader, with `reason` as its text.
    pub(crate) fn of(error: &Error, reason: String) -> Self {
        let reason = ForeignText::from(reason);
        match error {
            Error::Verify { reason: VerifyError::Lock { reason, .. }, .. } => {
                Self::Lock { reason: reason.to_string().into() }
            }
            Error::Open(open) => match &open.failure {
                OpenFailure::Config { .. } => Self::Config { reason, at: None },
                // A platform that can't be reached may never answer.
                OpenFailure::Call(
                    Failure::Failed { status: abi::STATUS_UNAVAILABLE, .. } | Failure::TimedOut { .. },
                )
                | OpenFailure::LeftAlone(_)
                | OpenFailure::Thread(_) => Self::Unavailable { reason },
                _ => Self::Plugin { reason, ran: true },
            },
            Error::Load { reason: LoadError::Hangs { .. } | LoadError::Blocked { .. }, .. } => {
                Self::Plugin { reason, ran: true }
            }
            _ => Self::Plugin { reason, ran: false },
        }
    }
}

/// Finds, verifies and opens one backend of a configuration. Returns also the name in the plugin's metadata. Loading and
/// opening take at most the options' timeout each.
///
/// # Errors
/// [`OpenError`].
pub fn open_backend(
    config: &Config,
    backend: &BackendConfig,
    options: &BackendOptions,
) -> Result<(Backend, ForeignText), OpenError> {
    let source = PluginSource { config: backend, plugins: &config.plugins, folder: &config.folder };
    let opened = source.read().and_then(|file| source.open(file, options, options.opening_limit()));
    opened.map(|(backend, image)| (backend, image.name)).map_err(|error| source.explained(error))
}

/// A backend's configuration, the settings for plugins, and the folder where relative paths start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PluginSource<'a> {
    pub(crate) config: &'a BackendConfig,
    pub(crate) plugins: &'a PluginsConfig,
    pub(crate) folder: &'a Path,
}

/// A plugin that was inspected: its file, or its metadata if it is built in. Its code has not run.
pub(crate) struct PluginFile {
    location: Location,
    /// The stamp of the file before it was read; `None` for a plugin that is built in.
    stamp: Option<Stamp>,
    pub(super) candidate: Candidate,
}

impl PluginFile {
    /// The JSON Schema of the plugin's options.
    pub(super) fn schema(&self) -> Option<&str> {
        schema_in(&self.candidate.inspection().metadata)
    }
}

fn schema_in(metadata: &Metadata) -> Option<&str> {
    metadata.config_schema.as_ref().map(|json| json.get())
}

/// The library of an open backend.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    library: Library,
    /// Name and version in the metadata of the library.
    pub(crate) name: ForeignText,
    pub(crate) version: ForeignText,
    pub(crate) location: Location,
    /// The stamp of the file before it was read; `None` for a plugin that is built in.
    pub(crate) stamp: Option<Stamp>,
    /// The files that the backend read when it opened, with their stamps before that.
    pub(crate) inputs: Stamps,
}

/// The source of further backends, without the file.
#[derive(Clone, Debug)]
enum Library {
    /// The library, loaded into this process.
    Here(Plugin),
    /// The bytes for isolated children. This process never maps them.
    Apart(Arc<Verified>),
}

impl Loaded {
    /// Whether the library was loaded from the bytes that the file has.
    pub(crate) fn is_of(&self, file: &PluginFile) -> bool {
        match &self.library {
            Library::Here(plugin) => plugin.is_of(&file.candidate),
            Library::Apart(verified) => verified.is_of(&file.candidate),
        }
    }

    /// How the layout of its tables was judged; `None` if that happens in the child.
    pub(crate) fn layout(&self) -> Option<Layout> {
        match &self.library {
            Library::Here(plugin) => Some(plugin.layout()),
            Library::Apart(_) => None,
        }
    }

    /// Judges the library by a policy.
    pub(crate) fn still_allowed_by(&self, policy: &Policy) -> Result<(), Error> {
        match &self.library {
            Library::Here(plugin) => plugin.still_allowed_by(policy),
            Library::Apart(verified) => verified.still_allowed_by(policy),
        }
    }

    /// Whether a backend with this isolation can be opened from the library.
    pub(crate) fn is_for(&self, isolation: &Isolation) -> bool {
        isolation.process_of(self.metadata()).is_some() == self.is_isolated()
    }

    /// Whether its calls run in an isolated child.
    pub(crate) fn is_isolated(&self) -> bool {
        matches!(self.library, Library::Apart(_))
    }

    /// Whether the files that the backend read when it opened are certainly the same.
    pub(crate) fn has_same_inputs(&self) -> bool {
        self.inputs.iter().all(|(file, earlier)| match (Stamp::of_file(file), earlier) {
            (Some(now), Some(earlier)) => now.is_still(earlier),
            (now, earlier) => now.is_none() && earlier.is_none(),
        })
    }

    fn metadata(&self) -> &Metadata {
        match &self.library {
            Library::Here(plugin) => plugin.metadata(),
            Library::Apart(verified) => verified.metadata(),
        }
    }

    fn schema(&self) -> Option<&str> {
        schema_in(self.metadata())
    }
}

impl<'a> PluginSource<'a> {
    /// Where the plugin is.
    pub(crate) fn find(self) -> Result<Location, OpenError> {
        let Self { config, plugins, folder } = self;
        jackfield_loader::find(&config.plugin, &plugins.path, folder).map_err(|error| self.refused(&error))
    }

    /// The error, with what to write for a plugin that is found only by another name. This reads every plugin of the search
    /// path, so it is for messages to people and not for each attempt.
    pub(crate) fn explained(self, error: OpenError) -> OpenError {
        let Self { config, plugins, folder } = self;
        match jackfield_loader::find(&config.plugin, &plugins.path, folder) {
            Err(Error::Find(refusal)) => {
                let missing = explain_missing(&refusal, &plugins.path);
                OpenError::Plugin { reason: config.conceal(&format!("find: {missing}")).into(), ran: false }
            }
            _ => error,
        }
    }

    /// Finds and reads the plugin.
    pub(crate) fn read(self) -> Result<PluginFile, OpenError> {
        self.read_from(self.find()?)
    }

    /// Reads the plugin at `location`.
    pub(crate) fn read_from(self, location: Location) -> Result<PluginFile, OpenError> {
        let stamp = location.file().and_then(Stamp::of_file);
        let candidate = Candidate::open(&location).map_err(|error| self.refused(&error))?;
        Ok(PluginFile { location, stamp, candidate })
    }

    /// Judges the file by the trust policy.
    pub(crate) fn trusts(self, file: &PluginFile) -> Result<(), OpenError> {
        file.candidate.allowed_by(self.plugins.policy()).map_err(|error| self.refused(&error))
    }

    /// Judges the file by the trust policy, and the options by the file's schema.
    fn verify(self, candidate: Candidate, isolation: &Isolation) -> Result<Verified, OpenError> {
        let verified = candidate.verify_for(isolation, self.plugins.policy());
        let verified = verified.map_err(|error| self.refused(&error))?;
        self.judge_options(schema_in(verified.metadata()))?;
        Ok(verified)
    }

    /// Checks whether the backend can be opened, without running the plugin's code.
    pub(crate) fn locate(self, isolation: &Isolation) -> Result<(), OpenError> {
        self.verify(self.read()?.candidate, isolation).map(drop)
    }

    /// Opens the backend from a file that was read. Loading and opening take at most `limit` together.
    pub(crate) fn open(
        self,
        file: PluginFile,
        options: &BackendOptions,
        limit: Duration,
    ) -> Result<(Backend, Loaded), OpenError> {
        let PluginFile { location, stamp, candidate } = file;
        let deadline = Instant::now().checked_add(limit);
        let within = || {
            let left = deadline.map_or(limit, left);
            options.clone().timeout(options.timeout.min(left))
        };
        let verified = self.verify(candidate, &options.isolation)?;
        let (name, version) = (verified.metadata().name.clone(), verified.metadata().version.clone());
        let library = if options.isolation.process_of(verified.metadata()).is_none() {
            Library::Here(verified.load_within(within().timeout).map_err(|error| self.refused(&error))?)
        } else {
            Library::Apart(Arc::new(verified))
        };
        let inputs = Vec::new();
        let mut image = Loaded { library, name, version, location, stamp, inputs };
        image.inputs = self.inputs(image.schema());
        Ok((self.open_library(&image, &within())?, image))
    }

    /// Opens the backend from a library that another backend was opened from.
    pub(crate) fn open_loaded(
        self,
        image: &Loaded,
        options: &BackendOptions,
    ) -> Result<(Backend, Loaded), OpenError> {
        self.judge_options(image.schema())?;
        let image = Loaded { inputs: self.inputs(image.schema()), ..image.clone() };
        Ok((self.open_library(&image, options)?, image))
    }

    /// The files that the backend will read when it opens, and their stamps now.
    fn inputs(self, schema: Option<&str>) -> Stamps {
        let inputs = |(schema, options): (OptionsSchema, _)| {
            let read = schema.files(&options).into_iter().filter(|it| it.is_read).map(|it| it.file);
            let of_variables = schema.from_variables(&options).into_iter().filter(|it| it.is_input);
            let of_variables = of_variables.filter_map(|it| std::env::var_os(it.variable));
            read.chain(of_variables.map(PathBuf::from)).collect::<Vec<_>>()
        };
        Stamp::of_files(self.options(schema).map(inputs).unwrap_or_default())
    }

    fn open_library(self, image: &Loaded, options: &BackendOptions) -> Result<Backend, OpenError> {
        let mut options = options.clone();
        if let Some((_, typed)) = self.options(image.schema()) {
            options = options.config(typed.to_string());
        }
        let opened = match &image.library {
            Library::Here(plugin) => Backend::open(plugin, &options),
            // One batch is sent at a time. Each concurrent call would cost the child a thread and shared memory.
            Library::Apart(verified) => Backend::open_verified(verified, &options.concurrency(1)),
        };
        opened.map_err(|error| self.refused_at(&error, image.schema()))
    }

    /// The error, with the key of the configuration if the backend does not open because of one.
    pub(super) fn refused_at(self, error: &Error, schema: Option<&str>) -> OpenError {
        match self.wrong_key(error, schema) {
            Some((at, line)) => {
                OpenError::Config { reason: self.config.reason(&line).into(), at: at.cloned() }
            }
            None => self.refused(error),
        }
    }

    /// The schema; `None` for an invalid one, because the plugin itself checks the options, too.
    fn schema(self, schema: Option<&str>) -> Option<OptionsSchema> {
        let name = &self.config.name;
        OptionsSchema::parse(schema?)
            .inspect_err(|error| tracing::debug!("backend {name}: the plugin's schema is not used: {error}"))
            .ok()
    }

    /// The schema, and the options as the plugin gets them.
    pub(super) fn options(self, schema: Option<&str>) -> Option<(OptionsSchema, Value)> {
        let schema = self.schema(schema)?;
        let options = schema.options(self.config);
        Some((schema, options))
    }

    fn judge_options(self, schema: Option<&str>) -> Result<(), OpenError> {
        let faults = self.faults_of_options(schema);
        let lines: Vec<_> = faults.iter().map(|fault| self.line(&option(&fault.path), &fault.what)).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let at = faults.first().and_then(|fault| self.config.place_below(&option(&fault.path)));
        Err(OpenError::Config { reason: self.config.conceal(&lines.join("; ")).into(), at: at.cloned() })
    }

    /// What is wrong with the options by the plugin's schema; nothing without a schema that can be used.
    pub(super) fn faults_of_options(self, schema: Option<&str>) -> Vec<Fault> {
        let faults = |(schema, options): (OptionsSchema, _)| schema.faults(&options);
        self.options(schema).map(faults).unwrap_or_default()
    }

    /// The message about a key of the backend's table, such as `config.url`, with its line in the configuration.
    pub(super) fn line(self, key: &str, what: &str) -> String {
        let place = self.config.place_below(key);
        format!("{}backend `{}`: `backend.{key}`: {what}", configuration(place), self.config.name)
    }

    pub(super) fn refused(self, error: &Error) -> OpenError {
        OpenError::of(error, self.config.reason(&error.to_string()))
    }

    /// The message about a key of the configuration, if the backend does not open because of it.
    fn wrong_key(self, error: &Error, schema: Option<&str>) -> Option<(Option<&'a Place>, String)> {
        let Error::Open(open) = error else { return None };
        match &open.failure {
            OpenFailure::Config { key, message } => {
                // For a key that the schema lacks, the message names the nearest key.
                let schema = self.schema(schema).filter(|_| !key.is_empty());
                let hint = schema.and_then(|schema| schema.suggest(key));
                let hint = hint.map(|hint| format!(", {hint}")).unwrap_or_default();
                let key = option(key);
                Some((self.config.place_below(&key), self.line(&key, &format!("{message}{hint}"))))
            }
            OpenFailure::Stage { stage: Stage::Sandbox, message } => {
                let (key, what) = key_of_sandbox(message)?;
                Some((self.config.place_below(key), self.line(key, what)))
            }
            OpenFailure::Stage { stage: Stage::Process, message } => {
                let place = self.plugins.helper_place.as_ref();
                let what = fault_of_helper(message).filter(|_| self.plugins.helper.is_some())?;
                Some((place, format!("{}`plugins.helper`: {what}", configuration(place))))
            }
            _ => None,
        }
    }
}

/// An option of the plugin as a key of the backend's table. The empty path is the whole table.
pub(super) fn option(path: &str) -> String {
    if path.is_empty() { "config".to_owned() } else { format!("config.{path}") }
}

/// The beginning of a message about a place in the configuration.
fn configuration(place: Option<&Place>) -> String {
    place.map(|place| format!("configuration {place}: ")).unwrap_or_default()
}

/// The key of the backend's table, such as `limits.memory`, in the message of a child that can't be sandboxed, and the rest
/// of the message.
fn key_of_sandbox(message: &str) -> Option<(&str, &str)> {
    message.strip_prefix("sandbox: `")?.split_once("`: ")
}

/// The fault of the executable that `plugins.helper` names, in the message of a child that can't be started.
fn fault_of_helper(message: &str) -> Option<&str> {
    let differs =
        || message.starts_with("the tool and its helper are of different versions").then_some(message);
    message.strip_prefix("no process for the plugin: `plugins.helper`: ").or_else(differs)
}

#[cfg(test)]
#[path = "open_backend_tests.rs"]
mod tests;
