//! `jackfield run`: forwards events until it is told to end.
//!
//! Each line is appended to a spool in the state folder before the next line is read. The use of memory does
//! not grow while backends are slow. `docs/operating/kill.md` says what a kill can lose. While the spool has no
//! room, nothing is read, and the writers of the input wait. The events of the spool go to every backend in
//! the same way as the events of a tool: each backend has a cursor, failures are retried, rejected events
//! become dead letters. With `--spools` the run delivers the spools of tools.

pub(crate) mod event_source;
mod followed;
mod input;
mod listen;
mod report;
mod service_manager;
mod sink;
mod source;
mod summary;
pub(crate) mod tools;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use jackfield::{Telemetry, forward::CancellationToken};
use jackfield_loader::{ForeignText, count, show_path};

use self::{
    event_source::{EventSource, RunArgs},
    input::Message,
    listen::Listening,
    report::{Rates, reload_in_one_line},
    service_manager::ServiceManager,
    summary::Summary,
    tools::Tool,
};
use crate::{
    console,
    exit::{CommandError, Exit},
    help::Help,
    log,
    run_state::{self, Holding, Kept, Snapshot, SpoolNow, State, now_ms},
    settings::{CommonArgs, OperatorsFile, VERSION},
    signals,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield run /var/log/tool/events.jsonl --watch\n  mkfifo /run/events && jackfield run /run/events --watch\n  \
         jackfield run --spools ~/.local/state --state /var/lib/jackfield\n  \
         jackfield run /run/events --listen 127.0.0.1:9464",
    notes: "Events are sent as they are: nothing is redacted.\n\n\
         Lines are read into the spool of the state folder, by default ~/.local/state/jackfield/run,\n\
         and then sent, so a run that is killed continues where it was. The spool has room for\n\
         --spool-size and 10,000,000 events. While it or the disk is full, nothing is read: the\n\
         writers of the input wait, nothing is lost, and `jackfield status` says so. Events that are\n\
         older than 30 days are dropped and counted. The first 10,000 lines that are not events are\n\
         kept in jackfield-TIME-PID.bad-lines.txt beside the spool.\n\n\
         SIGHUP reads the configuration again and reloads the backends that have changed; --watch\n\
         does so without a signal. A new backend is opened first, and if that fails, the old one\n\
         stays. SIGTERM and SIGINT end the run; a second one after a second, or a third one, ends it\n\
         at once with exit code 130. Events that wait in the spool for a backend are kept for the next\n\
         run: with nothing else amiss the exit code is 0.\n\n\
         With --spools the events of each FOLDER/TOOL/spool and FOLDER/TOOL/telemetry/spool go to the\n\
         backends of this configuration, instead of the backends of TOOL. A tool takes part only if\n\
         its user has consented in its consent file, and this environment has no opt-out such as\n\
         DO_NOT_TRACK.\n\n\
         --listen serves over HTTP: / (a page with the status and the last hour), /metrics (for\n\
         Prometheus), /healthz and /readyz (200, or 503 with the reason). On 127.0.0.1 and ::1 it answers\n\
         requests to these names and to localhost only. Any other address is for everybody who reaches\n\
         it: there is neither a password nor TLS. The path of a UNIX socket has a slash; the socket is\n\
         for the user alone.\n\n\
         With --json the last line of standard output is one object: read, waiting, dead_letters,\n\
         dropped, backends (a list of tool, name, waiting_before, delivered, rejected, lost, waiting,\n\
         missed), not_stored, left_in_input, exit_code. `waiting` and `dead_letters` are what the\n\
         spool keeps, the other numbers are of this run. Backends that left the configuration are\n\
         listed, too. `missed` are events that left the spool without the backend: they were dropped,\n\
         or read while it was not configured; --spools has no `missed`. For each backend\n\
         waiting_before + read is delivered + rejected + lost + waiting + missed.\n\
         The exit code is 6 when this run has rejected or dropped events.",
};

/// The time between two statuses.
const STATUS: Duration = Duration::from_millis(500);

/// Heaps of this process. More of them are not faster: the threads that deliver rarely allocate at the same
/// time.
const HEAPS: i32 = 2;

pub(crate) fn run(common: &CommonArgs, args: &RunArgs) -> Result<Exit, CommandError> {
    jackfield_loader::limit_heaps(HEAPS);
    let mut run = prepare(common, args)?;
    let read = run.until_the_end();
    run.end(read)
}

