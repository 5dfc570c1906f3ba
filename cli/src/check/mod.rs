//! `jackfield check`: checks the behaviour of a plugin, for its vendor and for its users.
//!
//! Each check runs in a separate child process, so that a plugin that hangs or crashes fails only that check.
//! The child reads its task from one pipe, and writes its finding to another one. A third pipe is its
//! standard output, which has to stay empty.

mod checks;
mod child;
mod child_output;
mod fake_platform;
mod harness;
mod lateness;
pub(crate) mod options;
mod report;
mod runner;
mod sample_events;

use std::fs;

use jackfield_loader::{in_prose, show_path};

use self::options::CheckArgs;
use crate::{
    console,
    exit::{CommandError, Exit},
    settings::CommonArgs,
};

pub(crate) use self::child::JOB;

pub(crate) fn run(common: &CommonArgs, args: &CheckArgs) -> Result<Exit, CommandError> {
    if let Some(unknown) = args.only.iter().find(|name| !checks::names().any(|known| known == **name)) {
        let names = in_prose(checks::names());
        return Err(CommandError::Usage(format!("there is no check {unknown:?}: the checks are {names}")));
    }
    let options = options::options(common, args)?;
    let mut report = runner::all(args, &options.json);
    if let Some(backend) = &options.backend {
        report.conceal(|text| backend.conceal(text));
    }
    if let Some(file) = &args.junit {
        let failed = CommandError::system(format!("{} can't be written", show_path(file)));
        #[expect(clippy::disallowed_methods, reason = "the user's output, which may be a FIFO or a device")]
        fs::write(file, report.to_junit()).map_err(failed)?;
    }
    if common.json { console::print_json(&report.to_json()) } else { console::print(&report.to_text()) }?;
    Ok(if report.failed() == 0 { Exit::Done } else { Exit::Plugin })
}
