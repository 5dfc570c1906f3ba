//! The arguments that every command takes, and the text that every help ends with.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::{exit, log::LogFormat};

const CONFIGURATION: &str = "\
Configuration: the file of --config or $JACKFIELD_CONFIG, else the first of
  $XDG_CONFIG_HOME/jackfield/config.toml (by default in ~/.config)
  /etc/jackfield/config.toml
  (Windows: %APPDATA%\\jackfield\\config.toml)
Never one in the current folder: whoever can write there would choose what code
runs. It is a regular file of at most 1 MiB. ${NAME} in its strings is replaced by
the environment variable. Where a plugin's errors and reasons show such a value, of
4 bytes or more, they are printed with the name; its log records are printed as
they are: keep an eye on what a plugin logs. Without a file, the plugin `stdout` gets the events, trusted by its owner.

Plugins are searched along `path` in [plugins], else $JACKFIELD_PLUGIN_PATH, else
  ~/.local/lib/jackfield, /usr/local/lib/jackfield, /usr/lib/jackfield
  (Windows: %LOCALAPPDATA%\\jackfield\\plugins)
  and the folder `plugins` beside this executable, and its own folder.

$JACKFIELD_LOG chooses log records, such as `debug` or `warn,file=trace`.
With --json, a command that ends early prints one object: error, exit_code.";

#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// Configuration file, instead of that of $JACKFIELD_CONFIG or the usual ones
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON to standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Form of the lines on standard error
    #[arg(long, global = true, value_name = "FORMAT", env = "JACKFIELD_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// The end of a command's help. The configuration and the exit codes are the same for all commands.
pub(crate) struct Help {
    pub(crate) examples: &'static str,
    pub(crate) notes: &'static str,
}

impl Help {
    pub(crate) fn text(&self) -> String {
        let Self { examples, notes } = self;
        let notes = if notes.is_empty() { String::new() } else { format!("\n\n{notes}") };
        format!("Examples:\n{examples}{notes}\n\n{CONFIGURATION}\n\n{}", exit::HELP)
    }
}
