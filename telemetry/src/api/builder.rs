//! The settings of a telemetry, and how a [`Telemetry`] is made of them.

use std::{path::PathBuf, sync::Arc};

use jackfield_loader::plugin_api::Backend as PluginBackend;

use crate::api::telemetry::Telemetry;
use crate::config::model::{BackendConfig, Config, PluginsConfig};
use crate::config::paths::{Environment, Paths, ProcessEnvironment};
use crate::consent::consent::ConsentOptions;
use crate::consent::source::ConsentSource;
use crate::delivery::memory_backend::MemoryBackend;
use crate::delivery::settle::DeliveryMode;
use crate::event::author_rules::EventDraft;
use crate::event::value::Value;
use crate::identity::deletion::{DeletionRequestor, Requestor};
use crate::instance::context::Context;
use crate::instance::for_tests::ForTests;
use crate::instance::settings::{Deliver, Settings, StaticBackend};
use crate::redact::personal::PersonalData;
use crate::spool::disk::Disk;
use crate::spool::fs::Fs;
use crate::spool::store::Limits;

/// Makes a [`Telemetry`]. Only the tool's name and version are required. Each method states its default.
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
    environment: Box<dyn Environment>,
}

impl Telemetry {
    /// Begins a telemetry for a tool with this name and version.
    pub fn builder(tool: impl Into<String>, version: impl Into<String>) -> Builder {
        let (tool, version) = (tool.into(), version.into());
        let prefix = default_prefix(&tool);
        Builder {
            settings: Settings { tool, version, prefix, on_disk: true, ..Settings::default() },
            enabled: true,
            force_enabled: false,
            unprefixed_opt_in: false,
            consent_file: None,
            data_folder: None,
            fs: Arc::new(Disk),
            environment: Box::new(ProcessEnvironment),
        }
    }

    /// A telemetry for a test, of a tool without settings, and the backend that has its events: see [`Builder::for_tests`].
    ///
    /// ```
    /// let (telemetry, events) = jackfield::Telemetry::for_tests();
    /// telemetry.command("build").finish(2);
    /// assert_eq!(events.events()[0]["exit_code"], 2);
    /// ```
    ///
    /// # Panics
    /// As [`Builder::for_tests`].
    #[must_use]
    pub fn for_tests() -> (Self, MemoryBackend) {
        Self::builder("test", "0.0.0").for_tests()
    }
}

