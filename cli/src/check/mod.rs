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

use jackfield::{BackendConfig, Config};
use serde_json::Value;

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
    let options = match options(common, args) {
        Ok(config) => config,
        Err(refusal) => {
            console::error(refusal);
            return Exit::Config;
        }
    };
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
    if file.extension().is_some_and(|extension| extension == "json") {
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
