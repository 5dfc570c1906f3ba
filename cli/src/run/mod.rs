//! `jackfield run`: a forwarder that goes on until it is told to end.
//!
//! Each line is appended to a spool in the state folder before the next line is read. So a run that is killed loses one line
//! at most, and memory stays flat while backends are slow. While the spool has no room, nothing more is read, and the writer
//! of the input waits. The events of the spool go to every backend in the same way as the events of a tool: each backend has
//! a cursor, failures are retried, rejected events become dead letters. With `--spools` the run delivers spools of tools.

pub(crate) mod args;
mod event_source;
mod input;
mod message;
mod rates;
mod reloads;
pub(crate) mod service;
mod sink;
mod source;
mod summary;
pub(crate) mod tools;

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use jackfield::Telemetry;
use jackfield::forward::CancellationToken;
use jackfield_loader::{ForeignText, show_path};
use serde::Serialize;

use self::{args::RunArgs, event_source::EventSource, message::Message, rates::Rates, summary::Summary};
use crate::{
    chosen_backends,
    common_args::CommonArgs,
    console,
    exit::{CommandError, Exit},
    log, output,
    run_state::{
        self, State,
        snapshot::{Holding, Snapshot, now_ms},
    },
    settings::VERSION,
    signals,
};

/// How often the status is written.
const STATUS: Duration = Duration::from_millis(500);

pub(crate) fn run(common: &CommonArgs, args: &RunArgs) -> Result<Exit, CommandError> {
    let mut run = prepare(common, args)?;
    let read = run.go_on();
    run.end(read)
}

struct Run {
    source: EventSource,
    state: State,
    config: PathBuf,
    grace: Duration,
    json: bool,
    messages: mpsc::Receiver<Message>,
    sender: mpsc::Sender<Message>,
    started_ms: i64,
    rates: Rates,
    last_reload: Option<String>,
    /// For each spool, how many reloads were printed.
    reloads: BTreeMap<Option<PathBuf>, u64>,
}

fn prepare(common: &CommonArgs, args: &RunArgs) -> Result<Run, CommandError> {
    let (sender, messages) = mpsc::channel();
    // Before anything that takes time: a `SIGHUP` has waited for its handler since the start of the process.
    let stop = obey_signals(&sender).map_err(CommandError::system("no signals can be had"))?;
    let (config, read) =
        chosen_backends::of_file(common.config.as_deref()).map_err(CommandError::nothing_read)?;
    let folder = run_state::folder(args.state.as_deref())?;
    let state = State::claim(folder).map_err(CommandError::nothing_read)?;
    let source = EventSource::open(args, &config, &read, state.folder(), &stop, sender.clone());
    Ok(Run {
        source: source.map_err(CommandError::nothing_read)?,
        state,
        config,
        grace: args.grace,
        json: common.json,
        messages,
        sender,
        started_ms: now_ms(),
        rates: Rates::default(),
        last_reload: None,
        reloads: BTreeMap::new(),
    })
}

/// From now on `SIGINT` and `SIGTERM` end the run, and `SIGHUP` reloads. Gives what the first request to end sets.
fn obey_signals(sender: &mpsc::Sender<Message>) -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (flag, ends, reloads) = (stop.clone(), sender.clone(), sender.clone());
    let end = move || {
        log::say(
            "stopping: events that were read are delivered first, other events wait for the next run; \
             a second signal after a second, or a third one, ends at once",
        );
        flag.set();
        let _ = ends.send(Message::Stop);
    };
    let reload = move || {
        let _ = reloads.send(Message::Reload);
    };
    signals::install(end, Some(Box::new(reload)))?;
    Ok(stop)
}

impl Run {
    /// Runs until the input has ended or a request to end comes. Gives how reading has ended.
    fn go_on(&mut self) -> io::Result<()> {
        loop {
            self.write_status("running");
            match self.messages.recv_timeout(STATUS) {
                Ok(Message::Ended(result)) => return result,
                Ok(Message::Stop) => return Ok(()),
                Ok(Message::Reload) => self.reload(),
                // The next status prints the result, as it does for a reload that a changed file has caused.
                Ok(Message::Reloaded) => {}
                // Polling: no event reports a new folder of a tool, or that its user has withdrawn consent.
                Err(_) => self.source.look_for_tools(),
            }
        }
    }

    /// Reloads on a thread of its own: a backend may need long to open.
    fn reload(&self) {
        let sender = self.sender.clone();
        let all = self.source.telemetries();
        let reload = move || {
            for telemetry in all {
                // The log has the errors.
                let _ = telemetry.reload();
                let _ = sender.send(Message::Reloaded);
            }
        };
        if let Err(error) = thread::Builder::new().name("jackfield-reload".to_owned()).spawn(reload) {
            log::warn(format_args!("no thread to reload on: {error}"));
        }
    }

