//! How a tool says what its telemetry is like.

use std::{fmt, path::PathBuf, sync::Arc};

use jackfield_loader::{Backend, BackendOptions, plugin_api::Backend as PluginBackend};

use crate::api::telemetry::Telemetry;
use crate::config::environment::{Environment, ProcessEnvironment};
use crate::config::model::{Config, PluginsConfig};
use crate::config::paths::Paths;
use crate::consent::consent::ConsentOptions;
use crate::consent::source::ConsentSource;
use crate::event::delivery_mode::DeliveryMode;
use crate::identity::deletion::{DeletionRequestor, Requestor};
use crate::instance::context::Context;
use crate::instance::settings::{Deliver, Headers, Settings, StaticBackend};
use crate::process::reentrancy::GuardedBackend;
use crate::spool::disk::Disk;
use crate::spool::fs::Fs;
use crate::spool::limits::Limits;

/// Makes a [`Telemetry`]. Only the tool's name and version are required; what is not set has the default that its method
/// states.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    settings: Settings,
    enabled: bool,
    force_enabled: bool,
    unprefixed_opt_in: bool,
    consent_file: Option<PathBuf>,
    data_folder: Option<PathBuf>,
    fs: Arc<dyn Fs>,
    environment: SharedEnvironment,
}

/// The environment that every part looks at.
#[derive(Clone)]
struct SharedEnvironment(Arc<dyn Environment>);

impl fmt::Debug for SharedEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

impl Environment for SharedEnvironment {
    fn var(&self, name: &str) -> Option<std::ffi::OsString> {
        self.0.var(name)
    }
}

impl Telemetry {
    /// Telemetry of a tool with this name and version.
    pub fn builder(tool: impl Into<String>, version: impl Into<String>) -> Builder {
        Builder::new(tool.into(), version.into())
    }
}

impl Builder {
    pub(crate) fn new(tool: String, version: String) -> Self {
        let prefix = default_prefix(&tool);
        let settings = Settings {
            tool,
            version,
            prefix,
            deliver: Deliver::detached(),
            #[cfg(feature = "watch")]
            watch: false,
            limits: Limits::default(),
            on_disk: true,
            mode: DeliveryMode::default(),
            metadata: Vec::new(),
            extended: false,
            local_only_wins: false,
            ops_file: None,
            ops_by: None,
            ops_required: false,
            config_file: None,
            config: None,
            statics: Vec::new(),
            plugins: None,
            otel_endpoint: None,
            otel_headers: Headers::default(),
            otel_insecure: false,
            endpoint: None,
            requestors: Vec::new(),
            help: None,
        };
        Self {
            settings,
            enabled: true,
            force_enabled: false,
            unprefixed_opt_in: false,
            consent_file: None,
            data_folder: None,
            fs: Arc::new(Disk),
            environment: SharedEnvironment(Arc::new(ProcessEnvironment)),
        }
    }

