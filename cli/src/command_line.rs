//! The command line, and its errors in one line.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use clap::{
    CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum as _, ValueHint,
    builder::styling, error::ErrorKind,
};
use clap_complete::Shell;
use jackfield::commands::TelemetryCommand;
use jackfield_loader::{
    plugin_api::abi::{ABI_MAJOR, ABI_MINOR},
    show_path,
};

use crate::{
    backends::{self, DoctorArgs, ForgetArgs},
    check::options::{self as check, CheckArgs},
    console,
    dead_letters::{self, DeadLettersCommand},
    environment::variable,
    exit::{CommandError, Exit},
    log::{self, LogFormat},
    new::{self, NewArgs},
    plugins::{inspect, list, schema},
    retry::{self, RetryArgs},
    run::{self, event_source::RunArgs},
    send::{self, SendArgs},
    settings::{CommonArgs, Help, VERSION},
    status::{self, StatusArgs},
    trust::{
        keygen::{self, KeygenArgs},
        lock::{self, LockArgs},
        sign::{self, SignArgs},
        verify::{self, VerifyArgs},
    },
};

static LONG_VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{VERSION} (plugin ABI {ABI_MAJOR}.{ABI_MINOR})"));

const MAIN_HELP: Help = Help {
    examples: "  jackfield send events.jsonl\n  tail -f events.jsonl | jackfield send\n  jackfield plugins\n  \
         jackfield inspect ./librabbitmq.so",
    notes: "",
};

const TELEMETRY_HELP: Help = Help {
    examples: "  jackfield telemetry status\n  jackfield telemetry disable",
    notes: "After `enable`, this command records which of its commands ran, for how long, and how it\n\
         ended. The events go to the backends of /etc/jackfield/telemetry.toml, or of the file in\n\
         $JACKFIELD_TELEMETRY_CONFIG. Without these backends nothing is recorded.\n\n\
         Exit codes of `telemetry`: 0 done, 1 not done, or `doctor` has found something wrong.",
};

const COMPLETIONS_HELP: Help = Help {
    examples: "  jackfield completions bash > ~/.local/share/bash-completion/completions/jackfield\n  \
         jackfield completions zsh > ~/.zfunc/_jackfield",
    notes: "",
};

const MAN_HELP: Help = Help {
    examples: "  mkdir -p ~/.local/share/man/man1 && jackfield man ~/.local/share/man/man1\n  man jackfield-run",
    notes: "",
};

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default());

