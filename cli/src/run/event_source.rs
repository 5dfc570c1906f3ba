//! The source of a run's events: an input, or the spools of tools.

use std::{
    path::Path,
    sync::{Arc, mpsc::Sender},
    time::Instant,
};

use jackfield::Telemetry;
use jackfield_loader::show_path;

use super::{
    args::RunArgs,
    input::{Input, InputReader},
    message::Message,
    rates::Rates,
    service::{limits, service},
    sink::Counts,
    tools::Tools,
};
use crate::{
    exit::CommandError,
    leftovers::{Leftovers, bad_lines::BadLines},
    run_state::snapshot::SpoolNow,
    settings::TOOL,
};

/// The source of events.
pub(super) enum EventSource {
    /// A telemetry of the run itself, and the reader that fills its spool.
    Input { telemetry: Telemetry, reader: Arc<InputReader> },
    /// The spools of tools.
    Tools(Tools),
}

impl EventSource {
    /// Opens the source that the command line names.
    ///
    /// # Errors
    /// The input or the folder can't be used.
    pub(super) fn open(
        args: &RunArgs,
        config: &Path,
        state: &Path,
        sender: Sender<Message>,
    ) -> Result<Self, CommandError> {
        if let Some(folder) = &args.spools {
            let folder = std::path::absolute(folder).map_err(CommandError::system(show_path(folder)))?;
            if !folder.is_dir() {
                return Err(CommandError::Unusable(format!("--spools {}: is no folder", show_path(&folder))));
            }
            return Ok(Self::Tools(Tools::new(folder, config.to_owned(), args.watch)));
        }
        let failed = || CommandError::system(format!("input {}", show_path(&args.input)));
        let input = Input::of(&args.input).map_err(failed())?;
        let mut limits = limits(args.spool_size);
        // The writer of the input can wait.
        limits.refuse_when_full = true;
        let telemetry = service(TOOL, config, state, args.watch).limits(limits).build();
        let bad = BadLines::new(Leftovers::new(state).map_err(failed())?.file("bad-lines.txt"));
        let reader = InputReader::start(input, telemetry.forwarder(), bad, sender);
        let reader = reader.map_err(CommandError::system("no thread"))?;
        // An earlier run may have left events.
        telemetry.deliver_soon();
        Ok(Self::Input { telemetry, reader })
    }

    /// What people call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Input { reader, .. } => reader.name().to_owned(),
            Self::Tools(tools) => format!("spools of {}", show_path(tools.folder())),
        }
    }

    pub(super) fn telemetries(&self) -> Vec<Telemetry> {
        match self {
            Self::Input { telemetry, .. } => vec![telemetry.clone()],
            Self::Tools(tools) => tools.each(|_, telemetry| telemetry.clone()),
        }
    }

    /// What was read so far.
    pub(super) fn counts(&self) -> Counts {
        match self {
            Self::Input { reader, .. } => reader.counts(),
            Self::Tools(_) => Counts::default(),
        }
    }

    pub(super) fn spools(&self, rates: &mut Rates) -> Vec<SpoolNow> {
        match self {
            Self::Input { telemetry, .. } => vec![rates.of(TOOL, telemetry)],
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
