//! `jackfield send`: from JSON Lines to every configured backend.
//!
//! A thread reads blocks, this one makes events and batches of them, and a thread a backend delivers each batch. All
//! queues between them are bounded, so memory stays flat whatever the input's size, and the slowest backend sets the pace.

pub(crate) mod args;
mod input;
mod interrupt;
mod progress;
mod summary;
pub(crate) mod target;

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use jackfield::Config;
use jackfield::forward::{BackendConfig, CancellationToken, EventBuffer, EventDefaults, Line, Lines};

use self::{
    args::SendArgs,
    input::Input,
    interrupt::Interrupt,
    summary::{BackendSummary, Summary},
    target::{Run, Target, Worker},
};
use crate::{
    common_args::CommonArgs,
    console,
    exit::{CommandError, Exit},
    leftovers::{Leftovers, bad_lines::BadLines},
    output,
    settings::{self, TOOL, VERSION},
};

/// Size of a batch's text, in bytes, at which it is sent although it has room for more events.
const BATCH_BYTES: usize = 512 * 1024;

/// Events that wait for more of them are sent when none came for so long ...
const IDLE: Duration = Duration::from_millis(200);

/// ... and at the latest when the first of them has waited for so long.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

pub(crate) fn run(common: &CommonArgs, args: &SendArgs) -> Result<Exit, CommandError> {
    prepare(common, args)?.run(common, args)
}

/// All that can be found wrong before a line is read has been looked at.
struct Prepared {
    targets: Vec<Target>,
    input: Input,
    run: Run,
    interrupt: Interrupt,
}

fn prepare(common: &CommonArgs, args: &SendArgs) -> Result<Prepared, CommandError> {
    let config = settings::load(common.config.as_deref())?;
    let chosen = choose(&config, &args.only)?;
    let failed = |what, path: &Path| CommandError::system(format!("{what} {}", path.display()));
    let input = Input::open(&args.input).map_err(failed("input", &args.input));
    let input = input.map_err(CommandError::nothing_read)?;
    let leftovers = Leftovers::new(&args.leftovers).map_err(failed("leftovers", &args.leftovers));
    let leftovers = leftovers.map_err(CommandError::nothing_read)?;
    let stop = CancellationToken::new();
    let interrupt = Interrupt::install(stop.clone());
    let targets: Vec<_> = chosen.into_iter().map(|backend| Target::open(&config, backend)).collect();
    let refusals: Vec<_> = targets.iter().filter_map(|target| target.backend.as_ref().err()).collect();
    if let ([refusal], 1) = (&*refusals, targets.len()) {
        return Err(refused(refusal.exit, &refusal.reason));
    }
    refusals.iter().for_each(|refusal| console::error(&refusal.reason));
    let gravest = refusals.iter().map(|refusal| refusal.exit).max();
    if let Some(exit) = gravest.filter(|_| refusals.len() == targets.len()) {
        return Err(refused(exit, "no backend can be used"));
    }
    Ok(Prepared {
        targets,
        input,
        run: Run { give_up_after: args.give_up_after, leftovers, stop },
        interrupt,
    })
}

fn refused(exit: Exit, reason: &str) -> CommandError {
    CommandError::Backend { exit, reason: reason.to_owned() }.nothing_read()
}

/// The backends to send to.
fn choose<'c>(config: &'c Config, only: &[String]) -> Result<Vec<&'c BackendConfig>, CommandError> {
    let names: Vec<_> = config.backends.iter().map(|backend| backend.name.as_str()).collect();
    if names.is_empty() {
        let refusal = "the configuration has no [[backend]]".to_owned();
        return Err(CommandError::ConfigContent(refusal).nothing_read());
    }
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        let names = names.join("`, `");
        return Err(CommandError::Usage(format!(
            "--only: no backend {unknown:?} in the configuration, which has `{names}`"
        )));
    }
    let backends = config.backends.iter();
    Ok(backends.filter(|backend| only.is_empty() || only.contains(&backend.name)).collect())
}