    /// The author's own gate: with `false` nothing is ever collected, whatever the user says. `true` unless set.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// What the tool's own environment variables begin with, such as `MYTOOL` for `MYTOOL_TELEMETRY_ENABLED`. Unless set,
    /// the tool's name in capitals, with `_` for what no variable can have.
    pub fn env_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.prefix = Some(prefix.into());
        self
    }

    /// Whether an organisation has decided for its people: nobody is asked, and no opt-out counts. `false` unless set.
    pub fn force_enabled(mut self, force: bool) -> Self {
        self.force_enabled = force;
        self
    }

    /// Whether `TELEMETRY_ENABLED=true`, which all tools on the machine read, consents for this one. `false` unless set.
    pub fn unprefixed_opt_in(mut self, counts: bool) -> Self {
        self.unprefixed_opt_in = counts;
        self
    }

    /// Whether arguments and error messages are collected, redacted. The question on the first run, `enable` and `status`
    /// say so. `false` unless set.
    pub fn extended_collection(mut self, extended: bool) -> Self {
        self.settings.extended = extended;
        self
    }

    /// What delivery promises. [`DeliveryMode::AtLeastOnce`] unless set.
    pub fn delivery_mode(mut self, mode: DeliveryMode) -> Self {
        self.settings.mode = mode;
        self
    }

    /// When events leave the spool. [`Deliver::detached`] unless set.
    pub fn deliver(mut self, deliver: Deliver) -> Self {
        self.settings.deliver = deliver;
        self
    }

    /// Whether a service [reloads](Telemetry::reload) by itself when a configuration file, a plugin's file, its
    /// signature or the lock changes: from its first event on, with [`Deliver::InBackground`] alone. `false` unless set.
    #[cfg(feature = "watch")]
    pub fn watch(mut self, watch: bool) -> Self {
        self.settings.watch = watch;
        self
    }

    /// A name and a value for every event.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.metadata.push((name.into(), value.into()));
        self
    }

    /// Posts events to this URL by the plugin `http`, where no backend is configured otherwise.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.settings.endpoint = Some(url.into());
        self
    }

    /// Sends events to this OpenTelemetry collector by the plugin `otlp`, where no backend is configured otherwise. Comes
    /// before [`endpoint`](Self::endpoint).
    pub fn otel_endpoint(mut self, url: impl Into<String>) -> Self {
        self.settings.otel_endpoint = Some(url.into());
        self
    }

    /// A header for the collector. Its value shows nowhere.
    pub fn otel_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.otel_headers.0.push((name.into(), value.into()));
        self
    }

    /// Whether a collector that is named without a scheme (`host:4318`) is spoken to by plain HTTP. `false` unless set.
    pub fn otel_insecure(mut self, insecure: bool) -> Self {
        self.settings.otel_insecure = insecure;
        self
    }

    /// Backends of the tool, from code. The text of a file makes one by [`Config::parse`].
    pub fn config(mut self, config: Config) -> Self {
        self.settings.config = Some(config);
        self
    }

    /// A file with `[[backend]]` tables that belongs to the tool's configuration; it need not be there. It outranks
    /// what comes from code.
    pub fn config_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.settings.config_file = Some(file.into());
        self
    }

    /// The file by which ops choose backends, which outranks everything else; it need not be there. Unless set,
    /// `PREFIX_TELEMETRY_CONFIG` names it, or it is `/etc/TOOL/telemetry.toml` (`%ProgramData%\TOOL\telemetry.toml`). One
    /// that the variable names has to be there and to name backends; otherwise events wait.
    pub fn ops_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.settings.ops_file = Some(file.into());
        self
    }

    /// Whether the file of ops has to be there and to name backends; otherwise events wait. For services whose user names
    /// the file. `false` unless set.
    pub fn ops_file_required(mut self, required: bool) -> Self {
        self.settings.ops_required = required;
        self
    }

    /// Where plugins are found that no file says more about. The default search path, and files of their owner, unless
    /// set.
    pub fn plugins(mut self, plugins: PluginsConfig) -> Self {
        self.settings.plugins = Some(plugins);
        self
    }

    /// A backend that is compiled into the tool: `make` gives the value that events are handed to, behind the same guard
    /// as a plugin, and is called again after a panic. For tests, and for tools that want no plugin.
    pub fn backend<B: PluginBackend>(
        mut self,
        name: impl Into<String>,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(make);
        let open = move |options: &BackendOptions| {
            let make = Arc::clone(&make);
            Backend::open_with(options, move || GuardedBackend::make(&*make))
        };
        self.settings.statics.push(StaticBackend { name: name.into(), open: Arc::new(open) });
        self
    }

    /// Whether `TELEMETRY_LOCAL` keeps events on the machine even where backends are configured. `false` unless set, as
    /// whoever configures backends decides where events go; `status` says so.
    pub fn local_only_wins(mut self, wins: bool) -> Self {
        self.settings.local_only_wins = wins;
        self
    }

    /// Also asks this for the deletion of a machine's data, besides the backends.
    pub fn deletion_requestor(
        mut self,
        name: impl Into<String>,
        requestor: impl DeletionRequestor + 'static,
    ) -> Self {
        self.settings.requestors.push(Requestor { name: name.into(), by: Arc::new(requestor) });
        self
    }

    /// Where people turn to when a deletion can't be requested: a sentence with an address.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.settings.help = Some(help.into());
        self
    }

    /// The user's file with `telemetry.enabled`. Unless set, `config.toml` in the tool's configuration folder.
    pub fn consent_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.consent_file = Some(file.into());
        self
    }

    /// The folder of spool, machine id and state, the user's and this tool's alone. Unless set, `telemetry` in the tool's
    /// state folder.
    pub fn data_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data_folder = Some(folder.into());
        self
    }

    /// What the spool may hold: 10 MB, 100,000 events, 30 days unless set.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// The file system of the spool. The machine's unless set; for tests.
    pub fn file_system(mut self, fs: impl Fs + 'static) -> Self {
        self.settings.on_disk = false;
        self.fs = Arc::new(fs);
        self
    }

    /// Where variables are looked up. The process's environment unless set; for tests.
    pub fn environment(mut self, environment: impl Environment + 'static) -> Self {
        self.environment = SharedEnvironment(Arc::new(environment));
        self
    }

    /// The telemetry. Nothing is opened, read or written by this; what can't be had shows in
    /// [`Telemetry::status`].
    pub fn build(self) -> Telemetry {
        let Self { mut settings, environment, .. } = self;
        let mut places = Paths::of(&settings.tool, settings.prefix.as_deref(), &environment);
        places.consent = self.consent_file.or(places.consent);
        places.data = self.data_folder.or(places.data);
        if settings.ops_file.is_none() {
            (settings.ops_file, settings.ops_by) = (places.ops, places.ops_by);
        }
        let consent = ConsentSource::with_environment(
            ConsentOptions {
                prefix: settings.prefix.clone(),
                file: places.consent,
                force_enabled: self.force_enabled,
                unprefixed_opt_in: self.unprefixed_opt_in,
            },
            environment,
        );
        Telemetry::assemble(Context::new(settings, self.enabled, consent, places.data, self.fs))
    }
}

fn default_prefix(tool: &str) -> Option<String> {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    (!tool.is_empty()).then(|| tool.chars().map(letter).collect())
}
