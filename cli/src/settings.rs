//! The arguments of every command, and the configuration that they select.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use clap::{Args, ValueHint};
use jackfield::BackendConfig;
use jackfield::forward::ConfigFile;
use jackfield::{Builder, Config, Error};
use jackfield_loader::{BackendOptions, home, in_prose, show_path};

use crate::{
    environment::variable,
    exit::CommandError,
    log::{self, LogFormat},
};

/// The name of this command in its own events, and for plugins.
pub(crate) const TOOL: &str = "jackfield";
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The variable that names the configuration.
const CONFIG: &str = "JACKFIELD_CONFIG";

/// The part of `config --help` that explains where the configuration and the plugins are.
pub(crate) const CONFIGURATION: &str = "\
Configuration: the file of --config or $JACKFIELD_CONFIG, else the first of these:
  $XDG_CONFIG_HOME/jackfield/config.toml (by default ~/.config/jackfield/config.toml)
  /etc/jackfield/config.toml
  (Windows: %APPDATA%\\jackfield\\config.toml, %ProgramData%\\jackfield\\config.toml)
A file in the current folder is not used: anybody who can write there would choose what
code runs. For the same reason only root or you may own the file and write to it and to
each folder on the way to it; --trust-config turns that check off.
The file is a regular file of at most 1 MiB. In its strings, ${NAME} is replaced by the
environment variable NAME, ${NAME:-default} by the default if NAME is not set or empty,
and in [backend.config] ${file:PATH} by the content of a file of at most 64 KiB, without
its last newline. $${ is a plain ${. Errors and reasons of a plugin show the reference
instead of a value of 4 bytes or more; log records of a plugin show the value. `run` and
`dead-letters resend` need a file with a backend. Without a file, the other commands use
the plugin `stdout`, if only root or you can write it.

Plugins are searched in `path` of [plugins], else in $JACKFIELD_PLUGIN_PATH, else in
  ~/.local/lib/jackfield, /usr/local/lib/jackfield, /usr/lib/jackfield
  (Windows: %LOCALAPPDATA%\\jackfield\\plugins)
  and the folder `plugins` beside this executable, and its own folder unless that is `bin`.

$JACKFIELD_LOG selects log records, such as `debug` or `warn,file=trace`.";

/// The heading of the options of [`CommonArgs`].
const OF_ALL: &str = "Options of every command";

#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// Configuration file; see `jackfield config --help`
    ///
    /// It is used instead of that of $JACKFIELD_CONFIG or the usual ones.
    #[arg(long, global = true, hide_short_help = true, help_heading = OF_ALL, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Use a configuration that others can write, with a warning
    ///
    /// Others are all users but root and you.
    #[arg(long, global = true, hide_short_help = true, help_heading = OF_ALL)]
    trust_config: bool,
    /// Print JSON; at an early end one object: error, exit_code
    ///
    /// It goes to standard output.
    #[arg(long, global = true, hide_short_help = true, help_heading = OF_ALL)]
    pub(crate) json: bool,
    /// Format of standard error, else of $JACKFIELD_LOG_FORMAT
    ///
    /// Without both it is text.
    // Checked here, and read before the command line is parsed: its errors have this format, too.
    #[arg(long, global = true, hide_short_help = true, help_heading = OF_ALL, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl CommonArgs {
    /// The configuration, or the embedded one where there is no file.
    ///
    /// # Errors
    /// The file can't be read, can't be trusted or is wrong.
    pub(crate) fn configuration(&self) -> Result<Config, Error> {
        let found = self.open_file(Path::to_owned)?;
        found.map_or_else(|| Ok(Config::embedded()), |located| located.file.read())
    }

    /// The [configuration](Self::configuration) whose backends are used. Says that there is no file, because then events go
    /// to standard output.
    ///
    /// # Errors
    /// As for `configuration`.
    pub(crate) fn configuration_of_backends(&self) -> Result<Config, Error> {
        let Some(located) = self.open_file(Path::to_owned)? else {
            let used = "the plugin `stdout` is used, which prints events";
            log::warn(format_args!("{}; {used}", no_configuration()));
            return Ok(Config::embedded());
        };
        located.file.read()
    }

    /// Opens the configuration file: that of the command line, else that of the environment, else the first
    /// of the usual places. `None` where there is none. `shown` is how messages show a named file.
    ///
    /// # Errors
    /// The file can't be opened.
    pub(crate) fn locate(&self, shown: impl Fn(&Path) -> PathBuf) -> Result<Option<Located>, Error> {
        let named = self.config.clone().map(|path| (path, "command line (--config)"));
        let variable = || variable(CONFIG).map(|path| (path.into(), "$JACKFIELD_CONFIG"));
        if let Some((path, by)) = named.or_else(variable) {
            let path = shown(&path);
            let file = ConfigFile::open(&path)?;
            return Ok(Some(Located { path, file, by }));
        }
        for path in usual_places() {
            if let Some(file) = open_if_present(&path)? {
                tracing::debug!(file = %show_path(&path), "configuration found");
                return Ok(Some(Located { path, file, by: "usual place" }));
            }
        }
        Ok(None)
    }

    /// The file that [`locate`](Self::locate) finds, if others can't write it.
    fn open_file(&self, shown: impl Fn(&Path) -> PathBuf) -> Result<Option<Located>, Error> {
        let found = self.locate(shown)?;
        found.map(|located| Ok(Located { file: self.judged(located.file)?, ..located })).transpose()
    }

    /// The file, if only root and the user could have written it: it selects code.
    ///
    /// # Errors
    /// Others could have, unless `--trust-config` is set, which makes it a warning.
    pub(crate) fn judged(&self, file: ConfigFile) -> Result<ConfigFile, Error> {
        file.check_owner_unless(self.trust_config)
    }

    pub(crate) fn trust_config(&self) -> bool {
        self.trust_config
    }

    /// The format of the log on the command line.
    pub(crate) fn log_format(&self) -> Option<LogFormat> {
        self.log_format
    }

    /// The configuration file, and its content, which has a backend.
    ///
    /// # Errors
    /// There is no file, or it can't be trusted, is wrong or has no backend.
    pub(crate) fn file_with_backends(&self) -> Result<(OperatorsFile, Config), CommandError> {
        // Messages of a later reload have the absolute path, so those of the first read have it, too.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let Some(Located { path, file, .. }) = self.open_file(absolute)? else {
            return Err(CommandError::ConfigContent(no_configuration()));
        };
        let config = file.read()?;
        chosen_backends(&config, &[])?;
        Ok((OperatorsFile { path, trusted: self.trust_config }, config))
    }
}

