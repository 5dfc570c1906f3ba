//! `jackfield dead-letters`: the events that backends have rejected, in the spool of a run or of a tool.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, Subcommand, ValueHint};
use jackfield::spool::{Limits, Rejected, Spool};
use jackfield_loader::{ForeignText, count, escape_in_json, show_path};
use serde_json::json;

use crate::{
    console,
    exit::{CommandError, Exit},
    help::Help,
    log,
    run::tools,
    run_state,
    settings::{CommonArgs, TOOL, unknown_backend},
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield dead-letters list\n  jackfield dead-letters show --backend main | jackfield send\n  \
         jackfield dead-letters resend --state /var/lib/jackfield\n  \
         jackfield dead-letters drop --state ~/.local/state/TOOL/telemetry",
    notes: "A dead letter is an event that a backend has rejected. It is kept in the spool with the\n\
         reason, up to the size and the age that the options of `run` set. A backend whose dead\n\
         letters have reached the size gets no events until there is room.\n\n\
         --state names the folder of `run --state`, or the data folder of a tool.\n\n\
         With --json, `list` prints a list of: backend, reason, rejected_at (milliseconds since 1970),\n\
         event. `resend` prints one object: backends (a list of backend, delivered, rejected, waiting, lost,\n\
         reason) and of_others, the dead letters of other backends. `drop` prints one object: dropped.",
};

/// The time to wait for the end of a delivery by another process.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Show each dead letter: the time, the backend, the event and the reason
    List(Selection),
    /// Print the events, one JSON object a line, as `send` reads them
    Show(Selection),
    /// Send the events again, to the backends of the configuration that rejected them
    Resend(Resend),
    /// Remove dead letters for good
    Drop(Selection),
}

/// The dead letters of a command.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Folder of the run, or data folder of a tool
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    state: Option<PathBuf>,
    /// Only the dead letters of this backend; may be given several times
    #[arg(long, value_name = "BACKEND")]
    backend: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Resend {
    /// Folder of the run, or data folder of a tool
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    state: Option<PathBuf>,
    /// How long the sending may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = jackfield::forward::parse_duration)]
    within: Duration,
}

pub(crate) fn run(common: &CommonArgs, command: &DeadLettersCommand) -> Result<Exit, CommandError> {
    match command {
        DeadLettersCommand::List(selection) => list(common, selection),
        DeadLettersCommand::Show(selection) => show(selection),
        DeadLettersCommand::Resend(resend) => send_again(common, resend),
        DeadLettersCommand::Drop(selection) => remove(common, selection),
    }
}

fn unusable(error: &jackfield::Error) -> CommandError {
    CommandError::Unusable(error.to_string())
}

impl Selection {
    /// The spools of the folder with their selected dead letters. Limits matter only for delivery.
    fn find(&self) -> Result<Vec<(Spool, Vec<Rejected>)>, CommandError> {
        let folder = run_state::folder_with_spool(self.state.as_deref())?;
        let spools = ["spool", "local-spool"].map(|name| folder.join(name));
        let found = spools.into_iter().filter(|spool| spool.is_dir()).map(|spool| {
            let spool = Spool::on_disk(spool, Limits::default());
            let rejected = spool.rejected().map_err(|error| unusable(&error))?;
            Ok((spool, rejected))
        });
        let mut found = found.collect::<Result<Vec<_>, CommandError>>()?;
        self.check(&found)?;
        for (_, rejected) in &mut found {
            rejected
                .retain(|one| self.backend.is_empty() || self.backend.iter().any(|name| one.backend == name));
        }
        Ok(found)
    }

