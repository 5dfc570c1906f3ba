//! `jackfield retry`: ends the pauses of backends that have failed.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use jackfield::Telemetry;
use serde_json::json;

use crate::{
    console,
    exit::{CommandError, Exit},
    help::Help,
    log, run_state,
    settings::{TOOL, VERSION},
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield retry\n  jackfield retry --state /var/lib/jackfield",
    notes: "A backend that has failed is tried again after a pause, of at most `longest_pause` in its\n\
         configuration. This command ends the pauses. A `jackfield run` that is alive in the folder\n\
         gets SIGHUP, so that it also reads its configuration again. A tool tries its backends at its\n\
         next delivery.\n\nWith --json, one object: running (whether a run was told).",
};

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// Folder of the run, or data folder of a tool
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    state: Option<PathBuf>,
}

pub(crate) fn run(args: &RetryArgs, json: bool) -> Result<Exit, CommandError> {
    let folder = run_state::folder(args.state.as_deref())?;
    let is_running = run_state::is_alive(&folder);
    if is_running {
        run_state::reload(&folder).map_err(CommandError::file(&folder, "its run can't be signalled"))?;
    } else {
        // A run that delivers the spools of tools has none in its own folder.
        let folder = run_state::folder_with_spool(args.state.as_deref())?;
        Telemetry::builder(TOOL, VERSION).environment(|_: &str| None).data_folder(folder).build().retry();
    }
    if json {
        console::print_json(&json!({ "running": is_running }))?;
    } else if is_running {
        log::say("the run tries every backend now");
    } else {
        log::say("every backend is tried at the next delivery");
    }
    Ok(Exit::Done)
}