/// A configuration file, not read yet.
pub(crate) struct Located {
    pub(crate) path: PathBuf,
    pub(crate) file: ConfigFile,
    /// What has named it.
    pub(crate) by: &'static str,
}

/// The message that there is no configuration file, with the places that were tried.
pub(crate) fn no_configuration() -> String {
    let places = in_prose(usual_places().iter().map(|place| show_path(place)));
    format!("no configuration found, tried {places}: write one of them, or name a file with --config")
}

/// The message that a configuration has no backend.
pub(crate) fn no_backend(config: &Config) -> String {
    let file = config.file.as_deref().map_or_else(String::new, |file| format!(" {}", show_path(file)));
    format!(
        "configuration{file}: it has no [[backend]]: write one, such as `[[backend]]` and below it `plugin = \"stdout\"`"
    )
}

/// The configuration file of a telemetry that delivers the events of other programs.
#[derive(Debug, Clone)]
pub(crate) struct OperatorsFile {
    /// An absolute path.
    path: PathBuf,
    /// Whether it is used although others can write it.
    trusted: bool,
}

impl OperatorsFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn set(&self, builder: Builder) -> Builder {
        builder.ops_file(&self.path).ops_file_required(true).ops_file_trusted(self.trusted)
    }
}

/// The backends whose names are in `only`, or all when `only` is empty.
///
/// # Errors
/// The configuration has no backend, or none of a name in `only`.
pub(crate) fn chosen_backends<'c>(
    config: &'c Config,
    only: &[String],
) -> Result<Vec<&'c BackendConfig>, CommandError> {
    let names: Vec<_> = config.backends.iter().map(|backend| backend.name.as_str()).collect();
    if names.is_empty() {
        return Err(CommandError::ConfigContent(no_backend(config)));
    }
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(unknown_backend("--only", unknown, "the configuration", names));
    }
    let backends = config.backends.iter();
    Ok(backends.filter(|backend| only.is_empty() || only.contains(&backend.name)).collect())
}