/// Send telemetry events through plugins, which are dynamic libraries, and inspect these plugins.
#[derive(Debug, Parser)]
#[command(name = "jackfield", version = LONG_VERSION.as_str(), after_help = MAIN_HELP.text(), styles = STYLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send events, one JSON object on each line, to every configured backend
    #[command(after_help = send::HELP.text())]
    Send(SendArgs),
    /// Forward events until told to end: from standard input, a file, a FIFO or the spools of tools
    #[command(after_help = run::HELP.text())]
    Run(RunArgs),
    /// Show what `run` is doing
    #[command(after_help = status::HELP.text())]
    Status(StatusArgs),
    /// Try failed backends now, instead of after their pause
    #[command(after_help = retry::HELP.text())]
    Retry(RetryArgs),
    /// List, show, send again or drop the events that backends have rejected
    #[command(subcommand, after_help = dead_letters::HELP.text())]
    DeadLetters(DeadLettersCommand),
    /// List every plugin on the search path; runs none of them
    #[command(after_help = list::HELP.text())]
    Plugins,
    /// Show the metadata of libraries of any platform, and whether they can be used here; runs none of them
    #[command(after_help = inspect::HELP.text())]
    Inspect {
        /// Libraries: .so, .dll, .dylib
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Print a JSON Schema of the configuration file, with the options of the plugins on the search path
    #[command(after_help = schema::HELP.text())]
    Schema,
    /// Check that a plugin does what the contract requires
    #[command(after_help = check::HELP.text())]
    Check(CheckArgs),
    /// Record the plugins in the lock file, for `trust = "pinned"`
    #[command(after_help = lock::HELP.text())]
    Lock(LockArgs),
    /// Make a pair of minisign keys, to sign plugins
    #[command(after_help = keygen::HELP.text())]
    Keygen(KeygenArgs),
    /// Sign plugins of any platform, for `trust = "signed"`; runs none of them
    #[command(after_help = sign::HELP.text())]
    Sign(SignArgs),
    /// Show whether the trust policy of the configuration, or a key, allows files; runs none of them
    #[command(after_help = verify::HELP.text())]
    Verify(VerifyArgs),
    /// Ask the platform of every configured backend to delete the data of a machine
    #[command(after_help = backends::FORGET_HELP.text())]
    Forget(ForgetArgs),
    /// Open every configured backend and find out whether its platform answers; sends no event
    #[command(after_help = backends::DOCTOR_HELP.text())]
    Doctor(DoctorArgs),
    /// Make a plugin project that builds and whose tests pass
    #[command(after_help = new::HELP.text())]
    New(NewArgs),
    /// Show or change what this command records about its own use: nothing without your consent
    #[command(subcommand, after_help = TELEMETRY_HELP.text())]
    Telemetry(TelemetryCommand),
    /// Print a script that completes this command in a shell
    #[command(after_help = COMPLETIONS_HELP.text())]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write a manual page for each command
    #[command(after_help = MAN_HELP.text())]
    Man {
        /// An existing folder
        #[arg(value_name = "FOLDER", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
}

/// The command line and the name of its command. An error, `--help` and `--version` end the process.
pub(crate) fn parse() -> (Cli, String) {
    let wanted = Wanted::of(env::args_os());
    let refuse = |refusal: String| -> ! {
        let refusal = CommandError::Usage(refusal);
        log::error(&refusal);
        if wanted.json {
            console::print_json_error(&refusal);
        }
        jackfield_loader::exit(Exit::from(&refusal).code().into())
    };
    match wanted.format() {
        Ok(format) => log::set_format(format),
        Err(refusal) => refuse(refusal),
    }
    let parsed = Cli::command().try_get_matches().and_then(|matches| {
        let name = matches.subcommand_name().unwrap_or_default().to_owned();
        Cli::from_arg_matches(&matches).map(|cli| (cli, name))
    });
    parsed.unwrap_or_else(|error| {
        let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if !error.use_stderr() || (is_help && !wanted.json) {
            error.exit()
        }
        let mut message = error.render().to_string();
        if is_help {
            let usage = message.lines().find(|line| line.starts_with("Usage: ")).unwrap_or_default();
            message = format!("a command is missing\n{usage}");
        }
        refuse(in_one_line(&message))
    })
}

/// What the command line says of the output. It is found before the parsing, because it holds for the errors of that, too.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    json: bool,
    /// The word after `--log-format`.
    format: Option<OsString>,
}

impl Wanted {
    fn of(words: impl IntoIterator<Item = OsString>) -> Self {
        let mut wanted = Self::default();
        let mut words = words.into_iter().skip(1).take_while(|word| word != "--");
        while let Some(word) = words.next() {
            if word == "--json" {
                wanted.json = true;
            } else if word == "--log-format" {
                wanted.format = words.next();
            } else if let Some(format) = word.to_str().and_then(|word| word.strip_prefix("--log-format=")) {
                wanted.format = Some(format.into());
            }
        }
        wanted
    }

    /// The format of the log: of the command line, else of the environment. The parser refuses a wrong one of the
    /// command line.
    fn format(&self) -> Result<LogFormat, String> {
        let format = |word: OsString| LogFormat::from_str(word.to_str()?, false).ok();
        match (&self.format, variable(LOG_FORMAT)) {
            (Some(word), _) => Ok(format(word.clone()).unwrap_or_default()),
            (None, Some(word)) => format(word.clone())
                .ok_or_else(|| format!("{LOG_FORMAT}: expected \"text\" or \"json\", found {word:?}")),
            (None, None) => Ok(LogFormat::default()),
        }
    }
}

/// The variable with the format of the log.
const LOG_FORMAT: &str = "JACKFIELD_LOG_FORMAT";

