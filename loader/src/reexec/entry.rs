//! Where a program's second life begins.

use std::{env, ffi::OsStr};

use super::{
    inherited::Inherited,
    program::{self, MARK},
};
use crate::boundary::process::exit;

/// What a child may be there for.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// What [`Spawn`](super::spawn::Spawn) calls it: letters only.
    pub name: &'static str,
    /// Does it, with the descriptors that the parent handed over, and returns the exit code.
    pub run: fn(Inherited) -> i32,
}

/// In a child of this program, does the one of `jobs` that it was started for, and ends the process. In any other process
/// it notes that this program can have children, and returns.
pub(crate) fn run_job(jobs: &[Job]) {
    let mut arguments = env::args_os().skip(1);
    let Some(name) = arguments.next().and_then(|word| job_name(&word)) else {
        program::can_be_started_again();
        return;
    };
    let files =
        arguments.next().and_then(|word| word.to_str()?.parse().ok()).filter(|files| *files <= MOST_FILES);
    let job = jobs.iter().find(|job| job.name == name);
    let code = match (job, files.map(Inherited::take)) {
        (Some(job), Some(Ok(inherited))) => {
            inherited.prepare(job.name);
            // A child may start children, too.
            program::can_be_started_again();
            (job.run)(inherited)
        }
        _ => NOT_A_CHILD,
    };
    exit(code)
}

/// The exit code of a process that was told a job and not given what belongs to it: 64, `EX_USAGE` of `sysexits.h`.
const NOT_A_CHILD: i32 = 64;

/// How many descriptors a child is handed at most.
const MOST_FILES: usize = 64;

/// The job that a program's first argument names.
fn job_name(word: &OsStr) -> Option<String> {
    word.to_str()?.strip_prefix(MARK).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_of_the_programs_own_is_no_job() {
        assert_eq!(job_name("jackfield:lane".as_ref()).as_deref(), Some("lane"));
        for own in ["", "lane", "jackfield", "--jackfield:lane"] {
            assert_eq!(job_name(own.as_ref()), None, "{own:?}");
        }
    }
}
