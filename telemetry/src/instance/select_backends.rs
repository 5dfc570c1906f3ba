//! Which backends get the events, and the reason. The first line that applies counts:
//!
//! | where | what |
//! | --- | --- |
//! | the operators' file, the tool's own file, code | their `[[backend]]` tables or values |
//! | `TELEMETRY_LOCAL` | the plugin `file`, into `events.jsonl` of the tool's data folder |
//! | [`Builder::otel_endpoint`](crate::Builder::otel_endpoint) | the plugin `otlp` |
//! | [`Builder::endpoint`](crate::Builder::endpoint) | the plugin `http` |
//! | nothing | no backend: nothing is recorded |
//!
//! With [`Builder::local_only_wins`](crate::Builder::local_only_wins) the second line comes first. While a file can't
//! be used, or a file that a variable names is missing, events wait in the spool.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use jackfield_loader::{BackendOptions, ForeignText, show_path};
use serde_json::json;

use crate::config::model::{BackendConfig, Config, PluginsConfig};
use crate::config::source_file::ConfigFile;
use crate::consent::consent::Collection;
use crate::delivery::configured_backend::{ConfiguredBackend, Source};
use crate::error::Error;
use crate::instance::settings::{Settings, StaticBackend};

/// The name of the local log in the tool's data folder.
pub(crate) const LOCAL_LOG: &str = "events.jsonl";

/// The backends in force, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendInfo {
    /// The names of the backends; empty when there is none.
    pub backends: Vec<String>,
    /// The reason.
    pub why: SelectionReason,
    /// Whether `TELEMETRY_LOCAL` is set and not followed, because backends are configured.
    pub ignores_local: bool,
}

/// The reason for the choice of the backends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectionReason {
    /// The operators' file.
    OpsFile(PathBuf),
    /// The tool's own file.
    ConfigFile(PathBuf),
    /// The tool's code.
    Code,
    /// `TELEMETRY_LOCAL`.
    LocalOnly,
    /// The tool's OpenTelemetry collector.
    OtelEndpoint(ForeignText),
    /// The tool's HTTP server.
    Endpoint(ForeignText),
    /// Nothing is configured.
    Nothing,
    /// A file can't be used, for this reason. Events wait.
    Broken(ForeignText),
}

impl BackendInfo {
    /// Whether the events may not leave this machine. `collection` is the consent by which the backends were chosen.
    /// While a file can't be used, events stay.
    pub(crate) fn stays_here(&self, collection: Collection) -> bool {
        collection == Collection::LocalOnly && !self.ignores_local
    }
}

impl fmt::Display for BackendInfo {
    /// `rabbitmq, file (chosen by /etc/tool/telemetry.toml)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.backends.is_empty() {
            f.write_str("none")?;
        } else {
            f.write_str(&self.backends.join(", "))?;
        }
        match &self.why {
            SelectionReason::OpsFile(file) | SelectionReason::ConfigFile(file) => {
                write!(f, " (chosen by {})", show_path(file))
            }
            SelectionReason::Code => f.write_str(" (chosen by the tool)"),
            SelectionReason::LocalOnly => f.write_str(" (local only: TELEMETRY_LOCAL is set)"),
            SelectionReason::OtelEndpoint(endpoint) => write!(f, " (OpenTelemetry collector {endpoint})"),
            SelectionReason::Endpoint(endpoint) => write!(f, " (server {endpoint})"),
            SelectionReason::Nothing => f.write_str(" (nothing is configured, so nothing is recorded)"),
            SelectionReason::Broken(reason) => write!(f, " (events wait: {reason})"),
        }?;
        if self.ignores_local {
            f.write_str("; TELEMETRY_LOCAL is not followed, since backends are configured")?;
        }
        Ok(())
    }
}

/// The backends, not yet opened.
pub(crate) struct Selected {
    pub(crate) targets: Vec<ConfiguredBackend>,
    pub(crate) info: BackendInfo,
    /// The files of values in the configuration; if one of them can't be used, that one.
    #[cfg_attr(not(feature = "watch"), expect(dead_code, reason = "read by the watch"))]
    pub(crate) value_files: Vec<PathBuf>,
}

/// Chooses the backends.
pub(crate) fn select(settings: &Settings, collection: Collection, data: Option<&Path>) -> Selected {
    let local = collection == Collection::LocalOnly;
    if local && settings.local_only_wins {
        return local_only(settings, data);
    }
    match custom(settings) {
        Ok(Some((targets, why))) => Selected::new(targets, why, local),
        Ok(None) if local => local_only(settings, data),
        Ok(None) => endpoints(settings),
        Err(error) => {
            let broken = Selected::new(Vec::new(), SelectionReason::Broken(error.to_string().into()), false);
            match error {
                Error::ConfigValue { file, .. } => Selected { value_files: vec![file], ..broken },
                _ => broken,
            }
        }
    }
}

impl Selected {
    fn new(targets: Vec<ConfiguredBackend>, why: SelectionReason, ignores_local: bool) -> Self {
        let backends = targets.iter().map(|target| target.name.clone()).collect();
        let plugins = targets.iter().filter_map(|target| target.source.plugin());
        let value_files = plugins.flat_map(|plugin| plugin.config.value_files.clone()).collect();
        Self { targets, info: BackendInfo { backends, why, ignores_local }, value_files }
    }
}

