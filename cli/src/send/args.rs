//! The command line of `jackfield send`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueHint};

use crate::common_args::Help;

pub(crate) const HELP: Help = Help {
    examples: "  jackfield send events.jsonl\n  tail -f events.jsonl | jackfield send --quiet\n  \
         jackfield send --only main jackfield-20260102T030405Z-42.main.undelivered.jsonl\n  \
         jackfield send --json events.jsonl | tail -n 1 | jq .backends",
    notes: "Leftovers are files of mode 0600 in the folder of --leftovers, made when needed:\n  \
         jackfield-TIME-PID.BACKEND.undelivered.jsonl  `send --only BACKEND` takes it again\n  \
         jackfield-TIME-PID.BACKEND.rejected.jsonl     the same form, refused for good\n  \
         jackfield-TIME-PID.bad-lines.txt              lines that are not events\n\
         When the reader of standard output goes away (`| head`), what the plugin `stdout`\n\
         has not written is undelivered at once.\n\n\
         Ctrl-C and SIGTERM end it: what was read and not delivered is kept. Two within a second count\n\
         as one, because wrappers such as `timeout` signal twice. A third one, or one after a second,\n\
         ends at once with exit code 130.\n\n\
         With --json the last line of standard output is one object:\n  \
         lines, events, bad_lines, bad_lines_file, interrupted, exit_code, and\n  \
         backends: a list of name, plugin, error, delivered, retried, rejected,\n    \
         undelivered, lost (in no file), close_error, rejected_file,\n    \
         undelivered_file, reasons: a list of outcome, reason, events.",
};

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
