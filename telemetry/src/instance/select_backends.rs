//! Which backends get the events, and why these.
//!
//! The first line that applies counts:
//!
//! | where | what |
//! | --- | --- |
//! | the file of ops, the tool's own file, code | their `[[backend]]` tables or values |
//! | `TELEMETRY_LOCAL` | the plugin `file`, into `events.jsonl` of the tool's data folder |
//! | [`Builder::otel_endpoint`](crate::Builder::otel_endpoint) | the plugin `otlp` |
//! | [`Builder::endpoint`](crate::Builder::endpoint) | the plugin `http` |
//! | nothing | no backend: nothing is recorded |
//!
//! With [`Builder::local_only_wins`](crate::Builder::local_only_wins) the second line comes first. A file that is there and
//! can't be used stands, and one that a variable names: events wait in the spool until it is mended, rather than go where nobody wants them.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use jackfield_loader::{BackendOptions, ForeignText, Isolation, show_path};
use serde_json::json;

use crate::config::model::{BackendConfig, Config, PluginsConfig};
use crate::config::source_file::ConfigFile;
use crate::consent::consent::Collection;
use crate::delivery::target::{Source, Target};
use crate::error::Error;
use crate::instance::settings::Settings;

/// The name of the local log in the tool's data folder.
pub(crate) const LOCAL_LOG: &str = "events.jsonl";

/// Which backends are in force, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendInfo {
    /// What they are called; empty when there is none.
    pub backends: Vec<String>,
    /// Why these.
    pub why: SelectionReason,
    /// Whether `TELEMETRY_LOCAL` is set and not followed, because backends are configured.
    pub ignores_local: bool,
}

/// What chose the backends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectionReason {
    /// The file of ops.
    OpsFile(PathBuf),
    /// The tool's own file.
    ConfigFile(PathBuf),
    /// The tool's code.
    Code,
    /// `TELEMETRY_LOCAL`.
    LocalOnly,
    /// The tool's OpenTelemetry collector.
    OtelEndpoint(String),
    /// The tool's HTTP server.
    Endpoint(String),
    /// Nothing: there is none.
    Nothing,
    /// A file that can't be used; events wait until it is mended.
    Broken(String),
}

impl BackendInfo {
    /// Whether events that these backends were chosen for by `collection` may not leave this machine. A file that can't
    /// be used lets none leave: nobody knows yet what it says.
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
            SelectionReason::OtelEndpoint(endpoint) => {
                write!(f, " (OpenTelemetry collector {})", ForeignText::from(endpoint))
            }
            SelectionReason::Endpoint(endpoint) => write!(f, " (server {})", ForeignText::from(endpoint)),
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
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) targets: Vec<Target>,
    pub(crate) info: BackendInfo,
}

/// Chooses by what is so now.
pub(crate) fn select(settings: &Settings, collection: Collection, data: Option<&Path>) -> Selected {
    let local = collection == Collection::LocalOnly;
    if local && settings.local_only_wins {
        return local_only(settings, data);
    }
    match custom(settings) {
        Ok(Some((targets, why))) => Selected::new(targets, why, local),
        Ok(None) if local => local_only(settings, data),
        Ok(None) => endpoints(settings),
        Err(error) => Selected::new(Vec::new(), SelectionReason::Broken(error.to_string()), false),
    }
}

impl Selected {
    fn new(targets: Vec<Target>, why: SelectionReason, ignores_local: bool) -> Self {
        let backends = targets.iter().map(|target| target.name.clone()).collect();
        Self { targets, info: BackendInfo { backends, why, ignores_local } }
    }
}

fn custom(settings: &Settings) -> Result<Option<(Vec<Target>, SelectionReason)>, Error> {
    if let Some(file) = &settings.ops_file
        && let Some(config) = match &settings.ops_by {
            Some(variable) => Some(read_named(file, Some(variable))?),
            None if settings.ops_required => Some(read_named(file, None)?),
            None => read(file)?,
        }
    {
        return Ok(Some((configured(settings, config), SelectionReason::OpsFile(file.clone()))));
    }
    if let Some(file) = &settings.config_file
        && let Some(config) = read(file)?
    {
        return Ok(Some((configured(settings, config), SelectionReason::ConfigFile(file.clone()))));
    }
    let mut targets = settings.config.clone().map(|config| configured(settings, config)).unwrap_or_default();
    targets.extend(settings.statics.iter().map(|backend| {
        Target::new(
            Source::Static(backend.open.clone()),
            options(settings, BackendOptions::new(&*backend.name)),
        )
    }));
    Ok((!targets.is_empty()).then_some((targets, SelectionReason::Code)))
}