impl Builder {
    /// Whether the author collects anything. With `false` nothing is collected, whatever the user decides. Default: `true`.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// The prefix of the tool's environment variables: `MYTOOL` for `MYTOOL_TELEMETRY_ENABLED`. Default: the tool's name
    /// in capitals, with `_` for each character that a variable's name can't have.
    pub fn env_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.prefix = Some(prefix.into());
        self
    }

    /// Whether an organisation has decided for its people: no user is asked, and no opt-out counts. Default: `false`.
    pub fn force_enabled(mut self, force: bool) -> Self {
        self.force_enabled = force;
        self
    }

    /// Whether `TELEMETRY_ENABLED=true` consents for this tool. All tools on the machine read this variable. Default:
    /// `false`.
    pub fn unprefixed_opt_in(mut self, counts: bool) -> Self {
        self.unprefixed_opt_in = counts;
        self
    }

    /// Whether arguments and error messages are collected, redacted. The question on the first run, `enable` and `status`
    /// tell the user. Default: `false`.
    pub fn extended_collection(mut self, extended: bool) -> Self {
        self.settings.extended = extended;
        self
    }

    /// Whether personal data are taken out of arguments and error messages, which only
    /// [extended collection](Self::extended_collection) collects: e-mail addresses, IP and MAC addresses, the names of
    /// folders of users, of the user and of the machine, numbers of cards, bank accounts and phones. Default:
    /// [`PersonalData::Redact`].
    pub fn personal_data(mut self, personal_data: PersonalData) -> Self {
        self.settings.personal_data = personal_data;
        self
    }

    /// What delivery promises. Default: [`DeliveryMode::AtLeastOnce`].
    pub fn delivery_mode(mut self, mode: DeliveryMode) -> Self {
        self.settings.mode = mode;
        self
    }

    /// When events leave the spool. Default: [`Deliver::detached`].
    pub fn deliver(mut self, deliver: Deliver) -> Self {
        self.settings.deliver = deliver;
        self
    }

    /// Whether a service [reloads](Telemetry::reload) by itself when a configuration file, a plugin's file, its
    /// signature or the lock file changes. The watch begins with the first event. Only with [`Deliver::InBackground`].
    /// Default: `false`.
    #[cfg(feature = "watch")]
    pub fn watch(mut self, watch: bool) -> Self {
        self.settings.watch = watch;
        self
    }

    /// Adds a name and a value to the metadata of every event. The value is a text, a number or a boolean.
    pub fn metadata<'v>(mut self, name: impl Into<String>, value: impl Into<Value<'v>>) -> Self {
        self.settings.metadata.push((name.into(), value.into().into_owned()));
        self
    }

    /// Calls `before_send` with every event that the tool records, before it is redacted and stored. It may change the event.
    /// `false` drops the event. No such event is stored without this call, and so none is sent without it. A request for
    /// deletion, and an event of others that a [`Forwarder`](crate::forward::Forwarder) passes on, is not recorded by the
    /// tool, and does not come here.
    ///
    /// What it returns is redacted like any other event. An event that it tracks itself is not recorded. When it panics, the
    /// event is stored without arguments, error message and metadata, because it may have been about to remove some of
    /// these. It runs on the thread that tracks the event.
    ///
    /// ```
    /// use jackfield::Telemetry;
    ///
    /// let builder = Telemetry::builder("mytool", "1.4.0").before_send(|event| {
    ///     event.metadata.remove("project");
    ///     event.name != "internal"
    /// });
    /// # let (telemetry, events) = builder.for_tests();
    /// # telemetry.track("feature.used", "internal", &[]);
    /// # telemetry.track("feature.used", "export", &[("project", "x"), ("format", "pdf")]);
    /// # assert_eq!(events.events()[0]["metadata"], serde_json::json!({"format": "pdf"}));
    /// # assert_eq!(events.events().len(), 1);
    /// ```
    pub fn before_send(
        mut self,
        before_send: impl Fn(&mut EventDraft) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.rules.before_send = Some(Arc::new(before_send));
        self
    }

    /// Adds a rule of redaction of the author's own. It gets each text of an event, also names of metadata, and returns the
    /// text without what it has found, or `None` when it has found nothing. Rules apply in this order, after
    /// [`before_send`](Self::before_send) and before the redaction that is always applied. When a rule panics, the whole text
    /// is replaced by [`REDACTED`](crate::REDACTED).
    ///
    /// ```
    /// use jackfield::{REDACTED, Telemetry};
    ///
    /// // Numbers of customers look like ACME-12345.
    /// let builder = Telemetry::builder("mytool", "1.4.0")
    ///     .redact(|text| text.contains("ACME-").then(|| REDACTED.to_owned()));
    /// # let (telemetry, events) = builder.for_tests();
    /// # telemetry.track("feature.used", "export", &[("of", "ACME-1"), ("format", "pdf")]);
    /// # assert_eq!(events.events()[0]["metadata"], serde_json::json!({"of": "[redacted]", "format": "pdf"}));
    /// ```
    pub fn redact(mut self, rule: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.settings.rules.redact.push(Arc::new(rule));
        self
    }

    /// The share of the events that is recorded, from 0 to 1. The id of an event decides, and nothing else: its last 62 bits
    /// are random, and the event is recorded when they are less than the share of 2^62. So each event is decided by
    /// itself, whatever its kind and machine. An event that is not recorded costs no redaction and no disk, has no id, and is
    /// not counted as a loss. Default: 1.
    pub fn sample(mut self, share: f64) -> Self {
        self.settings.rules.sample = (share < 1.0).then_some(share);
        self
    }

    /// Posts events to this URL with the plugin `http`, unless another backend is configured.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.settings.endpoint = Some(url.into());
        self
    }

    /// Sends events to this OpenTelemetry collector with the plugin `otlp`, unless another backend is configured. Takes
    /// precedence over [`endpoint`](Self::endpoint).
    pub fn otel_endpoint(mut self, url: impl Into<String>) -> Self {
        self.settings.otel_endpoint = Some(url.into());
        self
    }

    /// Adds a header for the collector. No message and no status shows its value.
    pub fn otel_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.otel_headers.0.push((name.into(), value.into()));
        self
    }

    /// Whether a collector without a scheme (`host:4318`) is reached by plain HTTP. Default: `false`, HTTPS.
    pub fn otel_insecure(mut self, insecure: bool) -> Self {
        self.settings.otel_insecure = insecure;
        self
    }

    /// Sends events to a platform by its plugin, besides other backends from code: [`PostHog`](crate::PostHog),
    /// [`Datadog`](crate::Datadog), or any plugin by [`BackendConfig::new`]. A second backend of the same plugin replaces the
    /// first.
    ///
    /// ```
    /// use jackfield::{Datadog, PostHog, Telemetry};
    ///
    /// let telemetry = Telemetry::builder("mytool", "1.4.0")
    ///     .send_to(PostHog::eu("phc_0123456789"))
    ///     .send_to(Datadog::new("0123456789abcdef").site("datadoghq.eu").tag("team", "tools"))
    ///     .build();
    /// assert_eq!(telemetry.backend_info().backends, ["posthog", "datadog"]);
    /// ```
    pub fn send_to(mut self, backend: impl Into<BackendConfig>) -> Self {
        let backend = backend.into();
        self.settings.platforms.retain(|other| other.name != backend.name);
        self.settings.platforms.push(backend);
        self
    }

    /// Sets the backends from code. [`Config::parse`] makes a configuration from text.
    pub fn config(mut self, config: Config) -> Self {
        self.settings.config = Some(config);
        self
    }

    /// The tool's own file with `[[backend]]` tables. The file may be missing. It takes precedence over backends from
    /// code.
    pub fn config_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.settings.config_file = Some(file.into());
        self
    }

    /// The file in which operators choose backends. It takes precedence over everything else, and may be missing.
    /// Default: the file that `PREFIX_TELEMETRY_CONFIG` names, or `/etc/TOOL/telemetry.toml`
    /// (`%ProgramData%\TOOL\telemetry.toml`). When the variable names a file that is missing or names no backend, events
    /// wait in the spool.
    pub fn ops_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.settings.ops_file = Some(file.into());
        self
    }

    /// Whether the operators' file is required: while it is missing or names no backend, events wait in the spool. For
    /// services whose user names the file. Default: `false`.
    pub fn ops_file_required(mut self, required: bool) -> Self {
        self.settings.ops_required = required;
        self
    }

    /// Whether the operators' file is used although others than root and the user can write it or a folder on the way to it.
    /// Each time it is read, a warning says so. Default: `false`, because whoever can write the file chooses which code runs.
    pub fn ops_file_trusted(mut self, trusted: bool) -> Self {
        self.settings.ops_trusted = trusted;
        self
    }

    /// The search path and trust policy for plugins of backends that come from code. Default: the default search path, and
    /// the policy `owner`.
    pub fn plugins(mut self, plugins: PluginsConfig) -> Self {
        self.settings.plugins = Some(plugins);
        self
    }

    /// Adds a backend in the tool's code. `make` makes the value that gets the batches, and is called again
    /// after a panic. The guard protects the tool from this backend as from a plugin. A detached child has it only if
    /// [`BuiltIn::backend`](crate::BuiltIn::backend) names it, too. For tests, and for tools without plugins.
    pub fn backend<B: PluginBackend>(
        mut self,
        name: impl Into<String>,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self {
        self.settings.statics.push(StaticBackend::new(name, make));
        self
    }

    /// Whether `TELEMETRY_LOCAL` keeps events on the machine although backends are configured. Default: `false`, because
    /// the person who configures backends decides where events go; `status` shows that the variable is ignored.
    pub fn local_only_wins(mut self, wins: bool) -> Self {
        self.settings.local_only_wins = wins;
        self
    }

    /// Adds a recipient for requests to delete a machine's data, besides the backends.
    pub fn deletion_requestor(
        mut self,
        name: impl Into<String>,
        requestor: impl DeletionRequestor + 'static,
    ) -> Self {
        self.settings.requestors.push(Requestor { name: name.into(), by: Arc::new(requestor) });
        self
    }

    /// A sentence with an address for users whose deletion can't be requested.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.settings.help = Some(help.into());
        self
    }

    /// The user's file with `telemetry.enabled`. Default: `config.toml` in the tool's configuration folder.
    pub fn consent_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.consent_file = Some(file.into());
        self
    }

    /// The folder of spool, machine id and state. It must belong to the user, and to this tool alone. Default: `telemetry`
    /// in the tool's state folder.
    pub fn data_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data_folder = Some(folder.into());
        self
    }

    /// How much the spool may hold. Default: 10 MB, 100,000 events, 30 days.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// The file system of the spool, for tests. Default: the machine's.
    pub fn file_system(mut self, fs: impl Fs + 'static) -> Self {
        self.settings.on_disk = false;
        self.fs = Arc::new(fs);
        self
    }

    /// The environment in which variables are looked up, for tests. Default: the environment of the process.
    pub fn environment(mut self, environment: impl Environment + 'static) -> Self {
        self.environment = Box::new(environment);
        self
    }

    /// Makes the telemetry for a test of the tool, and the backend that has its events. An event is in
    /// [`MemoryBackend::events`] when `track` returns: no spool, no thread and no deadline is involved, so nothing depends
    /// on the speed of the machine.
    ///
    /// The user has consented. The environment of the process, backends, requestors of deletion and the schedule of
    /// delivery of this builder do not count; everything else does. Consent and machine id are in a temporary folder, which
    /// is removed with the last clone.
    ///
    /// ```
    /// use jackfield::{EventKind, Telemetry};
    ///
    /// // What the tool builds its telemetry from, in a function that its tests call as well.
    /// let builder = Telemetry::builder("mytool", "1.4.0").metadata("channel", "stable");
    /// let (telemetry, events) = builder.for_tests();
    /// telemetry.track(EventKind::FEATURE_USED, "export", &[("format", "pdf")]);
    /// assert_eq!(events.events()[0]["metadata"]["format"], "pdf");
    /// ```
    ///
    /// # Panics
    /// When the folder can't be made, or consent can't be stored in it.
    #[must_use]
    pub fn for_tests(mut self) -> (Telemetry, MemoryBackend) {
        let tests = ForTests::new().unwrap_or_else(|error| panic!("no temporary folder for a test: {error}"));
        let memory = tests.memory.clone();
        let settings = &mut self.settings;
        (settings.config, settings.config_file, settings.deliver) = (None, None, Deliver::ByHand);
        settings.ops_file = Some(tests.file("telemetry.toml"));
        (settings.ops_required, settings.on_disk) = (false, true);
        settings.requestors.clear();
        settings.statics.clear();
        settings.platforms.clear();
        #[cfg(feature = "watch")]
        {
            settings.watch = false;
        }
        self.consent_file = Some(tests.file("config.toml"));
        self.data_folder = Some(tests.file("data"));
        self.fs = Arc::new(Disk);
        self.settings.for_tests = Some(tests);
        let telemetry = self.environment(|_: &str| None).backend("memory", memory.maker()).build();
        let consent = telemetry.context().consent.enable();
        let consent = consent.unwrap_or_else(|error| panic!("no consent for a test: {error}"));
        assert!(consent.is_enabled(), "no consent for a test: {consent:?}");
        (telemetry, memory)
    }

    /// Makes the telemetry. This opens, reads and writes nothing; [`Telemetry::status`] shows what is missing.
    pub fn build(self) -> Telemetry {
        let Self { mut settings, environment, .. } = self;
        let mut places = Paths::of(&settings.tool, settings.prefix.as_deref(), &*environment);
        places.consent = self.consent_file.or(places.consent);
        places.data = self.data_folder.or(places.data);
        if settings.ops_file.is_none() {
            (settings.ops_file, settings.ops_by) = (places.ops, places.ops_by);
        }
        let consent = ConsentSource::boxed(
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
