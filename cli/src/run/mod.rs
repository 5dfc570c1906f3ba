//! `jackfield run`: a forwarder that goes on until it is told to end.
//!
//! Each line that is read is appended to a spool in the state folder before the next one is looked at, so a run that is
//! killed has lost what was in its hands at that moment at most, and memory stays flat whatever the backends do. Where the
//! spool has no room, nothing more is read: whoever writes to the input waits, as for any reader that is slow. From the
//! spool the events go to every backend, as those of a tool do: with a cursor for each, retried, put aside when refused.
//! With `--spools` the spools are those of tools.

pub(crate) mod args;
mod input;
mod message;
mod rates;
mod reloads;
mod service;
mod signals;
mod sink;
mod source;
mod tools;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use jackfield::Telemetry;
use jackfield::forward::{ConfigFile, OpenError};

use self::{
    args::RunArgs,
    input::{Input, Pump},
    message::Message,
    rates::Rates,
    service::{limits, service},
    sink::Counts,
    tools::Tools,
};
use crate::{
    common_args::CommonArgs,
    console,
    exit::{CommandError, Exit},
    leftovers::{Leftovers, bad_lines::BadLines},
    output,
    run_state::{
        self, State,
        snapshot::{Holding, Snapshot, now_ms},
    },
    settings::{self, TOOL, VERSION},
};

/// How often the status is written.
const STATUS: Duration = Duration::from_millis(500);

pub(crate) fn run(common: &CommonArgs, args: &RunArgs) -> Result<Exit, CommandError> {
    let mut run = prepare(common, args)?;
    let read = run.go_on();
    run.end(read)
}

/// What events are taken from.
enum From {
    /// A telemetry of our own, and what reads into its spool.
    Input { telemetry: Telemetry, pump: Arc<Pump> },
    /// The spools of tools.
    Tools(Tools),
}

struct Run {
    from: From,
    state: State,
    config: PathBuf,
    input: String,
    grace: Duration,
    json: bool,
    messages: mpsc::Receiver<Message>,
    sender: mpsc::Sender<Message>,
    started_ms: i64,
    rates: Rates,
    last_reload: Option<String>,
    /// For each spool, how many reloads were told of.
    reloads: BTreeMap<Option<PathBuf>, u64>,
}