/// The backends of a file; `None` when it is not there or names none.
fn read(file: &Path) -> Result<Option<Config>, Error> {
    let opened = match ConfigFile::open(file) {
        Ok(opened) => opened,
        Err(Error::ReadConfig { source, .. })
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    opened.check_owner()?;
    let config = opened.read()?;
    Ok((!config.backends.is_empty()).then_some(config))
}

/// The backends of a file that a variable or the tool's user names. Without any, events would go where whoever named it does
/// not want them.
fn read_named(file: &Path, variable: Option<&str>) -> Result<Config, Error> {
    let refusal = |kind, reason: String| {
        let reason = match variable {
            Some(variable) => format!("{variable} names it, and {reason}, or unset the variable"),
            None => reason,
        };
        Error::ReadConfig { file: file.to_owned(), source: io::Error::new(kind, reason) }
    };
    if !file.is_absolute() {
        return Err(refusal(io::ErrorKind::InvalidInput, "expected an absolute path".to_owned()));
    }
    if let Some(config) = read(file)? {
        return Ok(config);
    }
    let (kind, reason) = if file.exists() {
        (io::ErrorKind::InvalidData, "it has no [[backend]] table: add one")
    } else {
        (io::ErrorKind::NotFound, "it is not there: write it")
    };
    Err(refusal(kind, reason.to_owned()))
}

/// Why no file names any backend.
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

fn configured(settings: &Settings, config: Config) -> Vec<Target> {
    let Config { plugins, backends, folder } = config;
    let target = |backend| plugin(settings, backend, plugins.clone(), folder.clone());
    backends.into_iter().map(target).collect()
}

fn plugin(settings: &Settings, config: BackendConfig, plugins: PluginsConfig, folder: PathBuf) -> Target {
    target(&settings.tool, &settings.version, config, plugins, folder)
}

/// The backend of a plugin, for this tool.
pub(crate) fn target(
    tool: &str,
    version: &str,
    config: BackendConfig,
    plugins: PluginsConfig,
    folder: PathBuf,
) -> Target {
    let mut options = config.options(&plugins, None);
    if matches!(options.isolation, Isolation::Process(_)) {
        // One batch is sent at a time, and each further call at once would cost the child a thread and shared memory.
        options = options.concurrency(1);
    }
    let source = Source::Plugin { config: Box::new(config), plugins, folder };
    Target::new(source, options.tool(tool, version))
}

fn options(settings: &Settings, options: BackendOptions) -> BackendOptions {
    options.tool(&*settings.tool, &*settings.version)
}

/// A backend by one of the plugins that come with the library.
fn shipped(settings: &Settings, name: &str, config: &serde_json::Value) -> Target {
    let plugins = settings.plugins.clone().unwrap_or_default();
    plugin(settings, BackendConfig::of(name, config.to_string()), plugins, PathBuf::from("."))
}

fn local_only(settings: &Settings, data: Option<&Path>) -> Selected {
    let file = data.map(|data| data.join(LOCAL_LOG));
    let targets = file.map(|file| shipped(settings, "file", &json!({ "path": file })));
    Selected::new(targets.into_iter().collect(), SelectionReason::LocalOnly, false)
}

fn endpoints(settings: &Settings) -> Selected {
    if let Some(endpoint) = &settings.otel_endpoint {
        let url = match endpoint.contains("://") {
            true => endpoint.clone(),
            false if settings.otel_insecure => format!("http://{endpoint}"),
            false => format!("https://{endpoint}"),
        };
        let headers: serde_json::Map<_, _> =
            settings.otel_headers.0.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let target = shipped(settings, "otlp", &json!({ "endpoint": url, "headers": headers }));
        return Selected::new(vec![target], SelectionReason::OtelEndpoint(shown(&url)), false);
    }
    if let Some(endpoint) = &settings.endpoint {
        let target = shipped(settings, "http", &json!({ "url": endpoint }));
        return Selected::new(vec![target], SelectionReason::Endpoint(shown(endpoint)), false);
    }
    Selected::new(Vec::new(), SelectionReason::Nothing, false)
}

/// An endpoint as people may see it: without what may be a credential.
fn shown(url: &str) -> String {
    let url = url.split_once(['?', '#']).map_or(url, |(url, _)| url);
    crate::redact::redact::redact(url).into_owned()
}

#[cfg(test)]
#[path = "select_backends_tests.rs"]
mod tests;
