//! The arguments of a run, and the source of its events that they name: an input, or the spools of tools.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use clap::{Args, ValueHint};
use jackfield::BackendConfig;
use jackfield::forward::{CancellationToken, check_backend};
use jackfield::{Config, OpenError, spool::Limits};
use jackfield_loader::show_path;

use super::{
    input::{Input, InputReader, Message},
    listen::address::{self, Address},
    sink::Counts,
    tools::{Tool, Tools, limits, service},
};
use crate::{
    exit::{CommandError, UnusableBackend},
    leftovers::{BadLines, Leftovers},
    log, run_state,
    settings::{OperatorsFile, TOOL},
    signals,
};

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// File to follow, FIFO that events are written to, or `-` for standard input
    ///
    /// A file is followed by its name, as `tail -F` does, from where the last run with the same state folder has
    /// stopped. A file that gzip has compressed is read to its end.
    ///
    /// The lines of several writers of one FIFO mix, unless each writer writes whole lines of at most 4096
    /// bytes (PIPE_BUF) with one call.
    #[arg(default_value = "-", value_name = "FILE", value_hint = ValueHint::FilePath)]
    input: PathBuf,
    /// Folder with spools of tools to deliver, instead of an input
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, conflicts_with = "input")]
    spools: Option<PathBuf>,
    /// State folder, of this run alone: its spool, lock and status
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(super) state: Option<PathBuf>,
    /// Largest size of the spool; while it is full, nothing is read
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1GiB",
        value_parser = spool_size,
        conflicts_with = "spools"
    )]
    spool_size: u64,
    /// Largest size of the dead letters; a backend that rejects more gets no events [default: a quarter of
    /// the spool's size]
    #[arg(long, value_name = "SIZE", value_parser = jackfield::forward::parse_size)]
    dead_letter_size: Option<u64>,
    /// Age after which dead letters are dropped
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = jackfield::forward::parse_age)]
    dead_letter_age: Duration,
    /// Reload when the configuration or a plugin's file changes
    #[arg(long)]
    watch: bool,
    /// Start even if a backend can't be used yet; its events wait
    #[arg(long)]
    start_anyway: bool,
    /// Serve metrics, health and a page with the status over HTTP: IP:PORT, localhost:PORT, or the path of a
    /// UNIX socket
    #[arg(long, value_name = "ADDRESS", value_parser = address::parse, value_hint = ValueHint::Other)]
    pub(super) listen: Option<Address>,
    /// How long the end of the run may take to deliver waiting events
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = jackfield::forward::parse_duration)]
    pub(super) grace: Duration,
}

/// The least size of a spool, which has room for an event of most programs.
const LEAST_SPOOL: u64 = 4 << 10;

fn spool_size(text: &str) -> Result<u64, String> {
    let size = jackfield::forward::parse_size(text).map_err(|error| error.to_string())?;
    match size {
        LEAST_SPOOL.. => Ok(size),
        _ => Err(format!(
            "expected at least \"4KiB\", because a smaller spool may have no room for one event, found {text:?}"
        )),
    }
}

impl RunArgs {
    /// The limits of the run's spool.
    fn limits(&self) -> Limits {
        let mut limits = limits(self.spool_size);
        (limits.dead_letter_bytes, limits.dead_letter_age) = (self.dead_letter_size, self.dead_letter_age);
        limits
    }
}

/// The source of events.
pub(super) enum EventSource {
    /// The spool of the run itself, and the reader that fills it. There is no reader if a request to end came
    /// while the backends were being opened.
    Input { own: Tool, reader: Option<Arc<InputReader>> },
    /// The spools of tools.
    Tools(Tools),
}

/// Refuses a backend that can't be used, unless `start_anyway` is set or its platform is only away.
fn judge(
    failed: impl IntoIterator<Item = (String, OpenError)>,
    start_anyway: bool,
) -> Result<(), CommandError> {
    let mut refused = Vec::new();
    for (backend, error) in failed {
        if start_anyway || matches!(error, OpenError::Unavailable { .. }) {
            log::warn_of(&backend, format_args!("{}; its events wait", error.line(&backend)));
        } else {
            refused.push(UnusableBackend::new(&backend, &error));
        }
    }
    let exit = refused.iter().map(|refused| refused.exit).max();
    let (Some(last), Some(exit)) = (refused.pop(), exit) else { return Ok(()) };
    refused.iter().for_each(|refusal| log::error_of(refusal.backend.as_deref(), refusal));
    Err(UnusableBackend { exit, ..last }.into())
}