/// The refusal of a name of a backend that `place` does not have. It has these `names`.
pub(crate) fn unknown_backend(
    option: &str,
    unknown: &str,
    place: &str,
    names: impl IntoIterator<Item = impl AsRef<str>>,
) -> CommandError {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    CommandError::Usage(format!(
        "{option}: no backend {unknown:?} in {place}, which has {}",
        names.join(", ")
    ))
}

/// The options with which this command opens a backend. One thread uses the backend.
pub(crate) fn backend_options(config: &Config, backend: &BackendConfig) -> BackendOptions {
    // `send` and `run` share the record of crashes, so that neither starts a plugin that keeps crashing.
    let crashes = state_folder().map(|folder| folder.join("crashes"));
    backend.options(&config.plugins, crashes.as_deref()).concurrency(1).tool(TOOL, VERSION)
}

/// The state folder of `run`, unless its command line names another one.
pub(crate) fn state_folder() -> Option<PathBuf> {
    state_base().0.map(|base| base.join("jackfield").join("run"))
}

/// The folder of the states of programs, and where it comes from.
pub(crate) fn state_base() -> (Option<PathBuf>, &'static str) {
    let (name, from) =
        if cfg!(windows) { ("LOCALAPPDATA", "$LOCALAPPDATA") } else { ("XDG_STATE_HOME", "$XDG_STATE_HOME") };
    match absolute_variable(name) {
        Some(base) => (Some(base), from),
        None if cfg!(windows) => (None, from),
        None => (home().map(|home| home.join(".local/state")), "default"),
    }
}

/// The file of the user's consent for this command's own telemetry, beside the configuration.
pub(crate) fn consent_file() -> Option<PathBuf> {
    usual_places().first().map(|file| file.with_file_name("consent.toml"))
}

/// The current folder is not one of them, because anybody who can write there would choose which code runs.
fn usual_places() -> Vec<PathBuf> {
    let (own, machine) = if cfg!(windows) {
        (absolute_variable("APPDATA"), absolute_variable("ProgramData"))
    } else {
        let own = absolute_variable("XDG_CONFIG_HOME").or_else(|| home().map(|home| home.join(".config")));
        (own, Some(PathBuf::from("/etc")))
    };
    let below = |folder: PathBuf| folder.join("jackfield").join("config.toml");
    own.into_iter().chain(machine).map(below).collect()
}

fn absolute_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute())
}

/// Opens a file of the usual places, if it exists.
fn open_if_present(file: &Path) -> Result<Option<ConfigFile>, Error> {
    let found = match ConfigFile::open(file) {
        Ok(found) => found,
        Err(Error::ReadConfig { error, .. })
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(refusal) => return Err(refusal),
    };
    Ok(Some(found))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_file_that_is_not_there_is_passed_over() {
        for path in ["/nonexistent/jackfield/config.toml", "/dev/null/config.toml"] {
            assert!(matches!(open_if_present(Path::new(path)), Ok(None)), "{path}");
        }
    }

    #[test]
    fn only_backends_that_are_configured_can_be_chosen() {
        let text = "[[backend]]\nplugin = 'a'\n[[backend]]\nplugin = 'b'\n";
        let config = Config::parse(text, Path::new("c.toml")).expect("a configuration");
        let names = |only: &[&str]| {
            let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
            chosen_backends(&config, &only)
                .map(|chosen| chosen.iter().map(|backend| backend.name.clone()).collect::<Vec<_>>())
                .map_err(|refusal| (Exit::from(&refusal), refusal.to_string()))
        };
        assert_eq!(names(&[]), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(names(&["b"]), Ok(vec!["b".to_owned()]));
        let (exit, refusal) = names(&["b", "c"]).expect_err("there is no c");
        assert_eq!(exit, Exit::Usage);
        assert_eq!(refusal, "--only: no backend \"c\" in the configuration, which has `a`, `b`");
        let empty = Config::parse("", Path::new("c.toml")).expect("a configuration");
        let refusal = chosen_backends(&empty, &[]).expect_err("nothing to send to");
        assert_eq!(Exit::from(&refusal), Exit::Config);
    }
}