struct Run {
    source: EventSource,
    state: State,
    config: OperatorsFile,
    grace: Duration,
    json: bool,
    messages: mpsc::Receiver<Message>,
    sender: mpsc::Sender<Message>,
    started_ms: i64,
    service_manager: ServiceManager,
    rates: Rates,
    last_reload: Option<String>,
    listening: Option<Listening>,
    /// For each data folder, the number of its reloads that were printed.
    reloads: BTreeMap<PathBuf, u64>,
}

fn prepare(common: &CommonArgs, args: &RunArgs) -> Result<Run, CommandError> {
    let (sender, messages) = mpsc::channel();
    // This is first, because a `SIGHUP` waits for its handler since the start of the process.
    let stop = obey_signals(&sender).map_err(CommandError::system("signals can't be handled"))?;
    let (config, read) = common.file_with_backends().map_err(CommandError::nothing_read)?;
    let folder = run_state::folder(args.state.as_deref()).map_err(CommandError::nothing_read)?;
    let state = State::claim(folder).map_err(CommandError::nothing_read)?;
    let listening =
        args.listen.as_ref().map(Listening::open).transpose().map_err(CommandError::nothing_read)?;
    let source = EventSource::open(args, &config, &read, &state.folder, &stop, sender.clone());
    Ok(Run {
        source: source.map_err(CommandError::nothing_read)?,
        state,
        config,
        grace: args.grace,
        json: common.json,
        messages,
        sender,
        started_ms: now_ms(),
        service_manager: ServiceManager::new(),
        rates: Rates::default(),
        last_reload: None,
        listening,
        reloads: BTreeMap::new(),
    })
}

