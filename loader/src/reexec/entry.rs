//! What a child does first.

use std::env;
use std::ffi::OsStr;

use super::inherited::Inherited;
use super::program::Program;
use super::spawn::MARK;
use crate::boundary::process::exit;

/// The exit code of a process without what a child needs: `EX_USAGE` of `sysexits.h`.
pub(crate) const NOT_A_CHILD: i32 = 64;

/// The exit code of a child whose host has ended.
pub(crate) const ORPHANED: i32 = 0;

/// A job that a child is started for.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The name by which [`Spawn`](super::Spawn) asks for the job: letters only.
    pub name: &'static str,
    /// Does the job with the files from the parent, and returns the exit code.
    pub run: fn(Inherited) -> i32,
}

/// In a child, does its job of `jobs`, and ends the process. Elsewhere, notes that children are possible.
pub(crate) fn run_job(jobs: &[Job]) {
    let mut arguments = env::args_os().skip(1);
    let name = arguments.next().and_then(|word| job_name(&word));
    // A child may start children, too.
    Program::note_init();
    let Some(name) = name else { return };
    let inherited = arguments.next().and_then(|word| Inherited::take(word.to_str()?, &name));
    exit(match (jobs.iter().find(|job| job.name == name), inherited) {
        (Some(job), Some(inherited)) => (job.run)(inherited),
        _ => NOT_A_CHILD,
    })
}

fn job_name(word: &OsStr) -> Option<String> {
    word.to_str()?.strip_prefix(MARK).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_of_the_program_itself_is_no_job() {
        assert_eq!(job_name("jackfield:child".as_ref()).as_deref(), Some("child"));
        for own in ["", "child", "jackfield", "--jackfield:child"] {
            assert_eq!(job_name(own.as_ref()), None, "{own:?}");
        }
    }
}