fn prepare(common: &CommonArgs, args: &RunArgs) -> Result<Run, CommandError> {
    let Some(config) = settings::file(common.config.as_deref())? else {
        let refusal = "there is no configuration: write one, or name it with --config".to_owned();
        return Err(CommandError::ConfigContent(refusal).nothing_read());
    };
    let file = ConfigFile::open(&config)?;
    file.check_owner()?;
    if file.read()?.backends.is_empty() {
        let refusal = format!("{}: has no [[backend]]", config.display());
        return Err(CommandError::ConfigContent(refusal).nothing_read());
    }
    let folder = run_state::folder(args.state.as_deref())?;
    let state = State::claim(folder).map_err(CommandError::nothing_read)?;
    let (sender, messages) = mpsc::channel();
    signals::install(sender.clone()).map_err(CommandError::system("no signals can be had"))?;
    let opened = match &args.spools {
        Some(folder) => From::tools(folder, args, &config, state.folder()),
        None => From::input(args, &config, state.folder(), sender.clone()),
    };
    let (from, input) = opened.map_err(CommandError::nothing_read)?;
    Ok(Run {
        from,
        state,
        config,
        input,
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

/// Opens every backend. One that can't be used ends the run, unless it may come later; one whose platform is away does not.
fn open_backends(telemetry: &Telemetry, start_anyway: bool) -> Result<(), CommandError> {
    let mut refused = Vec::new();
    for (backend, error) in telemetry.open_backends() {
        let line = error.line(&backend);
        if start_anyway || matches!(error, OpenError::Unavailable { .. }) {
            console::warn(format_args!("{line}; its events wait"));
        } else {
            refused.push((Exit::from(&error), line));
        }
    }
    let exit = refused.iter().map(|(exit, _)| *exit).max();
    let (Some((_, reason)), Some(exit)) = (refused.pop(), exit) else { return Ok(()) };
    refused.iter().for_each(|(_, line)| console::error(line));
    telemetry.close();
    Err(CommandError::Backend { exit, reason })
}

impl From {
    /// The spools of the tools below a folder, and what people call them.
    fn tools(
        folder: &Path,
        args: &RunArgs,
        config: &Path,
        state: &Path,
    ) -> Result<(Self, String), CommandError> {
        let folder = std::path::absolute(folder).map_err(CommandError::file(folder, ""))?;
        if !folder.is_dir() {
            return Err(CommandError::Unusable(format!("--spools {}: is no folder", folder.display())));
        }
        // Each tool opens the backends for itself, once it has something for them.
        let trial = service(TOOL, config, state, false).build();
        open_backends(&trial, args.start_anyway)?;
        trial.close();
        let name = format!("spools of {}", folder.display());
        Ok((Self::Tools(Tools::new(folder, config.to_owned(), args.watch)), name))
    }

    /// The input of the command line, and what people call it.
    fn input(
        args: &RunArgs,
        config: &Path,
        state: &Path,
        sender: mpsc::Sender<Message>,
    ) -> Result<(Self, String), CommandError> {
        let failed = || CommandError::system(format!("input {}", args.input.display()));
        let mut limits = limits(args.spool_size);
        // Who writes to the input can wait.
        limits.refuse_when_full = true;
        let telemetry = service(TOOL, config, state, args.watch).limits(limits).build();
        // What a pipe holds is lost when its only reader leaves, so that the input is opened last.
        open_backends(&telemetry, args.start_anyway)?;
        let input = Input::of(&args.input).map_err(failed())?;
        let name = input.name();
        let bad = BadLines::new(Leftovers::new(state).map_err(failed())?.file("bad-lines.txt"));
        let pump = Pump::start(input, telemetry.forwarder(), bad, sender);
        let pump = pump.map_err(CommandError::system("no thread"))?;
        // What an earlier run has left.
        telemetry.deliver_soon();
        Ok((Self::Input { telemetry, pump }, name))
    }
}

impl Run {
    /// Until the input has ended, or the end is asked for. Gives how reading has ended.
    fn go_on(&mut self) -> io::Result<()> {
        loop {
            self.write_status("running");
            match self.messages.recv_timeout(STATUS) {
                Ok(Message::Ended(result)) => return result,
                Ok(Message::CancellationToken) => return Ok(()),
                Ok(Message::Reload) => self.reload(),
                // The next look tells how it ended, as it does for one that a file has brought about.
                Ok(Message::ReloadReport) => {}
                Err(_) => {
                    if let From::Tools(tools) = &mut self.from {
                        tools.look();
                    }
                }
            }
        }
    }

    /// On a thread of its own: a new backend may take its time to open.
    fn reload(&self) {
        let sender = self.sender.clone();
        let all = self.telemetries();
        let reload = move || {
            for telemetry in all {
                // What is wrong is in the log.
                let _ = telemetry.reload();
                let _ = sender.send(Message::ReloadReport);
            }
        };
        if let Err(error) = thread::Builder::new().name("jackfield-reload".to_owned()).spawn(reload) {
            console::warn(format_args!("no thread to reload on: {error}"));
        }
    }

    fn telemetries(&self) -> Vec<Telemetry> {
        match &self.from {
            From::Input { telemetry, .. } => vec![telemetry.clone()],
            From::Tools(tools) => tools.telemetries(),
        }
    }

    /// Tells of reloads that have ended since the last look, whoever caused them.
    fn tell_reloads(&mut self) {
        for telemetry in self.telemetries() {
            let Some(last) = telemetry.last_reload() else { continue };
            let told = self.reloads.entry(telemetry.data_folder()).or_default();
            if *told == last.number {
                continue;
            }
            *told = last.number;
            let text = reloads::told(&last.outcome);
            console::say(&format!("reload: {}", console::one_line(&text)));
            self.last_reload = Some(text);
        }
    }

    fn write_status(&mut self, what: &'static str) {
        self.tell_reloads();
        let counts = match &self.from {
            From::Input { pump, .. } => pump.counts(),
            From::Tools(_) => Counts::default(),
        };
        let spools = match &mut self.from {
            From::Input { telemetry, .. } => vec![self.rates.of(TOOL, telemetry)],
            From::Tools(tools) => tools.each(|tool, telemetry| self.rates.of(tool, telemetry)),
        };
        let snapshot = Snapshot {
            state: what.to_owned(),
            version: VERSION.to_owned(),
            pid: std::process::id(),
            started_ms: self.started_ms,
            at_ms: now_ms(),
            config: self.config.clone(),
            input: self.input.clone(),
            lines: counts.lines,
            events: counts.events,
            bad_lines: counts.bad,
            not_stored: counts.not_stored,
            holding: counts.held.map(|(reason, since_ms)| Holding { reason: reason.to_string(), since_ms }),
            mapped_images: jackfield_loader::loaded_images(),
            image_limit: jackfield_loader::image_limit(),
            last_reload: self.last_reload.clone(),
            spools,
        };
        if let Err(error) = self.state.write(&snapshot) {
            tracing::debug!("the status is not written: {error}");
        }
    }

    fn end(&mut self, read: io::Result<()>) -> Result<Exit, CommandError> {
        let mut exit = Exit::Done;
        let deadline = Instant::now() + self.grace;
        let mut counts = Counts::default();
        if let From::Input { pump, .. } = &self.from {
            pump.stop(deadline);
            counts = pump.counts();
            if counts.bad > 0 {
                exit = exit.max(Exit::BadLines);
            }
            if counts.left > 0 {
                console::error(format_args!(
                    "there was no room for {} lines or more: they stay in {}, lost if nobody else has it open",
                    counts.left, self.input
                ));
                exit = Exit::Io;
            }
            if counts.not_stored > 0 {
                console::error(format_args!("{} lines could not be stored and are lost", counts.not_stored));
                exit = Exit::Io;
            }
        }
        if let Err(error) = read {
            console::error(format_args!("{}: {error}", self.input));
            exit = Exit::Io;
        }
        self.write_status("stopping");
        let (mut waiting, mut rejected) = (0, 0);
        let all = self.telemetries();
        thread::scope(|scope| {
            let flushes: Vec<_> = all
                .iter()
                .map(|telemetry| {
                    scope.spawn(move || {
                        flush(telemetry, deadline);
                        telemetry.close();
                    })
                })
                .collect();
            flushes.into_iter().for_each(|flush| drop(flush.join()));
        });
        for telemetry in all {
            let status = telemetry.status();
            waiting += status.events;
            rejected += status.quarantined;
        }
        self.write_status("ended");
        if waiting > 0 {
            console::warn(format_args!("{waiting} events wait in the spool for the next run"));
            exit = exit.max(Exit::Events);
        }
        if rejected > 0 {
            console::warn(format_args!(
                "{rejected} events were refused for good; they are in the quarantine"
            ));
            exit = exit.max(Exit::Events);
        }
        if self.json {
            let ended = serde_json::json!({
                "waiting": waiting,
                "rejected": rejected,
                "not_stored": counts.not_stored,
                "left_in_input": counts.left,
                "exit_code": exit.code(),
            });
            output::text(&format!("{ended}\n"))?;
        }
        Ok(exit)
    }
}

/// Delivers what is left, and tries backends again that are left alone for a while which ends before the deadline.
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
