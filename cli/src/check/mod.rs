//! `jackfield check`: how a plugin behaves, for its vendor and for those who must trust it.
//!
//! Each check runs in a child process of its own, so a plugin that hangs or crashes fails that check and no other. A child
//! is told on a pipe what to do, and answers on another one; a third is its standard output, where nothing may appear.

mod child;
mod closing;
mod conduct;
mod endpoint;
mod events;
mod finding;
mod ground;
mod list;
mod options;
mod report;
mod run;
mod samples;
mod skew;
mod statics;
mod tables;
mod timing;

use std::{fs, path::Path};

use jackfield::Config;
use jackfield::forward::BackendConfig;
use serde_json::{Map, Value};

use self::report::Report;
use crate::{
    args::{CheckArgs, Common},
    console,
    exit::Exit,
};

pub(crate) use self::child::JOB;

pub(crate) fn run(common: &Common, args: &CheckArgs) -> Exit {
    if let Some(unknown) = args.only.iter().find(|name| !list::names().any(|known| known == **name)) {
        let names: Vec<_> = list::names().collect();
        console::error(format_args!("there is no check {unknown:?}: the checks are {}", names.join(", ")));
        return Exit::Usage;
    }
    if args.backend.is_some() && (args.config_json.is_some() || !names_backends(common.config.as_deref())) {
        console::error(
            "--backend chooses one of the backends of a --config in TOML, and none is read: leave it out",
        );
        return Exit::Usage;
    }
    let options = match options(common, args) {
        Ok(config) => config,
        Err(refusal) => {
            console::error(refusal);
            return Exit::Config;
        }
    };
    if let Some(key) = &args.endpoint
        && let Err(refusal) = has_option(&args.file, &options.json, key)
    {
        console::error(refusal);
        return Exit::Usage;
    }
    let mut report = run::all(args, &options.json);
    if let Some(backend) = &options.backend {
        report.conceal(|text| backend.conceal(text));
    }
    if let Some(file) = &args.junit
        && let Err(error) = fs::write(file, report.to_junit())
    {
        console::error(format_args!("{} can't be written: {error}", file.display()));
        return Exit::Io;
    }
    crate::print(&if common.json { report.to_json() } else { report.to_text() }).max(exit(&report))
}

fn exit(report: &Report) -> Exit {
    if report.failed() == 0 { Exit::Done } else { Exit::Plugin }
}

/// Whether backends have names in this configuration: a file of JSON has the options of one plugin.
fn names_backends(config: Option<&Path>) -> bool {
    config.is_some_and(|file| !is_json(file))
}

fn is_json(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "json")
}

/// Whether the plugin's schema or the given options have this key. What can't be read is told by the report.
fn has_option(file: &Path, given: &str, key: &str) -> Result<(), String> {
    let Ok(inspection) = jackfield_loader::inspect(file) else { return Ok(()) };
    let object = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let schema = inspection.metadata.config_schema.map(|schema| object(schema.get()));
    let properties = schema.as_ref().and_then(|schema| schema.get("properties")?.as_object());
    if properties.is_some_and(|known| known.contains_key(key)) || object(given).contains_key(key) {
        return Ok(());
    }
    let names: Vec<_> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    Err(if names.is_empty() {
        format!(
            "--endpoint: {} says of no option, and the given ones have no `{key}`: set it there too",
            file.display()
        )
    } else {
        format!("--endpoint: {} has no option `{key}`: its options are {}", file.display(), names.join(", "))
    })
}

/// The plugin's options.
struct Options {
    /// A JSON object.
    json: String,
    /// Whose they are, in a configuration whose environment variables are to stay concealed.
    backend: Option<BackendConfig>,
}

fn options(common: &Common, args: &CheckArgs) -> Result<Options, String> {
    let object = |text: &str, from: &str| match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(_)) => Ok(Options { json: text.to_owned(), backend: None }),
        Ok(_) => Err(format!("{from}: expected a JSON object with the plugin's options")),
        // The position is told, and nothing of the text, which may hold a secret.
        Err(error) => Err(format!("{from}: no JSON: line {}, column {}", error.line(), error.column())),
    };
    if let Some(json) = &args.config_json {
        return object(json, "--config-json");
    }
    let Some(file) = &common.config else { return object("{}", "") };
    if is_json(file) {
        let text =
            fs::read_to_string(file).map_err(|error| format!("{} can't be read: {error}", file.display()))?;
        return object(&text, &file.display().to_string());
    }
    let config = Config::read(file).map_err(|error| error.to_string())?;
    let backend = choose(&config, args)?.clone();
    Ok(Options { json: backend.config.clone(), backend: Some(backend) })
}

/// The backend that is meant: the one that is named, the only one, or the only one of this plugin.
fn choose<'a>(config: &'a Config, args: &CheckArgs) -> Result<&'a BackendConfig, String> {
    if let Some(name) = &args.backend {
        return config
            .backends
            .iter()
            .find(|backend| backend.name == *name)
            .ok_or_else(|| format!("no backend `{name}` is configured"));
    }
    let own = |backend: &&BackendConfig| {
        let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let names = |plugin: &str| {
            Some(format!("lib{plugin}")) == stem(&args.file) || Some(plugin.to_owned()) == stem(&args.file)
        };
        names(&backend.plugin) || Path::new(&backend.plugin).file_name() == args.file.file_name()
    };
    let mut mine = config.backends.iter().filter(own);
    match (&config.backends[..], mine.next(), mine.next()) {
        ([only], _, _) | (_, Some(only), None) => Ok(only),
        _ => Err(format!(
            "the configuration has {} backends: say which of them configures {} with --backend NAME",
            config.backends.len(),
            args.file.display()
        )),
    }
}
