//! `jackfield send`: sends events from JSON Lines to every configured backend.
//!
//! One thread reads blocks, the main thread makes batches of events, and one thread for each backend delivers
//! the batches. All queues between them are bounded, so the use of memory does not depend on the size of the
//! input, and the slowest backend sets the pace.

mod batcher;
mod block_reader;
mod summary;
mod worker;

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueHint};
use indicatif::ProgressBar;
use jackfield::Config;
use jackfield::forward::CancellationToken;
use jackfield_loader::{count, show_path};

use self::{
    batcher::Batcher,
    block_reader::BlockReader,
    summary::Summary,
    worker::{OpenedBackend, SendSettings, Worker},
};
use crate::{
    console,
    exit::{CommandError, Exit, UnusableBackend},
    help::Help,
    leftovers::{BadLines, Leftovers},
    log,
    settings::{CommonArgs, chosen_backends},
    signals,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield send events.jsonl\n  tail -f events.jsonl | jackfield send --quiet\n  \
         jackfield send --only main jackfield-20260102T030405Z-42.main.undelivered.jsonl\n  \
         jackfield send --json events.jsonl | tail -n 1 | jq .backends",
    notes: "Events are sent as they are: nothing is redacted.\n\n\
         Leftovers are files of mode 0600 in the folder of --leftovers, made when needed:\n  \
         jackfield-TIME-PID.BACKEND.undelivered.jsonl  events for `send --only BACKEND`\n  \
         jackfield-TIME-PID.BACKEND.rejected.jsonl     events that the backend has rejected\n  \
         jackfield-TIME-PID.bad-lines.txt              lines that are not events\n\
         When the reader of standard output ends (`| head`), the events that the plugin\n\
         `stdout` has not written are undelivered at once.\n\n\
         Ctrl-C and SIGTERM end it; events that were read and not delivered are kept. Two signals\n\
         within a second count as one, because wrappers such as `timeout` signal twice. A third one,\n\
         or a second one after a second, ends it at once with exit code 130.\n\n\
         With --json the last line of standard output is one object:\n  \
         lines, events, bad_lines, bad_lines_file, interrupted, exit_code, and\n  \
         backends: a list of name, plugin, error, delivered, retried, rejected,\n    \
         undelivered, lost (in no file), close_error, rejected_file,\n    \
         undelivered_file, reasons: a list of outcome, reason, events.",
};

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// File of events, which gzip may have compressed, or `-` for standard input
    #[arg(default_value = "-", value_name = "FILE", value_hint = ValueHint::FilePath)]
    input: PathBuf,
    /// How long a backend may accept no event before its events are left over
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = jackfield::forward::parse_duration)]
    give_up_after: Duration,
    /// Send only to the backend of this name; may be given several times
    #[arg(long, value_name = "BACKEND")]
    only: Vec<String>,
    /// Folder for leftovers
    #[arg(long, value_name = "FOLDER", default_value = ".", value_hint = ValueHint::DirPath)]
    leftovers: PathBuf,
    /// Largest number of events in a batch
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = batch_events)]
    batch_events: u16,
    /// Print only errors: no progress and no summary
    #[arg(long, short)]
    quiet: bool,
}

fn batch_events(text: &str) -> Result<u16, &'static str> {
    let number = text.parse().ok().filter(|number| (1..=10_000).contains(number));
    number.ok_or("expected a whole number from 1 to 10000")
}

pub(crate) fn run(common: &CommonArgs, args: &SendArgs) -> Result<Exit, CommandError> {
    let config = common.configuration_of_backends()?;
    prepare(config, args).map_err(CommandError::nothing_read)?.run(common.json, args)
}

/// A run before its first line is read: all that can be checked without the input has been checked.
struct Prepared {
    opened: Vec<OpenedBackend>,
    input: BlockReader,
    settings: SendSettings,
    interrupted: CancellationToken,
}