/// Turns clap's message, which has several lines and a usage, into one line that says how to see the usage.
fn in_one_line(message: &str) -> String {
    let (mut said, mut help) = (String::new(), "--help".to_owned());
    for text in message.lines().map(str::trim).filter(|text| !text.is_empty()) {
        if let Some(usage) = text.strip_prefix("Usage: ") {
            let is_name =
                |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
            let names: Vec<_> = usage.split(' ').take_while(is_name).collect();
            help = format!("{} --help", names.join(" "));
            break;
        }
        if text.starts_with("For more information") {
            break;
        }
        match text.strip_prefix("tip: ") {
            Some(tip) => said += &format!("; {tip}"),
            None if said.is_empty() || said.ends_with(':') => said += &format!(" {text}"),
            None => said += &format!(", {text}"),
        }
    }
    let said = said.trim_start();
    format!("{}; see `{help}`", said.strip_prefix("error: ").unwrap_or(said))
}

/// Prints the script of `completions`.
///
/// # Errors
/// Standard output can't be written.
pub(crate) fn print_completions(shell: Shell) -> Result<Exit, CommandError> {
    // The generator panics when it can't write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "jackfield", &mut script);
    console::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Writes the pages of `man`.
///
/// # Errors
/// The folder can't be written.
pub(crate) fn write_manual(folder: &Path) -> Result<Exit, CommandError> {
    clap_mangen::generate_to(Cli::command(), folder).map_err(CommandError::system(show_path(folder)))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    const COMMANDS: &str = "send run status retry dead-letters plugins inspect schema check lock keygen sign verify forget doctor new \
                            telemetry completions man help";

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_has_examples_and_exit_codes() {
        let mut cli = Cli::command();
        cli.build();
        let names: Vec<_> = cli.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(names.join(" "), COMMANDS);
        for command in cli.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let text = command.render_help().to_string();
            assert!(text.contains("Examples:\n  "), "{text}");
            assert!(text.contains(exit::HELP), "{text}");
        }
    }

    #[test]
    fn a_bad_duration_is_refused_with_what_was_expected() {
        let refusal =
            Cli::try_parse_from(["jackfield", "send", "--give-up-after", "5"]).expect_err("no unit");
        assert!(refusal.to_string().contains("such as \"250ms\""), "{refusal}");
        assert_eq!(refusal.exit_code(), i32::from(Exit::Usage.code()));
    }

    #[test]
    fn what_is_wanted_of_the_output_is_found_in_a_wrong_command_line() {
        let wanted = |line: &str| Wanted::of(line.split(' ').map(OsString::from));
        let of = |json, format: Option<&str>| Wanted { json, format: format.map(OsString::from) };
        assert_eq!(wanted("jackfield sned --json"), of(true, None));
        assert_eq!(wanted("jackfield --log-format json run --onec"), of(false, Some("json")));
        assert_eq!(wanted("jackfield run --log-format=text --log-format=json"), of(false, Some("json")));
        assert_eq!(wanted("jackfield send -- --json --log-format=json"), of(false, None));
        assert_eq!(wanted("jackfield run --log-format"), of(false, None));
    }

    fn refusal(args: &str) -> String {
        let Err(error) = Cli::try_parse_from(args.split(' ')) else { panic!("{args} is right") };
        in_one_line(&error.render().to_string())
    }

    #[test]
    fn an_error_is_one_line_that_says_what_to_do() {
        assert_eq!(
            refusal("jackfield status --onec"),
            "unexpected argument '--onec' found; a similar argument exists: '--once'; see `jackfield status --help`"
        );
        assert_eq!(
            refusal("jackfield sing x"),
            "unrecognized subcommand 'sing'; a similar subcommand exists: 'sign'; see `jackfield --help`"
        );
        assert_eq!(
            refusal("jackfield check"),
            "the following required arguments were not provided: <FILE>; see `jackfield check --help`"
        );
        let refused = refusal("jackfield run --grace banana");
        assert!(refused.starts_with("invalid value 'banana' for '--grace <"), "{refused}");
        assert!(refused.ends_with("; see `--help`") && !refused.contains('\n'), "{refused}");
    }
}
