//! `jackfield send`: from JSON Lines to every configured backend.
//!
//! A thread reads blocks, this one makes events and batches of them, and a thread a backend delivers each batch. All
//! queues between them are bounded, so memory stays flat whatever the input's size, and the slowest backend sets the pace.

pub(crate) mod args;
mod batcher;
mod block_reader;
mod progress;
mod summary;
mod target;

use std::{
    io::{self, IsTerminal as _},
    path::Path,
};

use indicatif::ProgressBar;
use jackfield::forward::CancellationToken;
use jackfield_loader::show_path;

use self::{
    args::SendArgs,
    batcher::Batcher,
    block_reader::BlockReader,
    summary::{BackendSummary, Summary},
    target::{Run, Target, Worker},
};
use crate::{
    chosen_backends,
    common_args::CommonArgs,
    console,
    exit::{CommandError, Exit},
    leftovers::{Leftovers, bad_lines::BadLines},
    log, output, settings, signals,
};

pub(crate) fn run(common: &CommonArgs, args: &SendArgs) -> Result<Exit, CommandError> {
    prepare(common, args)?.run(common, args)
}

/// Everything that can be checked before the first line is read has been checked.
struct Prepared {
    targets: Vec<Target>,
    input: BlockReader,
    run: Run,
    /// Set when the user or a process manager has asked for the end.
    interrupted: CancellationToken,
}

fn prepare(common: &CommonArgs, args: &SendArgs) -> Result<Prepared, CommandError> {
    let config = settings::load(common.config.as_deref())?;
    let chosen = chosen_backends::chosen(&config, &args.only).map_err(CommandError::nothing_read)?;
    let failed = |what, path: &Path| CommandError::system(format!("{what} {}", show_path(path)));
    let input = BlockReader::open(&args.input).map_err(failed("input", &args.input));
    let input = input.map_err(CommandError::nothing_read)?;
    let leftovers = Leftovers::new(&args.leftovers).map_err(failed("leftovers", &args.leftovers));
    let leftovers = leftovers.map_err(CommandError::nothing_read)?;
    let stop = CancellationToken::new();
    let interrupted = end_by_signal(stop.clone());
    let chosen: Vec<_> = chosen.into_iter().cloned().collect();
    let open = move || chosen.into_iter().map(|backend| Target::open(&config, backend)).collect();
    let opened = signals::unless_stopped(&stop, open).map_err(CommandError::system("no backend is open"));
    let targets: Vec<_> = opened
        .and_then(|targets| targets.ok_or(CommandError::Interrupted))
        .map_err(CommandError::nothing_read)?;
    let refusals: Vec<_> = targets.iter().filter_map(|target| target.backend.as_ref().err()).collect();
    if let ([refusal], 1) = (&*refusals, targets.len()) {
        return Err(refused(refusal.exit, &refusal.reason));
    }
    refusals.iter().for_each(|refusal| log::error(&refusal.reason));
    let gravest = refusals.iter().map(|refusal| refusal.exit).max();
    if let Some(exit) = gravest.filter(|_| refusals.len() == targets.len()) {
        return Err(refused(exit, "no backend can be used"));
    }
    Ok(Prepared {
        targets,
        input,
        run: Run { give_up_after: args.give_up_after, leftovers, stop },
        interrupted,
    })
}

/// From now on a signal to end sets `stop`, and the token that is given back.
fn end_by_signal(stop: CancellationToken) -> CancellationToken {
    let interrupted = CancellationToken::new();
    let flag = interrupted.clone();
    let end = move || {
        log::say(
            "interrupted: events that were read and not delivered are kept; \
             a second Ctrl-C after a second, or a third one, ends at once",
        );
        flag.set();
        stop.set();
    };
    if let Err(error) = signals::install(end, None) {
        tracing::warn!("Ctrl-C will end this run at once, without keeping events that were read: {error}");
    }
    interrupted
}

fn refused(exit: Exit, reason: &str) -> CommandError {
    CommandError::Backend { exit, reason: reason.to_owned() }.nothing_read()
}

impl Prepared {
    fn run(self, common: &CommonArgs, args: &SendArgs) -> Result<Exit, CommandError> {
        let Self { targets, input, run, interrupted } = self;
        if args.input.as_os_str() == "-" && io::stdin().is_terminal() && !args.quiet {
            log::say("reading events from the terminal, one a line, until Ctrl-D");
        }
        // A plugin that prints to the terminal and a bar would overwrite each other.
        let prints =
            targets.iter().any(|target| target.plugin.as_ref().is_some_and(|plugin| *plugin == "stdout"))
                && io::stdout().is_terminal();
        let quiet = args.quiet || common.json || prints;
        let bar = if quiet { ProgressBar::hidden() } else { progress::start(input.size) };

        let mut names = Vec::new();
        let mut workers = Vec::new();
        let regular_file = input.size.is_some();
        let blocks = input.blocks(run.stop.clone());
        let started: io::Result<()> = targets.into_iter().try_for_each(|target| {
            names.push((
                target.config.name.clone(),
                target.plugin.clone(),
                target.backend.as_ref().err().cloned(),
            ));
            workers.push(Worker::start(target, &run)?);
            Ok(())
        });
        let blocks = started.and(blocks).map_err(CommandError::system("no thread, so nothing was sent"))?;

        let bad = BadLines::new(run.leftovers.file("bad-lines.txt"));
        let mut batcher = Batcher::new(usize::from(args.batch_events), bad, workers, bar);
        let read = batcher.run(&blocks, &run.stop, regular_file);
        let Batcher { lines, mut bad, count, mut workers, .. } = batcher;
        workers.iter_mut().for_each(Worker::end);
        let tallies: Vec<_> = workers.into_iter().map(Worker::finish).collect();
        console::clear_bar();

        bad.finish();
        let mut io_failed = false;
        let mut failed = |text: String| {
            log::error(text);
            io_failed = true;
        };
        if let Err(error) = read {
            failed(format!("input {}: line {}: {error}", show_path(&args.input), lines.count() + 1));
        }
        if let Some((lost, why)) = bad.file().failure() {
            failed(format!("{why}; {lost} bad lines are not kept"));
        }
        let mut backends = Vec::new();
        for ((name, plugin, error), tally) in names.into_iter().zip(tallies) {
            let tally = tally.unwrap_or_else(|| {
                failed(format!(
                    "backend `{name}`: its thread panicked, and the outcomes of its events are unknown"
                ));
                target::Tally::default()
            });
            for why in &tally.file_errors {
                failed(format!("backend `{name}`: {why}, reading was stopped"));
            }
            if let Some(why) = &tally.close_error {
                log::warn(why);
            }
            backends.push(BackendSummary { name, plugin, error, tally });
        }
        let summary = Summary {
            lines: lines.count(),
            events: count,
            bad_lines: bad.count,
            bad_lines_file: bad.file().path().map(|path| show_path(path).to_string()),
            interrupted: interrupted.is_set(),
            io_failed,
            backends,
        };
        if !common.json && (!args.quiet || summary.exit() != Exit::Done) {
            log::say(&summary.text());
        }
        if common.json {
            output::json_line(&summary.json())?;
        }
        Ok(summary.exit())
    }
}

#[cfg(test)]
mod tests;