impl Prepared {
    fn run(self, common: &CommonArgs, args: &SendArgs) -> Result<Exit, CommandError> {
        let Self { targets, input, run, interrupt } = self;
        if args.input.as_os_str() == "-" && io::stdin().is_terminal() && !args.quiet {
            console::say("reading events from the terminal, one a line, until Ctrl-D");
        }
        // A plugin that prints to the same terminal and a bar would overwrite each other.
        let prints = targets.iter().any(|target| target.plugin.as_deref() == Some("stdout"))
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

        let mut pump = Pump {
            lines: Lines::new(),
            events: EventBuffer::new(EventDefaults::new(TOOL, VERSION)),
            since: None,
            bad: BadLines::new(run.leftovers.file("bad-lines.txt")),
            batch_events: usize::from(args.batch_events),
            count: 0,
            workers,
            bar,
        };
        let read = pump.run(&blocks, &run.stop, regular_file);
        let Pump { lines, mut bad, count, mut workers, .. } = pump;
        workers.iter_mut().for_each(Worker::end);
        let tallies: Vec<_> = workers.into_iter().map(Worker::finish).collect();
        console::clear_bar();

        bad.finish();
        let mut io_failed = false;
        let mut failed = |text: String| {
            console::error(text);
            io_failed = true;
        };
        if let Err(error) = read {
            failed(format!("input {}: line {}: {error}", args.input.display(), lines.count() + 1));
        }
        if let Some((lost, why)) = bad.file().failure() {
            failed(format!("{why}; {lost} bad lines are not kept"));
        }
        let mut backends = Vec::new();
        for ((name, plugin, error), tally) in names.into_iter().zip(tallies) {
            let tally = tally.unwrap_or_else(|| {
                failed(format!(
                    "backend `{name}`: its thread panicked, what became of its events is not known"
                ));
                target::Tally::default()
            });
            for why in &tally.file_errors {
                failed(format!("backend `{name}`: {why}, reading was stopped"));
            }
            if let Some(why) = &tally.close_error {
                console::warn(why);
            }
            backends.push(BackendSummary { name, plugin, error, tally });
        }
        let summary = Summary {
            lines: lines.count(),
            events: count,
            bad_lines: bad.count,
            bad_lines_file: bad.file().path().map(|path| path.display().to_string()),
            interrupted: interrupt.happened(),
            io_failed,
            backends,
        };
        if !args.quiet && !common.json {
            console::say(&summary.text());
        }
        if common.json {
            output::text(&format!("{}\n", summary.json()))?;
        }
        Ok(summary.exit())
    }
}

/// Makes batches of blocks.
struct Pump {
    lines: Lines,
    events: EventBuffer,
    /// When the first event of the buffer came.
    since: Option<Instant>,
    bad: BadLines,
    batch_events: usize,
    /// Events so far.
    count: u64,
    workers: Vec<Worker>,
    bar: ProgressBar,
}

impl Pump {
    /// Until the input ends, can't be read, or `stop` is set.
    fn run(
        &mut self,
        blocks: &Receiver<io::Result<Vec<u8>>>,
        stop: &CancellationToken,
        regular_file: bool,
    ) -> io::Result<()> {
        let mut result = Ok(());
        loop {
            let stopped = stop.is_set();
            match blocks.recv_timeout(self.patience(stopped)) {
                Ok(Ok(block)) => self.block(&block),
                Ok(Err(error)) => {
                    result = Err(error);
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => break,
                // What had been read when the flag was set has come by now.
                Err(RecvTimeoutError::Timeout) if stopped => break,
                Err(RecvTimeoutError::Timeout) => {
                    if self.since.is_some() {
                        self.flush();
                    }
                }
            }
        }
        // Of a file that can be read again, the line that was cut off is none; of a pipe, it would be gone.
        if !(stop.is_set() && regular_file) {
            let Self { lines, events, bad, .. } = self;
            lines.finish(|number, line| take(events, bad, number, &line));
        }
        self.flush();
        result
    }

    /// How long to wait for the next block.
    fn patience(&self, stopped: bool) -> Duration {
        if stopped {
            return Duration::from_millis(50);
        }
        // Without events to flush, the wait is only for the flag.
        self.since.map_or(IDLE, |since| LONGEST_WAIT.saturating_sub(since.elapsed()).min(IDLE))
    }

    fn block(&mut self, block: &[u8]) {
        // Lines are cut in one go and sent when there are enough, so the buffer is lent to the closure only.
        let Self { lines, events, bad, batch_events, count, workers, since, .. } = self;
        lines.feed(block, |number, line| {
            take(events, bad, number, &line);
            if events.len() >= *batch_events || events.bytes() >= BATCH_BYTES {
                *count += dispatch(events, workers);
                *since = None;
            }
        });
        self.bar.inc(block.len() as u64);
        self.bar.set_message(format!("{} events", self.count));
        if self.events.is_empty() {
            self.since = None;
        } else if self.since.get_or_insert_with(Instant::now).elapsed() >= LONGEST_WAIT {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.since = None;
        self.count += dispatch(&mut self.events, &self.workers);
    }
}

fn take(events: &mut EventBuffer, bad: &mut BadLines, number: u64, line: &Line<'_>) {
    match line {
        Line::Whole(bytes) => {
            if let Err(reason) = events.push_line(bytes) {
                bad.bad(number, bytes, &reason);
            }
        }
        piece => bad.piece(number, piece),
    }
}

/// Hands the events to every backend. Answers how many they are.
fn dispatch(events: &mut EventBuffer, workers: &[Worker]) -> u64 {
    if events.is_empty() {
        return 0;
    }
    let batch = events.take();
    for worker in workers {
        worker.send(&batch);
    }
    batch.len() as u64
}

#[cfg(test)]
mod tests;