fn custom(settings: &Settings) -> Result<Option<(Vec<ConfiguredBackend>, SelectionReason)>, Error> {
    if let Some(file) = &settings.ops_file
        && let Some(config) = match &settings.ops_by {
            Some(variable) => Some(read_named(file, Some(variable), settings.ops_trusted)?),
            None if settings.ops_required => Some(read_named(file, None, settings.ops_trusted)?),
            None => read(file, settings.ops_trusted)?,
        }
    {
        return Ok(Some((configured(settings, config), SelectionReason::OpsFile(file.clone()))));
    }
    if let Some(file) = &settings.config_file
        && let Some(config) = read(file, false)?
    {
        return Ok(Some((configured(settings, config), SelectionReason::ConfigFile(file.clone()))));
    }
    let mut targets = settings.config.clone().map(|config| configured(settings, config)).unwrap_or_default();
    targets.extend(settings.platforms.iter().map(|backend| shipped(settings, backend.clone())));
    let in_code = |backend: &StaticBackend| in_code(&settings.tool, &settings.version, backend);
    targets.extend(settings.statics.iter().map(in_code));
    Ok((!targets.is_empty()).then_some((targets, SelectionReason::Code)))
}

/// The configuration in a file; `None` when the file is missing or has no backend. A `trusted` file may be one that others
/// can write.
fn read(file: &Path, trusted: bool) -> Result<Option<Config>, Error> {
    let opened = match ConfigFile::open(file) {
        Ok(opened) => opened,
        Err(Error::ReadConfig { error, .. })
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let config = opened.check_owner_unless(trusted)?.read()?;
    Ok((!config.backends.is_empty()).then_some(config))
}

/// The configuration in a file that a variable or the tool's user names. The file must have a backend, because
/// otherwise events would go to another one.
fn read_named(file: &Path, variable: Option<&str>, trusted: bool) -> Result<Config, Error> {
    let refusal = |kind, reason: String| {
        let reason = match variable {
            Some(variable) => format!("{variable} names it, and {reason}, or unset the variable"),
            None => reason,
        };
        Error::ReadConfig { file: file.to_owned(), error: io::Error::new(kind, reason) }
    };
    if !file.is_absolute() {
        return Err(refusal(io::ErrorKind::InvalidInput, "expected an absolute path".to_owned()));
    }
    if let Some(config) = read(file, trusted)? {
        return Ok(config);
    }
    let (kind, reason) = if file.exists() {
        (io::ErrorKind::InvalidData, "it has no [[backend]] table: add one")
    } else {
        (io::ErrorKind::NotFound, "it is not there: write it")
    };
    Err(refusal(kind, reason.to_owned()))
}

/// Why no backend is configured any more.
pub(crate) fn why_none(settings: &Settings) -> String {
    let files = [&settings.ops_file, &settings.config_file].into_iter().flatten();
    let reasons: Vec<_> = files
        .map(|file| match file.exists() {
            true => format!("{} has no [[backend]] table", show_path(file)),
            false => format!("{} is not there", show_path(file)),
        })
        .collect();
    format!("no backend is configured any more: {}", reasons.join(", "))
}

fn configured(settings: &Settings, config: Config) -> Vec<ConfiguredBackend> {
    let Config { plugins, backends, folder, .. } = config;
    let plugin = |backend| (backend, plugins.clone(), folder.clone());
    backends.into_iter().map(|backend| target(&settings.tool, &settings.version, plugin(backend))).collect()
}

/// A backend in code, for this tool.
pub(crate) fn in_code(tool: &str, version: &str, backend: &StaticBackend) -> ConfiguredBackend {
    let options = BackendOptions::new(&*backend.name).tool(tool, version);
    ConfiguredBackend::new(Source::Static(backend.open.clone()), options)
}

/// A plugin: its configuration, the settings for plugins, and the folder where relative paths start.
type PluginParts = (BackendConfig, PluginsConfig, PathBuf);

/// The backend of a plugin, for this tool.
pub(crate) fn target(tool: &str, version: &str, (config, plugins, folder): PluginParts) -> ConfiguredBackend {
    let options = config.options(&plugins, None);
    let source = Source::Plugin { config: Box::new(config), plugins, folder };
    ConfiguredBackend::new(source, options.tool(tool, version))
}

/// A backend with one of the plugins of this project.
fn shipped(settings: &Settings, backend: BackendConfig) -> ConfiguredBackend {
    let plugins = settings.plugins.clone().unwrap_or_default();
    target(&settings.tool, &settings.version, (backend, plugins, PathBuf::from(".")))
}

fn local_only(settings: &Settings, data: Option<&Path>) -> Selected {
    let file = data.map(|data| data.join(LOCAL_LOG));
    let targets = file.map(|file| shipped(settings, BackendConfig::new("file", &json!({ "path": file }))));
    Selected::new(targets.into_iter().collect(), SelectionReason::LocalOnly, false)
}

fn endpoints(settings: &Settings) -> Selected {
    if let Some(endpoint) = &settings.otel_endpoint {
        let url = match endpoint.contains("://") {
            true => endpoint.clone(),
            false if settings.otel_insecure => format!("http://{endpoint}"),
            false => format!("https://{endpoint}"),
        };
        let headers: BTreeMap<_, _> = settings.otel_headers.0.iter().cloned().collect();
        let config = json!({ "endpoint": url, "headers": headers });
        let target = shipped(settings, BackendConfig::new("otlp", &config));
        return Selected::new(vec![target], SelectionReason::OtelEndpoint(shown(&url)), false);
    }
    if let Some(endpoint) = &settings.endpoint {
        let target = shipped(settings, BackendConfig::new("http", &json!({ "url": endpoint })));
        return Selected::new(vec![target], SelectionReason::Endpoint(shown(endpoint)), false);
    }
    Selected::new(Vec::new(), SelectionReason::Nothing, false)
}

/// An endpoint without possible credentials.
fn shown(url: &str) -> ForeignText {
    let url = url.split_once(['?', '#']).map_or(url, |(url, _)| url);
    crate::redact::redact::redact(url).into_owned().into()
}

#[cfg(test)]
#[path = "select_backends_tests.rs"]
mod tests;
