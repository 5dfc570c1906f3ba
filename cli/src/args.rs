//! The command line.

use std::{path::PathBuf, sync::LazyLock, time::Duration};

use clap::{Args, Parser, Subcommand, ValueHint, builder::styling};
use jackfield::commands::TelemetryCommand;
use jackfield_loader::plugin_api::abi::{ABI_MAJOR, ABI_MINOR};

use crate::exit;

static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (plugin ABI {ABI_MAJOR}.{ABI_MINOR})", env!("CARGO_PKG_VERSION")));

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

$JACKFIELD_LOG chooses log records, such as `debug` or `warn,file=trace`.";

static MAIN_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield send events.jsonl\n  tail -f events.jsonl | jackfield send\n  jackfield plugins\n  \
         jackfield inspect ./librabbitmq.so",
        "",
    )
});

static SEND_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield send events.jsonl\n  tail -f events.jsonl | jackfield send --quiet\n  \
         jackfield send --only main jackfield-20260102T030405Z-42.main.undelivered.jsonl\n  \
         jackfield send --json events.jsonl | tail -n 1 | jq .backends",
        "\n\nLeftovers are files of mode 0600 in the folder of --leftovers, made when needed:\n  \
         jackfield-TIME-PID.BACKEND.undelivered.jsonl  `send --only BACKEND` takes it again\n  \
         jackfield-TIME-PID.BACKEND.rejected.jsonl     the same form, refused for good\n  \
         jackfield-TIME-PID.bad-lines.txt              lines that are not events\n\
         When the reader of standard output goes away (`| head`), what the plugin `stdout`\n\
         has not written is undelivered at once.\n\n\
         With --json the last line of standard output is one object:\n  \
         lines, events, bad_lines, bad_lines_file, interrupted, exit_code, and\n  \
         backends: a list of name, plugin, error, delivered, retried, rejected,\n    \
         undelivered, lost (in no file), close_error, rejected_file,\n    \
         undelivered_file, reasons: a list of outcome, reason, events.",
    )
});

static RUN_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  tail -F events.jsonl | jackfield run\n  mkfifo /run/events && jackfield run /run/events --watch\n  \
         jackfield run --spools ~/.local/state --state /var/lib/jackfield",
        "\n\nWhat is read is in the spool of the state folder, by default ~/.local/state/jackfield/run,\nbefore \
         anything is sent: a run that is killed goes on where it was. At most --spool-size and\n10,000,000 events wait \
         there. With no room in it or on the disk nothing more is read until there\nis: whoever writes to the input waits, \
         nothing is lost, and `jackfield status` says so. What is\nolder than 30 days leaves, counted. Lines that are not \
         events are kept in\njackfield-TIME-PID.bad-lines.txt beside it, the first 10,000.\n\n\
         SIGHUP reads the configuration again and swaps what has changed, --watch does so by itself:\nwhat is new is \
         opened first, and where it can't be had the old one stays. SIGTERM and SIGINT\nend the run in good order, the \
         second one at once with exit code 130.\n\n\
         With --spools every FOLDER/TOOL/spool and FOLDER/TOOL/telemetry/spool is delivered to the\nbackends of this \
         configuration, which take the place of those that TOOL may have; only\nof a tool whose user has consented in its consent file, and not with an opt-out such as\nDO_NOT_TRACK in this environment.\n\n\
         With --json the last line of standard output is one object: waiting, rejected, not_stored,\nleft_in_input, \
         exit_code.",
    )
});

static STATUS_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield status\n  jackfield status --state /var/lib/jackfield --json | jq .spools",
        "\n\nOn a terminal the screen follows the run until Ctrl-C; elsewhere, and with --once, it is printed\nonce. When \
         no `jackfield run` is alive there, the exit code is 7.\n\n\
         With --json, one object: alive, and refusal when there is nothing else to say; else state,\nversion, pid, started_ms, at_ms, config, input, lines, events, \
         bad_lines, not_stored, holding (reason, since_ms; null while there is room), mapped_images,\nimage_limit, \
         last_reload, and spools: a list of\n  tool, folder, waiting, \
         bytes, oldest_s, dropped, quarantined, problems, and backends: a list of\n    name, plugin (name, version, \
         file), isolation, open, events_per_s, p50_ms, p99_ms, calls,\n    waiting, delivered, rejected, circuit, \
         paused_s, last_error, last_error_s,\n    last_delivery_s, swaps, not_swapped.",
    )
});

