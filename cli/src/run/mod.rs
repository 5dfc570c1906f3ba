//! `jackfield run`: a forwarder that goes on until it is told to end.
//!
//! Each line that is read is appended to a spool in the state folder before the next one is looked at, so a run that is
//! killed has lost what was in its hands at that moment at most, and memory stays flat whatever the backends do. Where the
//! spool has no room, nothing more is read: whoever writes to the input waits, as for any reader that is slow. From the
//! spool the events go to every backend, as those of a tool do: with a cursor for each, retried, put aside when refused.
//! With `--spools` the spools are those of tools.

mod input;
mod reloads;
mod signals;
mod sink;
mod snapshot;
mod source;
mod state;
mod tools;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use jackfield::{Builder, Config, Deliver, Telemetry, spool::Limits};

use self::{
    input::{Input, Pump},
    sink::Counts,
    snapshot::{Holding, Rates},
    state::State,
    tools::Tools,
};
pub(crate) use self::{
    snapshot::{BackendNow, Snapshot},
    state::{is_alive, read as read_status},
};
use crate::{
    args::{Common, RunArgs},
    console,
    exit::Exit,
    send::{TOOL, VERSION, bad_lines::BadLines, leftovers::Leftovers},
    settings,
};

/// How often the status is written.
const STATUS: Duration = Duration::from_millis(500);
/// How long an event waits for others at most, and how many wait.
const DELIVER: Deliver = Deliver::InBackground {
    interval: Duration::from_millis(100),
    events: 500,
    within: Duration::from_millis(500),
};
/// What a spool may hold; of bytes, that of a tool.
const SPOOL_BYTES: u64 = 1 << 30;
const SPOOL_EVENTS: u64 = 10_000_000;

/// What the main thread is told.
pub(super) enum Message {
    /// The input has ended, or can't be read.
    Ended(std::io::Result<()>),
    Reload,
    /// A reload is over.
    ReloadReport,
    /// The first request to end.
    CancellationToken,
}

pub(crate) fn run(common: &Common, args: &RunArgs) -> Exit {
    match prepare(common, args) {
        Ok(mut run) => run.go_on(),
        Err((exit, refusal)) => {
            console::error(refusal);
            exit
        }
    }
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

fn prepare(common: &Common, args: &RunArgs) -> Result<Run, (Exit, String)> {
    let config = settings::file(common.config.as_deref()).map_err(|refusal| (Exit::Config, refusal))?;
    let config = config.ok_or_else(|| {
        let reason = "there is no configuration: write one, or name it with --config; nothing was read";
        (Exit::Config, reason.to_owned())
    })?;
    let read = jackfield::forward::ConfigFile::open(&config).and_then(|file| {
        file.check_owner()?;
        file.read()
    });
    let Config { backends, .. } = read.map_err(|error| (Exit::Config, error.to_string()))?;
    if backends.is_empty() {
        let config = config.display();
        return Err((Exit::Config, format!("{config}: has no [[backend]]; nothing was read")));
    }
    let io = |refusal: String| (Exit::Io, format!("{refusal}; nothing was read"));
    let state = State::claim(state_folder(args.state.as_deref())?).map_err(io)?;
    let (sender, messages) = mpsc::channel();
    signals::install(sender.clone())
        .map_err(|error| (Exit::Io, format!("no signals can be had: {error}")))?;
    let (from, input) = match &args.spools {
        Some(folder) => {
            let folder =
                std::path::absolute(folder).map_err(|error| io(format!("{}: {error}", folder.display())))?;
            if !folder.is_dir() {
                return Err(io(format!("--spools {}: is no folder", folder.display())));
            }
            let name = format!("spools of {}", folder.display());
            (From::Tools(Tools::new(folder, config.clone(), args.watch)), name)
        }
        None => {
            let refused = |error| io(format!("input {}: {error}", args.input.display()));
            let input = Input::of(&args.input).map_err(refused)?;
            let name = input.name();
            let mut limits = limits(args.spool_size);
            // Who writes to the input can wait.
            limits.refuse_when_full = true;
            let telemetry = service(TOOL, &config, state.folder(), args.watch).limits(limits).build();
            let leftovers = Leftovers::new(state.folder()).map_err(refused)?;
            let bad = BadLines::new(leftovers.file("bad-lines.txt"));
            let pump = Pump::start(input, telemetry.forwarder(), bad, sender.clone())
                .map_err(|error| io(format!("no thread: {error}")))?;
            // What an earlier run has left.
            telemetry.deliver_soon();
            (From::Input { telemetry, pump }, name)
        }
    };
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

/// The folder of `--state`, or the usual one.
pub(crate) fn state_folder(named: Option<&Path>) -> Result<PathBuf, (Exit, String)> {
    let folder = named.map(Path::to_owned).or_else(settings::state_folder);
    let folder = folder.ok_or_else(|| {
        (Exit::Usage, "there is no folder for the state (is HOME set?): name one with --state".to_owned())
    })?;
    std::path::absolute(&folder).map_err(|error| (Exit::Io, format!("{}: {error}", folder.display())))
}

/// A telemetry whose events were made elsewhere: whoever starts a forwarder has decided that they are sent.
fn service(tool: &str, config: &Path, folder: &Path, watch: bool) -> Builder {
    Telemetry::builder(tool, VERSION)
        .environment(|_: &str| None::<OsString>)
        .force_enabled(true)
        .ops_file(config)
        .ops_file_required(true)
        .data_folder(folder)
        .limits(limits(SPOOL_BYTES))
        .deliver(DELIVER)
        .watch(watch)
}

fn limits(bytes: u64) -> Limits {
    let mut limits = Limits::default();
    (limits.max_bytes, limits.max_events) = (bytes, SPOOL_EVENTS);
    limits
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

impl Run {
    fn go_on(&mut self) -> Exit {
        let mut read = Ok(());
        loop {
            self.write_status("running");
            match self.messages.recv_timeout(STATUS) {
                Ok(Message::Ended(result)) => {
                    read = result;
                    break;
                }
                Ok(Message::CancellationToken) => break,
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
        self.end(read)
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

    fn end(&mut self, read: std::io::Result<()>) -> Exit {
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
            let _ = console::print(&format!("{ended}\n"));
        }
        exit
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
