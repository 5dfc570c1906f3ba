//! The command line of `jackfield check`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueHint};

use crate::common_args::Help;

pub(crate) const HELP: Help = Help {
    examples: "  jackfield check ./libfile.so --config-json '{\"path\":\"/tmp/events\"}'\n  \
         jackfield check ./librabbitmq.so --config check.toml --junit report.xml\n  \
         jackfield check ./libvendor.so --only leaks --cycles 100",
    notes: "Runs the library's code, whoever owns the file: each check in a child process of its\nown, so that a crash or \
         a hang fails one check. Events go to the platform that the options\nname: let it be one for tests. With \
         --config, a file of the form below, the options of its\nbackend are used; with a file *.json, it is the options. \
         Without either there are none.\n\nWhere an option is called url, endpoint, address or the like, the platform that \
         is away\nor does not answer is put there; otherwise --endpoint names the option. Memory may grow\nby 2 MiB over \
         the cycles after a warm-up of a tenth of them, or has to level off.\n\nWith --json: file, name, version, passed, \
         failed, skipped, and checks: a list of name,\nverdict (pass, fail, skipped), found, advice, seconds. Exit code 0: \
         nothing failed.",
};

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The library
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The plugin's options as a JSON object, instead of those of --config
    #[arg(long, value_name = "JSON", conflicts_with = "config")]
    pub(crate) config_json: Option<String>,
    /// Which backend of --config has the options, where there are several
    #[arg(long, value_name = "NAME")]
    pub(crate) backend: Option<String>,
    /// Write the report as JUnit XML to this file as well
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) junit: Option<PathBuf>,
    /// Run this check only; may be given several times
    #[arg(long, value_name = "CHECK")]
    pub(crate) only: Vec<String>,
    /// The option that holds the platform's address
    #[arg(long, value_name = "KEY")]
    pub(crate) endpoint: Option<String>,
    /// How long one check may take until it counts as hung (`leaks`: five times as long)
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = jackfield::forward::parse_duration)]
    pub(crate) limit: Duration,
    /// How many instances live and end in the check `leaks`
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    pub(crate) cycles: u32,
}