static PLUGINS_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield plugins\n  JACKFIELD_PLUGIN_PATH=/opt/vendor jackfield plugins --json",
        "\n\nNAME is what a configuration's `plugin` accepts; in brackets what the plugin calls\nitself, if that leads \
         elsewhere or nowhere.\n\nWith --json, a list of: file, name, metadata_name (what it calls itself), version,\n\
         abi (major, minor), trust (the policy), trusted, trust_refusal, compatible, refusal.",
    )
});

static INSPECT_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield inspect ./librabbitmq.so\n  jackfield inspect dist/*.dll dist/*.dylib --json",
        "\n\nWith --json, a list of: file, compatible, refusal, and of a plugin format, os,\narch, bits, \
         endian, size, slices, needed, exports_descriptor, metadata (as it\nstands in the file), trust (the \
         configuration's policy), trusted, trust_refusal.",
    )
});

static LOCK_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield lock\n  jackfield lock --check\n  jackfield lock --update rabbitmq",
        "\n\nThe lock is the file of `lock` in [plugins], by default jackfield.lock beside the\nconfiguration. It has the \
         plugins of the backends and those on the search path. A line\n`minimum = \"1.2.0\"` that you add to a plugin \
         stays, and no older version is taken in.\nA plugin that is refused (its owner, its name, its version) is left \
         out.\n\nWith --json, one object: lock, plugins (how many), written, changes (change, name,\ntarget, old, \
         new: version and sha256), refusals.",
    )
});

static KEYGEN_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield keygen\n  jackfield keygen --no-password ci.key",
        "\n\nThe keys are those of minisign, and either program takes the other's. No file is\noverwritten.\n\n\
         With --json, one object: secret_key_file, public_key_file, public_key, key_id.",
    )
});

static SIGN_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield sign --key jackfield.key librabbitmq.so\n  minisign -S -s jackfield.key -m librabbitmq.so \\\n    \
         -t 'jackfield name=rabbitmq version=1.4.2 target=x86_64-unknown-linux-gnu'",
        "\n\nThe signature of FILE is FILE.minisig beside it, whose trusted comment says name,\nversion and target. \
         minisign makes the same.\n\nWith --json, a list of: file, signature, trusted_comment, error.",
    )
});

static VERIFY_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield verify /usr/lib/jackfield/*.so\n  jackfield verify --key jackfield.pub dist/*.so dist/*.dll",
        "\n\nWith --json, a list of: file, trust (the policy), trusted, refusal.",
    )
});

static SCHEMA_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield schema > ~/.config/jackfield/config.schema.json",
        "\n\nAn editor that knows JSON Schema completes and checks `config.toml` by it: Taplo, and\n\
         so Even Better TOML, when the file begins with `#:schema ./config.schema.json`.\n\
         Runs no plugin: options are read from the files.",
    )
});

static CHECK_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield check ./libfile.so --config-json '{\"path\":\"/tmp/events\"}'\n  \
         jackfield check ./librabbitmq.so --config check.toml --junit report.xml\n  \
         jackfield check ./libvendor.so --only leaks --cycles 100",
        "\n\nRuns the library's code, whoever owns the file: each check in a child process of its\nown, so that a crash or \
         a hang fails one check. Events go to the platform that the options\nname: let it be one for tests. With \
         --config, a file of the form below, the options of its\nbackend are used; with a file *.json, it is the options. \
         Without either there are none.\n\nWhere an option is called url, endpoint, address or the like, the platform that \
         is away\nor does not answer is put there; otherwise --endpoint names the option. Memory may grow\nby 2 MiB over \
         the cycles after a warm-up of a tenth of them, or has to level off.\n\nWith --json: file, name, version, passed, \
         failed, skipped, and checks: a list of name,\nverdict (pass, fail, skipped), found, advice, seconds. Exit code 0: \
         nothing failed.",
    )
});

static FORGET_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield forget 3bf690336b01aed7275a70c788d44b6e\n  \
         jackfield forget --only posthog 3bf690336b01aed7275a70c788d44b6e --json",
        "\n\nPrints a receipt for each backend: sent (the request has reached the platform, which\nanswers for the rest), \
         unsupported (there is no way to ask), failed, or unusable (the\nbackend could not be opened).\n\n\
         With --json, a list of: name, answer, text.",
    )
});

static DOCTOR_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield doctor\n  jackfield doctor --only main --json",
        "\n\nSays of each backend: reachable, unreachable, refused (by its platform), unsupported\n(it can't find out), or \
         unusable (it could not be opened).\n\nWith --json, a list of: name, answer, text.",
    )
});

static TELEMETRY_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield telemetry status\n  jackfield telemetry disable",
        "\n\nWhich command ran, for how long and how it ended is recorded once you have said\n`enable`, and goes to the \
         backends of /etc/jackfield/telemetry.toml, or of the file in\n$JACKFIELD_TELEMETRY_CONFIG; without these it is \
         not even written down.\n\nIts own exit codes: 0 done, 1 not done, or `doctor` found something wrong.",
    )
});

static NEW_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield new acme_lines --lang rust --contract ~/src/jackfield\n  \
         jackfield new acme_lines --lang c --dir plugins/acme",
        "\n\nThe project sends events as lines over TCP; put your platform's protocol in that place.\nIt has tests against \
         a local server, a README, a script `ci` and a workflow that runs it.\nNothing is overwritten. In C it needs a \
         compiler and make, and nothing of Jackfield but\nthe header that is in it. In Rust it is pinned to this version \
         of the crate\njackfield-plugin-api, which is on no registry yet: until it is, give --contract.\n\n\
         With --json, an object of: name, lang, folder, files, contract, build, test.",
    )
});

static COMPLETIONS_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield completions bash > ~/.local/share/bash-completion/completions/jackfield\n  \
         jackfield completions zsh > ~/.zfunc/_jackfield",
        "",
    )
});

fn help(examples: &str, more: &str) -> String {
    format!("Examples:\n{examples}{more}\n\n{CONFIGURATION}\n\n{}", exit::HELP)
}

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default());

/// Sends telemetry events through backends that are dynamic libraries, and inspects these.
#[derive(Debug, Parser)]
#[command(name = "jackfield", version = VERSION.as_str(), after_help = MAIN_HELP.as_str(), styles = STYLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Configuration file, instead of that of $JACKFIELD_CONFIG or the usual ones
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON to standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send events, one JSON object a line, through every configured backend
    #[command(after_help = SEND_HELP.as_str())]
    Send(SendArgs),
    /// Forward events until told to end: from standard input, a FIFO or the spools of tools
    #[command(after_help = RUN_HELP.as_str())]
    Run(RunArgs),
    /// Show what `run` is doing
    #[command(after_help = STATUS_HELP.as_str())]
    Status(StatusArgs),
    /// List every plugin on the search path, running none of them
    #[command(after_help = PLUGINS_HELP.as_str())]
    Plugins,
    /// Show what libraries of any platform say of themselves and whether they can be used here, running none of them
    #[command(after_help = INSPECT_HELP.as_str())]
    Inspect {
        /// Libraries: .so, .dll, .dylib
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Print one JSON Schema for the whole configuration file, the options of the plugins on the search path included
    #[command(after_help = SCHEMA_HELP.as_str())]
    Schema,
    /// Run a plugin through the conformance kit: whether it does what the contract asks of it
    #[command(after_help = CHECK_HELP.as_str())]
    Check(CheckArgs),
    /// Write down which plugins there are, for `trust = "pinned"`
    #[command(after_help = LOCK_HELP.as_str())]
    Lock(LockArgs),
    /// Make a pair of keys to sign plugins with, as minisign does
    #[command(after_help = KEYGEN_HELP.as_str())]
    Keygen(KeygenArgs),
    /// Sign plugins of any platform, for `trust = "signed"`, running none of them
    #[command(after_help = SIGN_HELP.as_str())]
    Sign(SignArgs),
    /// Say of files whether the configuration's trust policy, or a key, allows them, running none of them
    #[command(after_help = VERIFY_HELP.as_str())]
    Verify(VerifyArgs),
    /// Ask every configured backend's platform to delete what it has of a machine
    #[command(after_help = FORGET_HELP.as_str())]
    Forget(ForgetArgs),
    /// Open every configured backend and find out whether its platform answers, without sending an event
    #[command(after_help = DOCTOR_HELP.as_str())]
    Doctor(DoctorArgs),
    /// Make a plugin project that builds, and whose tests pass, as it is
    #[command(after_help = NEW_HELP.as_str())]
    New(NewArgs),
    /// Rule over what this command itself collects of its use: nothing without your consent
    #[command(subcommand, after_help = TELEMETRY_HELP.as_str())]
    Telemetry(TelemetryCommand),
    /// Print a script that completes this command in a shell
    #[command(after_help = COMPLETIONS_HELP.as_str())]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// What it is called on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Send(_) => "send",
            Self::Run(_) => "run",
            Self::Status(_) => "status",
            Self::Plugins => "plugins",
            Self::Inspect { .. } => "inspect",
            Self::Schema => "schema",
            Self::Check(_) => "check",
            Self::Lock(_) => "lock",
            Self::Keygen(_) => "keygen",
            Self::Sign(_) => "sign",
            Self::Verify(_) => "verify",
            Self::Forget(_) => "forget",
            Self::Doctor(_) => "doctor",
            Self::New(_) => "new",
            Self::Telemetry(_) => "telemetry",
            Self::Completions { .. } => "completions",
        }
    }
}

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

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// Write nothing, and fail if the lock is not as the plugins are
    #[arg(long)]
    pub(crate) check: bool,
    /// Take in the plugin that calls itself so, and leave the others as they are; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) update: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// File for the secret key; the public one lies beside it and ends in .pub
    #[arg(default_value = "jackfield.key", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Don't protect the secret key by a password
    #[arg(long)]
    pub(crate) no_password: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// Libraries: .so, .dll, .dylib
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// File of the secret key
    #[arg(long, value_name = "FILE", default_value = "jackfield.key", value_hint = ValueHint::FilePath)]
    pub(crate) key: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Libraries: .so, .dll, .dylib
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Public key, or its file, that must have signed them; may be given several times
    #[arg(long, value_name = "KEY", conflicts_with = "config")]
    pub(crate) key: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// The member `machine_id` of the machine's events
    #[arg(value_name = "MACHINE_ID")]
    pub(crate) machine_id: String,
    /// Ask the backend of this name only; may be given several times
    #[arg(long, value_name = "BACKEND")]
    pub(crate) only: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Ask the backend of this name only; may be given several times
    #[arg(long, value_name = "BACKEND")]
    pub(crate) only: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// What the plugin is called: lower-case letters, digits and `_`
    pub(crate) name: String,
    /// Language of the project
    #[arg(long, value_enum)]
    pub(crate) lang: Lang,
    /// Folder of the project, new or empty; by default NAME in the current one
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    /// Build a project in Rust against this copy of the contract instead of a registry's: the folder plugin-api of
    /// Jackfield's source, or the one around it
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub(crate) contract: Option<PathBuf>,
}

/// A language that there are templates for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Lang {
    /// Rust
    Rust,
    /// C
    C,
}

impl Lang {
    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// File of events, or `-` for standard input
    #[arg(default_value = "-", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
    /// How long a backend may take nothing before its events are left over
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = jackfield::forward::parse_duration)]
    pub(crate) give_up_after: Duration,
    /// Send to the backend of this name only; may be given several times
    #[arg(long, value_name = "BACKEND")]
    pub(crate) only: Vec<String>,
    /// Folder for what is left over
    #[arg(long, value_name = "FOLDER", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) leftovers: PathBuf,
    /// Most events in a batch
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) batch_events: u16,
    /// Print errors only: neither progress nor a summary
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// FIFO that events are written to, or `-` for standard input
    ///
    /// Several writers of one FIFO tear each other's lines unless each writes whole lines of at most 4096 bytes (PIPE_BUF)
    /// with one call.
    #[arg(default_value = "-", value_name = "FIFO", value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
    /// Folder of tools' spools to deliver, instead of an input
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, conflicts_with = "input")]
    pub(crate) spools: Option<PathBuf>,
    /// Folder for what was read and not delivered, of this run alone
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) state: Option<PathBuf>,
    /// How much may wait in the state folder before the input is held back
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1GiB",
        value_parser = jackfield::forward::parse_size,
        conflicts_with = "spools"
    )]
    pub(crate) spool_size: u64,
    /// Reload when the configuration or a plugin's file changes
    #[arg(long)]
    pub(crate) watch: bool,
    /// How long the end may take for what is not delivered yet
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = jackfield::forward::parse_duration)]
    pub(crate) grace: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Folder that was given to `run`
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) state: Option<PathBuf>,
    /// Print once, on a terminal too
    #[arg(long)]
    pub(crate) once: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

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
        assert_eq!(refusal.exit_code(), i32::from(exit::Exit::Usage.code()));
    }
}
