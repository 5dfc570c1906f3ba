//! The command line of `jackfield run`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueHint};
use jackfield::spool::Limits;

use super::service::limits;
use crate::common_args::Help;

pub(crate) const HELP: Help = Help {
    examples: "  tail -F events.jsonl | jackfield run\n  mkfifo /run/events && jackfield run /run/events --watch\n  \
         jackfield run --spools ~/.local/state --state /var/lib/jackfield",
    notes: "What is read is in the spool of the state folder, by default ~/.local/state/jackfield/run,\nbefore \
         anything is sent: a run that is killed goes on where it was. At most --spool-size and\n10,000,000 events wait \
         there. With no room in it or on the disk nothing more is read until there\nis: whoever writes to the input waits, \
         nothing is lost, and `jackfield status` says so. What is\nolder than 30 days leaves, counted. Lines that are not \
         events are kept in\njackfield-TIME-PID.bad-lines.txt beside it, the first 10,000.\n\n\
         SIGHUP reads the configuration again and swaps what has changed, --watch does so by itself:\nwhat is new is \
         opened first, and where it can't be had the old one stays. SIGTERM and SIGINT\nend the run in good order; \
         a second one after a second, or a third one, ends it at once with exit\ncode 130.\n\n\
         With --spools every FOLDER/TOOL/spool and FOLDER/TOOL/telemetry/spool is delivered to the\nbackends of this \
         configuration, which take the place of those that TOOL may have; only\nof a tool whose user has consented in its consent file, and not with an opt-out such as\nDO_NOT_TRACK in this environment.\n\n\
         With --json the last line of standard output is one object: read, waiting, rejected, dropped,\nbackends (a list \
         of tool, name, waiting_before, delivered, rejected, lost, waiting),\nnot_stored, left_in_input, exit_code. For \
         each backend waiting_before + read is\ndelivered + rejected + lost + waiting + what it had not settled of \
         `dropped`.",
};

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
    /// Size of the rejected events that are kept; a backend that rejects more gets no events [default: a quarter of the
    /// spool's size]
    #[arg(long, value_name = "SIZE", value_parser = jackfield::forward::parse_size)]
    pub(crate) dead_letter_size: Option<u64>,
    /// Age after which rejected events are dropped
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = jackfield::forward::parse_age)]
    pub(crate) dead_letter_age: Duration,
    /// Reload when the configuration or a plugin's file changes
    #[arg(long)]
    pub(crate) watch: bool,
    /// Start although a backend can't be used yet: its events wait for it
    #[arg(long)]
    pub(crate) start_anyway: bool,
    /// How long the end may take for what is not delivered yet
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = jackfield::forward::parse_duration)]
    pub(crate) grace: Duration,
}

impl RunArgs {
    /// The limits of the run's spool.
    pub(super) fn limits(&self) -> Limits {
        let mut limits = limits(self.spool_size);
        (limits.dead_letter_bytes, limits.dead_letter_age) = (self.dead_letter_size, self.dead_letter_age);
        limits
    }
}
