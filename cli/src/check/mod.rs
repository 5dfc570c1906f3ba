//! `jackfield check`: checks how a plugin behaves, for its vendor and for its users.
//!
//! Each check runs in a child process of its own, so a plugin that hangs or crashes fails that check and no other. The child
//! reads its task from one pipe, and writes its finding to another. A third pipe is its standard output, where nothing may
//! appear.

pub(crate) mod args;
mod checks;
mod child;
mod child_output;
mod fake_platform;
mod finding;
mod harness;
mod registry;
mod report;
mod runner;
mod sample_events;
mod task;

use std::{fs, path::Path};

use jackfield::Config;
use jackfield::forward::{BackendConfig, ConfigFile};
use jackfield_loader::show_path;
use serde_json::{Map, Value};

use self::args::CheckArgs;
use crate::{
    common_args::CommonArgs,
    exit::{CommandError, Exit},
    output,
};

pub(crate) use self::child::JOB;

pub(crate) fn run(common: &CommonArgs, args: &CheckArgs) -> Result<Exit, CommandError> {
    if let Some(unknown) = args.only.iter().find(|name| !registry::names().any(|known| known == **name)) {
        let names: Vec<_> = registry::names().collect();
        let names = names.join(", ");
        return Err(CommandError::Usage(format!("there is no check {unknown:?}: the checks are {names}")));
    }
    if args.backend.is_some() && (args.config_json.is_some() || !names_backends(common.config.as_deref())) {
        let refusal =
            "--backend chooses one of the backends of a --config in TOML, and none is read: leave it out";
        return Err(CommandError::Usage(refusal.to_owned()));
    }
    let options = options(common, args)?;
    if let Some(key) = &args.endpoint {
        has_option(&args.file, &options.json, key)?;
    }
    let mut report = runner::all(args, &options.json);
    if let Some(backend) = &options.backend {
        report.conceal(|text| backend.conceal(text));
    }
    if let Some(file) = &args.junit {
        let failed = CommandError::system(format!("{} can't be written", show_path(file)));
        #[expect(
            clippy::disallowed_methods,
            reason = "what the user names as output, which may be a FIFO or a device"
        )]
        fs::write(file, report.to_junit()).map_err(failed)?;
    }
    if common.json { output::json(&report.to_json()) } else { output::text(&report.to_text()) }?;
    Ok(if report.failed() == 0 { Exit::Done } else { Exit::Plugin })
}

/// Whether backends have names in this configuration: a file of JSON has the options of one plugin.
fn names_backends(config: Option<&Path>) -> bool {
    config.is_some_and(|file| !is_json(file))
}

fn is_json(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "json")
}

/// Whether the plugin's schema or the given options have this key. The report tells of a file that can't be read.
fn has_option(file: &Path, given: &str, key: &str) -> Result<(), CommandError> {
    let Ok(inspection) = jackfield_loader::inspect(file) else { return Ok(()) };
    let object = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let schema = inspection.metadata.config_schema.map(|schema| object(schema.get()));
    let properties = schema.as_ref().and_then(|schema| schema.get("properties")?.as_object());
    if properties.is_some_and(|known| known.contains_key(key)) || object(given).contains_key(key) {
        return Ok(());
    }
    let names: Vec<_> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    let file = show_path(file);
    Err(CommandError::Usage(if names.is_empty() {
        format!(
            "--endpoint: the metadata of {file} has no options, and the given options have no `{key}`: set it there, too"
        )
    } else {
        format!("--endpoint: {file} has no option `{key}`: its options are {}", names.join(", "))
    }))
}

/// The plugin's options.
struct Options {
    /// A JSON object.
    json: String,
    /// The backend that they come from. Its environment variables have to stay concealed.
    backend: Option<BackendConfig>,
}

fn options(common: &CommonArgs, args: &CheckArgs) -> Result<Options, CommandError> {
    let object = |text: String, from: &str| match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(_)) => Ok(Options { json: text, backend: None }),
        Ok(_) => Err(CommandError::ConfigContent(format!(
            "{from}: expected a JSON object with the plugin's options"
        ))),
        // The message has the position only: the text may hold a secret.
        Err(error) => Err(CommandError::ConfigContent(format!(
            "{from}: no JSON: line {}, column {}",
            error.line(),
            error.column()
        ))),
    };
    if let Some(json) = &args.config_json {
        return object(json.clone(), "--config-json");
    }
    let Some(file) = &common.config else { return object("{}".to_owned(), "") };
    if is_json(file) {
        let text = ConfigFile::open(file)?.text()?;
        return object(text, &show_path(file).to_string());
    }
    let backend = choose(&Config::read(file)?, args)?.clone();
    Ok(Options { json: backend.config.clone(), backend: Some(backend) })
}

/// The backend that is meant: the one that is named, the only one, or the only one of this plugin.
fn choose<'a>(config: &'a Config, args: &CheckArgs) -> Result<&'a BackendConfig, CommandError> {
    if let Some(name) = &args.backend {
        return config
            .backends
            .iter()
            .find(|backend| backend.name == *name)
            .ok_or_else(|| CommandError::ConfigContent(format!("no backend `{name}` is configured")));
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
        _ => Err(CommandError::ConfigContent(format!(
            "the configuration has {} backends: say which of them configures {} with --backend NAME",
            config.backends.len(),
            show_path(&args.file)
        ))),
    }
}