    /// Refuses a backend that these spools do not know.
    fn check(&self, found: &[(Spool, Vec<Rejected>)]) -> Result<(), CommandError> {
        let rejected = found.iter().flat_map(|(_, rejected)| rejected);
        let mut known: BTreeSet<_> = rejected.map(|one| one.backend.as_raw().to_owned()).collect();
        if self.backend.iter().all(|name| known.contains(name)) {
            return Ok(());
        }
        known.extend(found.iter().flat_map(|(spool, _)| spool.stats().backends.into_keys()));
        // Before the first delivery nothing is known of any backend.
        match self.backend.iter().find(|name| !known.is_empty() && !known.contains(*name)) {
            Some(unknown) => Err(unknown_backend("--backend", unknown, "this spool", known)),
            None => Ok(()),
        }
    }
}

fn list(common: &CommonArgs, selection: &Selection) -> Result<Exit, CommandError> {
    let all: Vec<Rejected> = selection.find()?.into_iter().flat_map(|(_, rejected)| rejected).collect();
    if common.json {
        console::print_json(&all)?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for Rejected { backend, reason, rejected_at, event } in &all {
        let event: serde_json::Value = serde_json::from_str(event.get()).unwrap_or_default();
        let member = |name: &str| event[name].as_str().unwrap_or_default();
        let at = i64::try_from(*rejected_at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
        let at = at.map(|at| at.to_string()).unwrap_or_default();
        let line = format!("{at}  {backend}  {} {}: {reason}", member("type"), member("name"));
        text += &format!("{}\n", ForeignText::from(line));
    }
    text += &format!("{}\n", count(all.len(), "dead letter"));
    console::print(&text)?;
    Ok(Exit::Done)
}

fn show(selection: &Selection) -> Result<Exit, CommandError> {
    let all = selection.find()?.into_iter().flat_map(|(_, rejected)| rejected);
    let line = |rejected: Rejected| format!("{}\n", escape_in_json(rejected.event.get()));
    console::print(&all.map(line).collect::<String>())?;
    Ok(Exit::Done)
}

fn send_again(common: &CommonArgs, resend: &Resend) -> Result<Exit, CommandError> {
    let folder = run_state::folder_with_spool(resend.state.as_deref())?;
    let (config, _) = common.file_with_backends()?;
    let tool = if run_state::is_of_run(&folder) {
        TOOL.to_owned()
    } else {
        let tool = tools::name_of(&folder).unwrap_or_default();
        if let Some(why) = tools::refusal(&tool) {
            return Err(CommandError::Unusable(format!("the dead letters of {tool} stay: {why}")));
        }
        tool
    };
    let telemetry = tools::service(&tool, &config, &folder, false).limits(without_limits()).build();
    let report = telemetry.resend_rejected(resend.within).map_err(|error| unusable(&error));
    telemetry.close();
    let report = report?;
    if common.json {
        console::print_json(&report)?;
    } else {
        console::print(&format!("{report}\n"))?;
    }
    Ok(if report.is_complete() { Exit::Done } else { Exit::Events })
}

/// The limits of the spool belong to the run or the tool, which may have set others than are known here: nothing is dropped.
fn without_limits() -> Limits {
    let mut limits = Limits::default();
    (limits.max_bytes, limits.max_events) = (u64::MAX, u64::MAX);
    (limits.max_age, limits.dead_letter_age) = (Duration::MAX, Duration::MAX);
    limits
}

fn remove(common: &CommonArgs, selection: &Selection) -> Result<Exit, CommandError> {
    let deadline = Instant::now() + PATIENCE;
    let mut dropped = 0;
    for (spool, rejected) in selection.find()? {
        if !spool.forget_rejected(&rejected, deadline).map_err(|error| unusable(&error))? {
            return Err(CommandError::Unusable(format!(
                "{}: a delivery was under way for {PATIENCE:?}: try again later, or end it first; {} dropped",
                show_path(spool.folder()),
                count(dropped, "dead letter")
            )));
        }
        dropped += rejected.len();
    }
    if common.json {
        console::print_json(&json!({ "dropped": dropped }))?;
    } else {
        log::say(format_args!("dropped: {}", count(dropped, "dead letter")));
    }
    Ok(Exit::Done)
}