impl EventSource {
    /// Opens the backends and then the source that the command line names. `config` is what `file` says.
    /// `stop` ends the wait for the backends.
    ///
    /// # Errors
    /// A backend, the input or the folder can't be used.
    pub(super) fn open(
        args: &RunArgs,
        file: &OperatorsFile,
        config: &Config,
        state: &Path,
        stop: &CancellationToken,
        sender: Sender<Message>,
    ) -> Result<Self, CommandError> {
        if let Some(folder) = &args.spools {
            let folder = std::path::absolute(folder).map_err(CommandError::system(show_path(folder)))?;
            if !folder.is_dir() {
                let refusal = format!("--spools {}: expected a folder", show_path(&folder));
                return Err(CommandError::Unusable(refusal));
            }
            // No backend is opened before a tool has events: without consent no platform is contacted.
            let failed = |backend: &BackendConfig| {
                let refusals = check_backend(config, backend, &[]).into_iter();
                refusals.map(|refusal| (backend.name.clone(), refusal)).collect::<Vec<_>>()
            };
            judge(config.backends.iter().flat_map(failed), args.start_anyway)?;
            return Ok(Self::Tools(Tools::new(folder, file.clone(), args.watch, args.limits())));
        }
        let failed = || CommandError::system(format!("input {}", show_path(&args.input)));
        let mut limits = args.limits();
        // The writers of the input can wait.
        limits.refuse_when_full = true;
        let telemetry = service(TOOL, file, state, args.watch).limits(limits).build();
        // The input is opened last, because the bytes in a pipe are lost when its only reader ends.
        let to_open = telemetry.clone();
        let failed_backends = signals::unless_stopped(stop, move || to_open.open_backends())
            .map_err(CommandError::system("no backend is open"))?;
        // Counted before the first line is read.
        let own = Tool::new(TOOL, telemetry.clone());
        let Some(failed_backends) = failed_backends else {
            return Ok(Self::Input { own, reader: None });
        };
        judge(failed_backends, args.start_anyway).inspect_err(|_| drop(telemetry.close()))?;
        let input = Input::of(&args.input).map_err(failed())?;
        let bad = BadLines::new(Leftovers::new(state).map_err(failed())?.file("bad-lines.txt"));
        let reader =
            InputReader::start(input, telemetry.forwarder(), bad, state.join(run_state::POSITION), sender);
        let reader = reader.map_err(CommandError::system("no thread for the input"))?;
        // An earlier run may have left events and pauses.
        telemetry.retry();
        telemetry.deliver_soon();
        Ok(Self::Input { own, reader: Some(reader) })
    }

    /// Whether events could be delivered.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::Input { reader: None, .. })
    }

    /// Its name in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Input { reader: Some(reader), .. } => reader.name.clone(),
            Self::Input { reader: None, .. } => "an input that was not opened".to_owned(),
            Self::Tools(tools) => format!("spools of {}", show_path(&tools.folder)),
        }
    }

    /// Each tool whose spool is delivered.
    pub(super) fn tools(&self) -> Vec<Tool> {
        match self {
            Self::Input { own, .. } => vec![own.clone()],
            Self::Tools(tools) => tools.all(),
        }
    }

    /// Whether the spools are those of tools.
    pub(super) fn is_of_tools(&self) -> bool {
        matches!(self, Self::Tools(_))
    }

    /// The counts of the lines that were read so far.
    pub(super) fn counts(&self) -> Counts {
        match self {
            Self::Input { reader: Some(reader), .. } => reader.counts(),
            _ => Counts::default(),
        }
    }

    pub(super) fn look_for_tools(&mut self) {
        if let Self::Tools(tools) = self {
            tools.look();
        }
    }

    /// A function that stops reading. A line without room at its deadline is given up.
    pub(super) fn stop(&self) -> impl Fn(Instant) + Send + Sync + 'static {
        let reader = match self {
            Self::Input { reader, .. } => reader.clone(),
            Self::Tools(_) => None,
        };
        move |deadline| {
            if let Some(reader) = &reader {
                reader.stop(deadline);
            }
        }
    }
}
