//! The arguments of `jackfield check`, and the options of the plugin that they give.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueHint};
use jackfield::BackendConfig;
use jackfield::Config;
use jackfield::forward::{ConfigFile, OptionsSchema};
use jackfield_loader::{IsolationNeed, Metadata, in_prose, show_path};
use serde_json::{Map, Value};

use crate::{exit::CommandError, help::Help, settings::CommonArgs};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield check ./libfile.so --config-json '{\"path\":\"/tmp/events\"}'\n  \
         jackfield check ./librabbitmq.so --config check.toml --junit report.xml\n  \
         jackfield check ./libvendor.so --only leaks --cycles 100\n  \
         jackfield check ./libvendor.so --isolation process",
    notes: "Runs the code of the library, whoever owns the file. Each check runs in a child process, so\n\
         that a crash or a hang fails only one check. Events go to the platform that the options\n\
         name, so use a platform for tests. The options are those of the backend in --config, or\n\
         the content of --config if its name ends in .json, or --config-json. By default there are\n\
         none. The last line says what was shown, and what was not.\n\n\
         Some checks need a platform that is away or does not answer. They set the option url,\n\
         endpoint, address or the like, or the one that --endpoint names. In the check `leaks`\n\
         memory has to stop growing after a warm-up of a tenth of the cycles. It makes fewer than\n\
         --cycles where they would take longer than half of --limit.\n\n\
         With --isolation process, or for a plugin whose metadata says so, the state of the process\n\
         and its threads are the plugin's own: the checks of them are skipped.\n\n\
         With --json: file, name, version, isolation, passed, failed, skipped, and checks: a list of name,\n\
         verdict (pass, fail, skipped, refused), found, advice, seconds. Exit code 0: no check failed;\n\
         3: the plugin refuses the given options, so that nothing was checked.",
};

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The library
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) file: PathBuf,
    /// The plugin's options as a JSON object, instead of those in --config
    #[arg(long, value_name = "JSON", conflicts_with = "config")]
    config_json: Option<String>,
    /// Use the options of this backend in --config
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// Also write the report as JUnit XML to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) junit: Option<PathBuf>,
    /// Run only this check; may be given several times
    #[arg(long, value_name = "CHECK")]
    pub(super) only: Vec<String>,
    /// The process that the plugin is checked for; by default what its metadata says
    #[arg(long, value_name = "WHERE")]
    pub(super) isolation: Option<CheckIsolation>,
    /// The option that holds the platform's address
    #[arg(long, value_name = "KEY")]
    pub(super) endpoint: Option<String>,
    /// Time after which a check counts as hung
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = jackfield::forward::parse_duration)]
    pub(super) limit: Duration,
    /// Number of threads that a library of the plugin keeps for the whole process, beyond the end of the instances
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) kept_threads: usize,
    /// Number of instances that the check `leaks` opens and closes
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    pub(super) cycles: u32,
}

/// The process that a plugin is checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum CheckIsolation {
    /// The tool's
    Thread,
    /// One of its own
    Process,
}

impl CheckArgs {
    /// Whether the plugin is checked for a process of its own.
    pub(super) fn own_process(&self, plugin: Option<&Metadata>) -> bool {
        match self.isolation {
            Some(isolation) => isolation == CheckIsolation::Process,
            None => plugin.is_some_and(|plugin| plugin.isolation == IsolationNeed::Process),
        }
    }
}

/// The plugin's options.
pub(super) struct Options {
    /// A JSON object.
    pub(super) json: String,
    /// The backend that they come from. The values of its environment variables have to be concealed.
    pub(super) backend: Option<BackendConfig>,
}

/// The options that the arguments give.
///
/// # Errors
/// The arguments contradict each other, or the configuration is wrong.
pub(super) fn options(common: &CommonArgs, args: &CheckArgs) -> Result<Options, CommandError> {
    let is_toml = common.config.as_deref().is_some_and(|file| !is_json(file));
    if args.backend.is_some() && !is_toml {
        let refusal =
            "--backend chooses one of the backends of a --config in TOML, and none is read: leave it out";
        return Err(CommandError::Usage(refusal.to_owned()));
    }
    let options = read_options(common, args)?;
    if let Some(key) = &args.endpoint {
        check_endpoint(&args.file, &options.json, key)?;
    }
    Ok(options)
}

fn is_json(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "json")
}

/// Checks that the schema or the given options have this key. The report names a file that can't be read.
fn check_endpoint(file: &Path, given: &str, key: &str) -> Result<(), CommandError> {
    let Ok(inspection) = jackfield_loader::inspect(file) else { return Ok(()) };
    let object = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let schema = inspection.metadata.config_schema.map(|schema| object(schema.get()));
    let properties = schema.as_ref().and_then(|schema| schema.get("properties")?.as_object());
    if properties.is_some_and(|known| known.contains_key(key)) || object(given).contains_key(key) {
        return Ok(());
    }
    let names = in_prose(properties.into_iter().flat_map(Map::keys));
    let file = show_path(file);
    Err(CommandError::Usage(if names.is_empty() {
        format!(
            "--endpoint: the metadata of {file} has no options, and the given options have no `{key}`: set it there, too"
        )
    } else {
        format!("--endpoint: {file} has no option `{key}`: its options are {names}")
    }))
}

fn read_options(common: &CommonArgs, args: &CheckArgs) -> Result<Options, CommandError> {
    let object = |text: String, from: &str| {
        let refusal = match serde_json::from_str::<Value>(&text) {
            Ok(Value::Object(_)) => return Ok(Options { json: text, backend: None }),
            Ok(_) => "expected a JSON object with the plugin's options".to_owned(),
            // The message has only the position, because the text may hold a secret.
            Err(error) => format!("not JSON: line {}, column {}", error.line(), error.column()),
        };
        Err(CommandError::ConfigContent(format!("{from}: {refusal}")))
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
    let inspection = jackfield_loader::inspect(&args.file).ok();
    let schema = inspection.and_then(|it| it.metadata.config_schema);
    let schema = schema.and_then(|schema| OptionsSchema::parse(schema.get()).ok());
    let json = schema.map_or_else(|| backend.config.clone(), |schema| schema.options(&backend).to_string());
    Ok(Options { json, backend: Some(backend) })
}

/// The backend with the options: the one of `--backend`, the only one, or the only one of this plugin.
fn choose<'a>(config: &'a Config, args: &CheckArgs) -> Result<&'a BackendConfig, CommandError> {
    if let Some(name) = &args.backend {
        let named = config.backends.iter().find(|backend| backend.name == *name);
        return named
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
