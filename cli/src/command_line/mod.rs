//! The command line.

pub(crate) mod usage;

use std::{path::PathBuf, sync::LazyLock};

use clap::{Parser, Subcommand, ValueHint, builder::styling};
use jackfield::commands::TelemetryCommand;
use jackfield_loader::plugin_api::abi::{ABI_MAJOR, ABI_MINOR};

use crate::{
    backends::{
        doctor::{self, DoctorArgs},
        forget::{self, ForgetArgs},
    },
    check::args::{self as check, CheckArgs},
    common_args::{CommonArgs, Help},
    completions,
    dead_letters::{self, DeadLettersCommand},
    new::args::{self as new, NewArgs},
    plugins::{inspect, list, schema},
    retry::{self, RetryArgs},
    run::args::{self as run, RunArgs},
    send::args::{self as send, SendArgs},
    status::{self, StatusArgs},
    trust::{
        keygen::{self, KeygenArgs},
        lock::{self, LockArgs},
        sign::{self, SignArgs},
        verify::{self, VerifyArgs},
    },
};

static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (plugin ABI {ABI_MAJOR}.{ABI_MINOR})", env!("CARGO_PKG_VERSION")));

const MAIN_HELP: Help = Help {
    examples: "  jackfield send events.jsonl\n  tail -f events.jsonl | jackfield send\n  jackfield plugins\n  \
         jackfield inspect ./librabbitmq.so",
    notes: "",
};

const TELEMETRY_HELP: Help = Help {
    examples: "  jackfield telemetry status\n  jackfield telemetry disable",
    notes: "Which command ran, for how long and how it ended is recorded once you have said\n`enable`, and goes to the \
         backends of /etc/jackfield/telemetry.toml, or of the file in\n$JACKFIELD_TELEMETRY_CONFIG; without these it is \
         not even written down.\n\nIts own exit codes: 0 done, 1 not done, or `doctor` found something wrong.",
};

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default());

/// Sends telemetry events through backends that are dynamic libraries, and inspects these.
#[derive(Debug, Parser)]
#[command(name = "jackfield", version = VERSION.as_str(), after_help = MAIN_HELP.text(), styles = STYLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send events, one JSON object a line, through every configured backend
    #[command(after_help = send::HELP.text())]
    Send(SendArgs),
    /// Forward events until told to end: from standard input, a FIFO or the spools of tools
    #[command(after_help = run::HELP.text())]
    Run(RunArgs),
    /// Show what `run` is doing
    #[command(after_help = status::HELP.text())]
    Status(StatusArgs),
    /// Try the backends that have failed now, instead of after their pause
    #[command(after_help = retry::HELP.text())]
    Retry(RetryArgs),
    /// List, show, send again or drop the events that backends have rejected
    #[command(subcommand, after_help = dead_letters::HELP.text())]
    DeadLetters(DeadLettersCommand),
    /// List every plugin on the search path, running none of them
    #[command(after_help = list::HELP.text())]
    Plugins,
    /// Show what libraries of any platform say of themselves and whether they can be used here, running none of them
    #[command(after_help = inspect::HELP.text())]
    Inspect {
        /// Libraries: .so, .dll, .dylib
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Print one JSON Schema for the whole configuration file, the options of the plugins on the search path included
    #[command(after_help = schema::HELP.text())]
    Schema,
    /// Run a plugin through the conformance kit: whether it does what the contract asks of it
    #[command(after_help = check::HELP.text())]
    Check(CheckArgs),
    /// Write down which plugins there are, for `trust = "pinned"`
    #[command(after_help = lock::HELP.text())]
    Lock(LockArgs),
    /// Make a pair of keys to sign plugins with, as minisign does
    #[command(after_help = keygen::HELP.text())]
    Keygen(KeygenArgs),
    /// Sign plugins of any platform, for `trust = "signed"`, running none of them
    #[command(after_help = sign::HELP.text())]
    Sign(SignArgs),
    /// Say of files whether the configuration's trust policy, or a key, allows them, running none of them
    #[command(after_help = verify::HELP.text())]
    Verify(VerifyArgs),
    /// Ask every configured backend's platform to delete what it has of a machine
    #[command(after_help = forget::HELP.text())]
    Forget(ForgetArgs),
    /// Open every configured backend and find out whether its platform answers, without sending an event
    #[command(after_help = doctor::HELP.text())]
    Doctor(DoctorArgs),
    /// Make a plugin project that builds, and whose tests pass, as it is
    #[command(after_help = new::HELP.text())]
    New(NewArgs),
    /// Rule over what this command itself collects of its use: nothing without your consent
    #[command(subcommand, after_help = TELEMETRY_HELP.text())]
    Telemetry(TelemetryCommand),
    /// Print a script that completes this command in a shell
    #[command(after_help = completions::HELP.text())]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::exit::{self, Exit};

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_and_exit_codes_in_its_help() {
        let mut cli = Cli::command();
        cli.build();
        let names: Vec<_> = cli.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        assert_eq!(
            names,
            [
                "send",
                "run",
                "status",
                "retry",
                "dead-letters",
                "plugins",
                "inspect",
                "schema",
                "check",
                "lock",
                "keygen",
                "sign",
                "verify",
                "forget",
                "doctor",
                "new",
                "telemetry",
                "completions",
                "help"
            ]
        );
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
}
