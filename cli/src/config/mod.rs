//! `jackfield config`: everything that is wrong with the configuration, or what it comes to.

mod check;
mod show;

use clap::Subcommand;

use crate::{
    exit::{CommandError, Exit},
    help::Help,
    settings::{CONFIGURATION, CommonArgs},
};

/// The notes end with what is the same for all commands, which stands only here.
pub(crate) fn help() -> String {
    format!("{}\n\n{CONFIGURATION}", HELP.long())
}

pub(crate) const HELP: Help = Help {
    examples: "  jackfield config check\n  jackfield config check --config /etc/jackfield/config.toml --json\n  \
         jackfield config show",
    notes: "`check` judges without the network: keys, options by the schemas of the plugins, trust, files\n\
         that are named, limits and sandbox. It lists all mistakes, each in\n\
         one line of standard error, and ends with exit code 3 if there is one. No plugin's code runs. So\n\
         what only a plugin itself refuses when it opens, or its platform, shows `jackfield doctor`.\n\n\
         `show` prints each value that is in force, and where it comes from. References such as ${NAME}\n\
         stay as they are written. Credentials and headers are not shown.\n\n\
         With --json, `check` prints one object: file, backends (how many), mistakes (a list of line,\n\
         backend, text). `show` prints a list of: backend, key, value, from, file, line.",
};

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Find everything that is wrong, without the network and without running a plugin
    Check,
    /// Print what is in force, and where each value comes from
    Show,
}

pub(crate) fn run(common: &CommonArgs, command: &ConfigCommand) -> Result<Exit, CommandError> {
    match command {
        ConfigCommand::Check => check::run(common),
        ConfigCommand::Show => show::run(common),
    }
}
