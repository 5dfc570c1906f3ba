//! The source of a run's events: an input, or the spools of tools.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc::Sender},
    time::Instant,
};

use jackfield::forward::{BackendConfig, CancellationToken, check_backend};
use jackfield::{Config, OpenError, Status, Telemetry};
use jackfield_loader::show_path;

use super::{
    args::RunArgs,
    input::{Input, InputReader},
    message::Message,
    rates::Rates,
    service::service,
    sink::Counts,
    tools::Tools,
};
use crate::{
    exit::{CommandError, Exit},
    leftovers::{Leftovers, bad_lines::BadLines},
    log,
    run_state::snapshot::SpoolNow,
    settings::TOOL,
    signals,
};

/// The source of events.
pub(super) enum EventSource {
    /// A telemetry of the run itself, the reader that fills its spool, and the status before the first line.
    Input { telemetry: Telemetry, reader: Arc<InputReader>, before: Box<Status> },
    /// The spools of tools.
    Tools(Tools),
    /// An input that nothing is read from: a request to end came while the backends were being opened.
    NotOpened { telemetry: Telemetry, input: PathBuf, before: Box<Status> },
}

/// Ends the run for a backend that can't be used, unless the backend may come later. A platform that is away ends no run.
fn judge(
    failed: impl IntoIterator<Item = (String, OpenError)>,
    start_anyway: bool,
) -> Result<(), CommandError> {
    let mut refused = Vec::new();
    for (backend, error) in failed {
        let line = error.line(&backend);
        if start_anyway || matches!(error, OpenError::Unavailable { .. }) {
            log::warn(format_args!("{line}; its events wait"));
        } else {
            refused.push((Exit::from(&error), line));
        }
    }
    let exit = refused.iter().map(|(exit, _)| *exit).max();
    let (Some((_, reason)), Some(exit)) = (refused.pop(), exit) else { return Ok(()) };
    refused.iter().for_each(|(_, line)| log::error(line));
    Err(CommandError::Backend { exit, reason })
}

impl EventSource {
    /// Opens the backends and then the source that the command line names. `config` is what `file` says. `stop` ends the
    /// wait for backends.
    ///
    /// # Errors
    /// A backend, the input or the folder can't be used.
    pub(super) fn open(
        args: &RunArgs,
        file: &Path,
        config: &Config,
        state: &Path,
        stop: &CancellationToken,
        sender: Sender<Message>,
    ) -> Result<Self, CommandError> {
        if let Some(folder) = &args.spools {
            let folder = std::path::absolute(folder).map_err(CommandError::system(show_path(folder)))?;
            if !folder.is_dir() {
                return Err(CommandError::Unusable(format!("--spools {}: is no folder", show_path(&folder))));
            }
            // A backend is opened when a tool has events for it: without consent no platform is contacted.
            let failed = |backend: &BackendConfig| {
                check_backend(config, backend).err().map(|error| (backend.name.clone(), error))
            };
            judge(config.backends.iter().filter_map(failed), args.start_anyway)?;
            return Ok(Self::Tools(Tools::new(folder, file.to_owned(), args.watch, args.limits())));
        }
        let failed = || CommandError::system(format!("input {}", show_path(&args.input)));
        let mut limits = args.limits();
        // The writer of the input can wait.
        limits.refuse_when_full = true;
        let telemetry = service(TOOL, file, state, args.watch).limits(limits).build();
        // The input is opened last: what a pipe holds is lost when its only reader leaves.
        let to_open = telemetry.clone();
        let failed_backends = signals::unless_stopped(stop, move || to_open.open_backends())
            .map_err(CommandError::system("no backend is open"))?;
        let before = Box::new(telemetry.status());
        let Some(failed_backends) = failed_backends else {
            return Ok(Self::NotOpened { telemetry, input: args.input.clone(), before });
        };
        judge(failed_backends, args.start_anyway).inspect_err(|_| drop(telemetry.close()))?;
        let input = Input::of(&args.input).map_err(failed())?;
        let bad = BadLines::new(Leftovers::new(state).map_err(failed())?.file("bad-lines.txt"));
        let reader = InputReader::start(input, telemetry.forwarder(), bad, sender);
        let reader = reader.map_err(CommandError::system("no thread"))?;
        // An earlier run may have left events, and pauses.
        telemetry.retry();
        telemetry.deliver_soon();
        Ok(Self::Input { telemetry, reader, before })
    }

    /// Whether events could be delivered.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::NotOpened { .. })
    }

    /// What people call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Input { reader, .. } => reader.name().to_owned(),
            Self::Tools(tools) => format!("spools of {}", show_path(tools.folder())),
            Self::NotOpened { input, .. } => show_path(input).to_string(),
        }
    }

    pub(super) fn telemetries(&self) -> Vec<Telemetry> {
        match self {
            Self::Input { telemetry, .. } | Self::NotOpened { telemetry, .. } => vec![telemetry.clone()],
            Self::Tools(tools) => tools.each(|_, telemetry| telemetry.clone()),
        }
    }

    /// The status of the run's own spool before the first line.
    pub(super) fn before(&self) -> Option<&Status> {
        match self {
            Self::Input { before, .. } | Self::NotOpened { before, .. } => Some(before),
            Self::Tools(_) => None,
        }
    }

    /// What was read so far.
    pub(super) fn counts(&self) -> Counts {
        match self {
            Self::Input { reader, .. } => reader.counts(),
            Self::Tools(_) | Self::NotOpened { .. } => Counts::default(),
        }
    }

    pub(super) fn spools(&self, rates: &mut Rates) -> Vec<SpoolNow> {
        match self {
            Self::Input { telemetry, .. } | Self::NotOpened { telemetry, .. } => {
                vec![rates.of(TOOL, telemetry)]
            }
            Self::Tools(tools) => tools.each(|tool, telemetry| rates.of(tool, telemetry)),
        }
    }

    pub(super) fn look_for_tools(&mut self) {
        if let Self::Tools(tools) = self {
            tools.look();
        }
    }

    /// Stops reading. A line without room at the `deadline` is given up.
    pub(super) fn stop(&self, deadline: Instant) {
        if let Self::Input { reader, .. } = self {
            reader.stop(deadline);
        }
    }
}