    /// Prints the reloads that have ended since the last status.
    fn tell_reloads(&mut self) {
        for telemetry in self.source.telemetries() {
            let Some(last) = telemetry.last_reload() else { continue };
            let told = self.reloads.entry(telemetry.data_folder()).or_default();
            if *told == last.number {
                continue;
            }
            *told = last.number;
            let text = reloads::told(&last.outcome);
            log::say(&format!("reload: {}", console::one_line(&text)));
            self.last_reload = Some(text);
        }
    }

    fn write_status(&mut self, what: &'static str) {
        self.tell_reloads();
        let counts = self.source.counts();
        let spools = self.source.spools(&mut self.rates);
        let snapshot = Snapshot {
            state: what.to_owned(),
            version: VERSION.to_owned(),
            pid: std::process::id(),
            started_ms: self.started_ms,
            at_ms: now_ms(),
            config: show_path(&self.config),
            input: self.source.name().into(),
            lines: counts.lines,
            events: counts.events,
            bad_lines: counts.bad,
            not_stored: counts.not_stored,
            holding: counts
                .held
                .map(|(reason, since_ms)| Holding { reason: reason.to_string().into(), since_ms }),
            mapped_images: jackfield_loader::loaded_images(),
            image_limit: jackfield_loader::image_limit(),
            last_reload: self.last_reload.as_ref().map(ForeignText::from),
            spools,
        };
        if let Err(error) = self.state.write(&snapshot) {
            tracing::debug!("the status is not written: {error}");
        }
    }

    fn end(&mut self, read: io::Result<()>) -> Result<Exit, CommandError> {
        let mut exit = Exit::Done;
        let deadline = Instant::now() + if self.source.is_open() { self.grace } else { Duration::ZERO };
        self.source.stop(deadline);
        let counts = self.source.counts();
        if counts.bad > 0 {
            exit = exit.max(Exit::BadLines);
        }
        if counts.left > 0 {
            log::error(format_args!(
                "there was no room for at least {} lines: they stay in {}, and are lost unless another process has it open",
                counts.left,
                self.source.name()
            ));
            exit = Exit::Io;
        }
        if counts.not_stored > 0 {
            log::error(format_args!("{} lines could not be stored and are lost", counts.not_stored));
            exit = Exit::Io;
        }
        if let Err(error) = read {
            log::error(format_args!("{}: {error}", self.source.name()));
            exit = Exit::Io;
        }
        self.write_status("stopping");
        let mut summary = Summary { read: counts.events, ..Summary::default() };
        let all = self.source.telemetries();
        thread::scope(|scope| {
            for telemetry in &all {
                let end = move || {
                    flush(telemetry, deadline);
                    telemetry.close();
                };
                let thread = thread::Builder::new().name("jackfield-flush".to_owned());
                if thread.spawn_scoped(scope, end).is_err() {
                    end();
                }
            }
        });
        for telemetry in all {
            summary.add(self.source.before(), &telemetry.status());
        }
        self.write_status("ended");
        summary.lines().iter().for_each(|line| log::say(&console::one_line(line).to_string()));
        if summary.waiting > 0 {
            log::warn(format_args!("{} events wait in the spool for the next run", summary.waiting));
            exit = exit.max(Exit::Events);
        }
        if summary.rejected > 0 {
            log::warn(format_args!(
                "{} rejected events are kept: `jackfield dead-letters list` shows them",
                summary.rejected
            ));
            exit = exit.max(Exit::Events);
        }
        for (reason, number) in &summary.dropped {
            log::warn(format_args!("{number} events were dropped: {reason}"));
            exit = exit.max(Exit::Events);
        }
        if self.json {
            #[derive(Serialize)]
            struct Ended<'a> {
                #[serde(flatten)]
                summary: &'a Summary,
                not_stored: u64,
                left_in_input: u64,
                exit_code: u8,
            }
            output::json_line(&Ended {
                summary: &summary,
                not_stored: counts.not_stored,
                left_in_input: counts.left,
                exit_code: exit.code(),
            })?;
        }
        Ok(exit)
    }
}

/// Delivers the events that wait. When a backend pauses, and the pause ends before the deadline, delivers once more after it.
fn flush(telemetry: &Telemetry, deadline: Instant) {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let flushed = telemetry.flush(left);
        let pause = flushed.waiting.iter().filter_map(|waiting| waiting.again_in).min();
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(pause) = pause.filter(|pause| *pause < left) else { return };
        thread::sleep(pause);
    }
}
