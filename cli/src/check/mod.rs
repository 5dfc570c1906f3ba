//! `jackfield check`: checks the behaviour of a plugin, for its vendor and for its users.
//!
//! Each check runs in a separate child process, so that a plugin that hangs or crashes fails only that check.
//! The child reads its task from one pipe, and writes its finding to another one. A third pipe is its
//! standard output, which has to stay empty.

mod checks;
mod child;
mod child_output;
mod endpoint;
mod fake_platform;
mod harness;
mod lateness;
mod left;
mod lives;
pub(crate) mod options;
mod report;
mod runner;
mod sample_events;

use std::fs;

use indicatif::ProgressBar;
use jackfield_loader::{in_prose, show_path};

use self::{options::CheckArgs, runner::Stop};
use crate::{
    console,
    exit::{CommandError, Exit},
    settings::CommonArgs,
    signals,
};

pub(crate) use self::child::JOB;

pub(crate) fn run(common: &CommonArgs, args: &CheckArgs) -> Result<Exit, CommandError> {
    if let Some(unknown) = args.only.iter().find(|name| !checks::names().any(|known| known == **name)) {
        let names = in_prose(checks::names());
        return Err(CommandError::Usage(format!("there is no check {unknown:?}: the checks are {names}")));
    }
    if !args.file.exists() {
        // This gives the line for a missing file: a wrong path is no breach of the contract.
        jackfield_loader::inspect(&*args.file)?;
    }
    let options = options::options(common, args)?;
    let stop = Stop::default();
    let on_end = stop.clone();
    signals::install(move || on_end.set(), None).map_err(CommandError::system("signals can't be handled"))?;
    let bar = if common.json { ProgressBar::hidden() } else { console::start_steps(checks::CHECKS.len()) };
    let mut report = runner::all(args, &options.json, &stop, &bar);
    console::clear_bar();
    if stop.is_set() {
        return Err(CommandError::Interrupted);
    }
    if let Some(backend) = &options.backend {
        report.conceal(|text| backend.conceal(text));
    }
    if let Some(file) = &args.junit {
        let failed = CommandError::system(format!("{} can't be written", show_path(file)));
        #[expect(clippy::disallowed_methods, reason = "the user's output, which may be a FIFO or a device")]
        fs::write(file, report.to_junit()).map_err(failed)?;
    }
    if common.json { console::print_json(&report.to_json()) } else { console::print(&report.to_text()) }?;
    if let Some(refusal) = report.refusal() {
        return Err(CommandError::ConfigContent(format!(
            "{refusal}: give the options that it needs with --config FILE or --config-json JSON"
        )));
    }
    Ok(if report.failed() == 0 { Exit::Done } else { Exit::Plugin })
}
