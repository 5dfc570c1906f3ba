//! `jackfield retry`: ends the pauses of backends that have failed.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use jackfield::Telemetry;

use crate::{
    exit::{CommandError, Exit},
    log, run_state,
    settings::{Help, TOOL, VERSION},
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield retry\n  jackfield retry --state /var/lib/jackfield",
    notes: "A backend that has failed is tried again after a pause, of at most `longest_pause` in its\n\
         configuration. This command ends the pauses. A `jackfield run` that is alive in the folder\n\
         gets SIGHUP, so that it also reads its configuration again. A tool tries its backends at its\n\
         next delivery.",
};

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// Folder of the run, or data folder of a tool
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    state: Option<PathBuf>,
}

pub(crate) fn run(args: &RetryArgs) -> Result<Exit, CommandError> {
    let folder = run_state::folder_with_spool(args.state.as_deref())?;
    if run_state::is_alive(&folder) {
        run_state::reload(&folder).map_err(CommandError::file(&folder, "its run can't be signalled"))?;
        log::say("the run tries every backend now");
    } else {
        Telemetry::builder(TOOL, VERSION).environment(|_: &str| None).data_folder(folder).build().retry();
        log::say("every backend is tried at the next delivery");
    }
    Ok(Exit::Done)
}