/// From now on `SIGINT` and `SIGTERM` end the run, and `SIGHUP` reloads. The first request to end also sets
/// the token that is returned.
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
    /// Runs until the input has ended or a request to end comes. Gives the result of reading.
    fn until_the_end(&mut self) -> io::Result<()> {
        ServiceManager::tell_ready();
        loop {
            self.write_status("running");
            match self.messages.recv_timeout(STATUS) {
                Ok(Message::Ended(result)) => return result,
                Ok(Message::Stop) => return Ok(()),
                Ok(Message::Reload) => self.reload(),
                // `write_status` prints the result, as it does for a reload that a changed file has caused.
                Ok(Message::Reloaded) => ServiceManager::tell_ready(),
                // Polling, because no event reports a tool's new folder or a change of its user's consent.
                Err(_) => self.source.look_for_tools(),
            }
        }
    }

    /// Reloads on a separate thread, because a backend may open slowly.
    fn reload(&self) {
        ServiceManager::tell_reloading();
        let sender = self.sender.clone();
        let all = self.source.tools();
        let reload = move || {
            for tool in all {
                // Errors are in the log.
                let _ = tool.telemetry.reload();
            }
            let _ = sender.send(Message::Reloaded);
        };
        if let Err(error) = thread::Builder::new().name("jackfield-reload".to_owned()).spawn(reload) {
            log::warn(format_args!("no thread to reload on: {error}"));
            ServiceManager::tell_ready();
        }
    }

    /// Prints the reloads that have ended since the last status.
    fn print_reloads(&mut self) {
        for tool in self.source.tools() {
            let Some(last) = tool.telemetry.last_reload() else { continue };
            let printed = self.reloads.entry(tool.folder()).or_default();
            if *printed == last.number {
                continue;
            }
            *printed = last.number;
            let text = reload_in_one_line(&last.outcome);
            log::say(format_args!("reload: {}", console::one_line(&text)));
            self.last_reload = Some(text);
        }
    }

    fn write_status(&mut self, what: &'static str) {
        let tools = self.source.tools();
        let folders: BTreeSet<_> = tools.iter().map(Tool::folder).collect();
        self.rates.retain(&folders);
        self.reloads.retain(|folder, _| folders.contains(folder));
        let spools = tools.iter().map(|tool| self.rates.of(tool)).collect();
        self.write_status_of(what, spools);
    }

    fn write_status_of(&mut self, what: &'static str, spools: Vec<SpoolNow>) {
        self.print_reloads();
        let counts = self.source.counts();
        let snapshot = Snapshot {
            state: what.into(),
            version: VERSION.into(),
            pid: std::process::id(),
            started_ms: self.started_ms,
            at_ms: now_ms(),
            config: show_path(self.config.path()),
            input: self.source.name().into(),
            of_tools: self.source.is_of_tools(),
            lines: counts.lines,
            events: counts.events,
            bad_lines: counts.bad,
            not_stored: counts.not_stored,
            holding: counts
                .held
                .map(|(reason, since_ms)| Holding { reason: reason.to_string().into(), since_ms }),
            mapped_images: jackfield_loader::loaded_images(),
            image_limit: jackfield_loader::image_limit(),
            kept: Kept::now(),
            last_reload: self.last_reload.as_ref().map(ForeignText::from),
            spools,
        };
        if let Err(error) = self.state.write(&snapshot) {
            tracing::debug!("the status is not written: {error}");
        }
        self.service_manager.tell_alive(&snapshot);
        if let Some(listening) = &self.listening {
            listening.publish(Arc::new(snapshot));
        }
    }

    /// Does a part of the end on a separate thread, and writes the status meanwhile.
    fn do_with_status(&mut self, work: impl Fn() + Send + Sync + 'static) {
        let work = Arc::new(work);
        let (of_thread, (ends, ended)) = (Arc::clone(&work), mpsc::channel::<()>());
        let on_thread = move || {
            of_thread();
            drop(ends);
        };
        self.write_status("stopping");
        match thread::Builder::new().name("jackfield-end".to_owned()).spawn(on_thread) {
            Ok(_) => {
                while ended.recv_timeout(STATUS) == Err(RecvTimeoutError::Timeout) {
                    self.write_status("stopping");
                }
            }
            Err(_) => work(),
        }
    }

    fn end(&mut self, read: io::Result<()>) -> Result<Exit, CommandError> {
        ServiceManager::tell_stopping();
        let mut exit = Exit::Done;
        let deadline = Instant::now() + if self.source.is_open() { self.grace } else { Duration::ZERO };
        let stop = self.source.stop();
        self.do_with_status(move || stop(deadline));
        let counts = self.source.counts();
        if counts.bad > 0 {
            exit = exit.max(Exit::BadLines);
        }
        if counts.left > 0 {
            let (left, name) = (count(counts.left, "line"), self.source.name());
            log::error(format_args!(
                "at least {left} could not be stored: they stay in {name}, and are lost unless another process has it open"
            ));
            exit = Exit::Io;
        }
        if counts.not_stored > 0 {
            let lost = count(counts.not_stored, "line");
            log::error(format_args!("{lost} could not be stored and will never be delivered"));
            exit = Exit::Io;
        }
        if let Err(error) = read {
            log::error(format_args!("{}: {error}", self.source.name()));
            exit = Exit::Io;
        }
        let all: Arc<[_]> = self.source.tools().into();
        let to_flush = Arc::clone(&all);
        self.do_with_status(move || for_each_at_once(&to_flush, |telemetry| flush(telemetry, deadline)));
        let live: Vec<_> = all.iter().map(|tool| tool.telemetry.live_backends()).collect();
        let to_close = Arc::clone(&all);
        self.do_with_status(move || for_each_at_once(&to_close, |telemetry| drop(telemetry.close())));
        let mut summary = Summary::new(&counts, self.source.is_of_tools());
        let spools = all.iter().zip(live).map(|(tool, live)| {
            let (now, after) = self.rates.at_the_end(tool, live);
            summary.add(&tool.before.status, &after);
            now
        });
        let spools = spools.collect();
        self.write_status_of("ended", spools);
        summary.tell();
        summary.warnings.iter().for_each(|warning| log::warn(console::one_line(warning)));
        if !summary.has_kept_all() {
            exit = exit.max(Exit::Events);
        }
        summary.exit_code = exit.code();
        if self.json {
            console::print_json_line(&summary)?;
        }
        Ok(exit)
    }
}

/// Does `work` for each telemetry, at the same time.
fn for_each_at_once(all: &[Tool], work: impl Fn(&Telemetry) + Sync) {
    thread::scope(|scope| {
        for tool in all {
            let work = || work(&tool.telemetry);
            let thread = thread::Builder::new().name("jackfield-flush".to_owned());
            if thread.spawn_scoped(scope, work).is_err() {
                work();
            }
        }
    });
}

/// Delivers waiting events, and again after the pause of a backend that ends before the deadline.
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