fn prepare(config: Config, args: &SendArgs) -> Result<Prepared, CommandError> {
    let chosen: Vec<_> = chosen_backends(&config, &args.only)?.into_iter().cloned().collect();
    let failed = |what, path: &Path| CommandError::system(format!("{what} {}", show_path(path)));
    let input = BlockReader::open(&args.input).map_err(failed("input", &args.input))?;
    let leftovers = Leftovers::new(&args.leftovers).map_err(failed("leftovers", &args.leftovers))?;
    let (stop, interrupted) = (CancellationToken::new(), CancellationToken::new());
    end_by_signal(stop.clone(), interrupted.clone());
    let open = move || chosen.into_iter().map(|backend| OpenedBackend::open(&config, backend)).collect();
    let opened = signals::unless_stopped(&stop, open).map_err(CommandError::system("no backend is open"))?;
    let opened: Vec<_> = opened.ok_or(CommandError::Interrupted)?;
    let refusals: Vec<_> = opened.iter().filter_map(|target| target.backend.as_ref().err()).collect();
    if let ([refusal], 1) = (&*refusals, opened.len()) {
        return Err(CommandError::Backend((*refusal).clone()));
    }
    refusals.iter().for_each(|refusal| log::error_of(refusal.backend.as_deref(), refusal));
    let gravest = refusals.iter().map(|refusal| refusal.exit).max();
    if let Some(exit) = gravest.filter(|_| refusals.len() == opened.len()) {
        return Err(
            UnusableBackend { exit, backend: None, reason: "no backend can be used".to_owned() }.into()
        );
    }
    let settings = SendSettings { give_up_after: args.give_up_after, leftovers, stop };
    Ok(Prepared { opened, input, settings, interrupted })
}

/// From now on a signal to end sets both tokens.
fn end_by_signal(stop: CancellationToken, interrupted: CancellationToken) {
    let end = move || {
        log::say(
            "interrupted: events that were read and not delivered are kept; \
             a second Ctrl-C after a second, or a third one, ends at once",
        );
        interrupted.set();
        stop.set();
    };
    if let Err(error) = signals::install(end, None) {
        tracing::warn!("Ctrl-C will end this run at once and lose events that were read: {error}");
    }
}

impl Prepared {
    fn run(self, json: bool, args: &SendArgs) -> Result<Exit, CommandError> {
        let Self { opened, input, settings, interrupted } = self;
        if args.input.as_os_str() == "-" && io::stdin().is_terminal() && !args.quiet {
            log::say("reading events from the terminal, one a line, until Ctrl-D");
        }
        // A plugin that prints to the terminal and a bar would overwrite each other.
        let is_stdout =
            |backend: &OpenedBackend| backend.plugin.as_ref().is_some_and(|plugin| *plugin == "stdout");
        let prints = io::stdout().is_terminal() && opened.iter().any(is_stdout);
        let quiet = args.quiet || json;
        let bar = if quiet || prints { ProgressBar::hidden() } else { console::start_bar(input.size) };

        let regular_file = input.is_file;
        let blocks = input.blocks(settings.stop.clone());
        let workers: io::Result<Vec<_>> =
            opened.into_iter().map(|backend| Worker::start(backend, &settings)).collect();
        let started = workers.and_then(|workers| Ok((workers, blocks?)));
        let (workers, blocks) = started.map_err(CommandError::system("no thread, so nothing was sent"))?;

        let bad = BadLines::new(settings.leftovers.file("bad-lines.txt"));
        let mut batcher = Batcher::new(usize::from(args.batch_events), bad, workers, bar);
        let read = batcher.run(&blocks, &settings.stop, regular_file);
        let Batcher { lines, mut bad, count: events, mut workers, .. } = batcher;
        workers.iter_mut().for_each(Worker::end);
        let backends: Vec<_> = workers.into_iter().map(Worker::finish).collect();
        console::clear_bar();

        bad.finish();
        let mut io_failed = false;
        if let Err(error) = read {
            let (input, line) = (show_path(&args.input), lines.count() + 1);
            log::error(format_args!("input {input}: line {line}: {error}"));
            io_failed = true;
        }
        if let Some((lost, why)) = bad.file.failure() {
            log::error(format_args!("{why}; lost: {}", count(lost, "bad line")));
            io_failed = true;
        }
        for backend in &backends {
            for why in &backend.errors {
                log::error_of(Some(&backend.name), format_args!("backend `{}`: {why}", backend.name));
            }
            backend.close_error.iter().for_each(|why| log::warn_of(&backend.name, why));
        }
        let summary = Summary {
            lines: lines.count(),
            events,
            bad_lines: bad.count,
            bad_lines_file: bad.file.path().map(|path| show_path(path).to_string()),
            interrupted: interrupted.is_set(),
            io_failed,
            backends,
        };
        if !json && (!quiet || summary.exit() != Exit::Done) {
            summary.parts().iter().for_each(|(level, backend, text)| log::tell(*level, *backend, text));
        }
        if json {
            console::print_json_line(&summary.json())?;
        }
        Ok(summary.exit())
    }
}
