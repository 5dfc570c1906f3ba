//! Where a program's second life begins.

use std::{
    env,
    ffi::OsStr,
    io,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{Inherited, MARK};

/// What a child may be there for.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// What [`Spawn`](super::Spawn) calls it: letters only.
    pub name: &'static str,
    /// Does it, with the descriptors that the parent handed over, and returns the exit code.
    pub run: fn(Inherited) -> i32,
}

static CALLED: AtomicBool = AtomicBool::new(false);

/// In a child of this program, does the job that it was started for, and ends the process. In any other process it says
/// that this program can have children, and returns.
///
/// To be called on the first line of `main`, while there is one thread and nothing is open: a child closes every
/// descriptor that it was not handed.
pub fn init(jobs: &[Job]) {
    let mut arguments = env::args_os().skip(1);
    let Some(name) = arguments.next().and_then(|word| job_name(&word)) else {
        CALLED.store(true, Ordering::Relaxed);
        return;
    };
    let files =
        arguments.next().and_then(|word| word.to_str()?.parse().ok()).filter(|files| *files <= MOST_FILES);
    let job = jobs.iter().chain(crate::isolated::JOBS).find(|job| job.name == name);
    let code = match (job, files.map(Inherited::take)) {
        (Some(job), Some(Ok(inherited))) => {
            inherited.prepare(job.name);
            // A child may need one in its turn.
            CALLED.store(true, Ordering::Relaxed);
            (job.run)(inherited)
        }
        _ => NOT_A_CHILD,
    };
    crate::exit(code)
}

/// The exit code of a process that was told a job and not given what belongs to it: 64, `EX_USAGE` of `sysexits.h`.
const NOT_A_CHILD: i32 = 64;

/// How many descriptors a child is handed at most.
const MOST_FILES: usize = 64;

/// The job that a program's first argument names.
fn job_name(word: &OsStr) -> Option<String> {
    word.to_str()?.strip_prefix(MARK).map(str::to_owned)
}

/// Which executable a child runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// This process's own, whose `main` begins with [`init`].
    #[default]
    Own,
    /// Another one that begins so, such as the command `jackfield`, of the same version as this one.
    At(PathBuf),
}

impl Program {
    /// The path to execute.
    ///
    /// # Errors
    /// `Unsupported`, with the line to add, when this program's `main` does not begin with [`init`].
    pub(super) fn path(&self) -> io::Result<PathBuf> {
        match self {
            Self::At(path) => Ok(path.clone()),
            Self::Own if !CALLED.load(Ordering::Relaxed) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this program can't be started again for it: add `jackfield::init();` as the first line of its `main`",
            )),
            // The very file that runs, whatever has taken its place meanwhile.
            Self::Own if cfg!(target_os = "linux") => Ok(PathBuf::from("/proc/self/exe")),
            Self::Own => env::current_exe(),
        }
    }

    /// Whether a child of it can be had, as far as can be told before one is started.
    #[must_use]
    pub fn is_available(&self) -> bool {
        cfg!(unix) && self.path().is_ok()
    }
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

    #[test]
    fn a_program_whose_main_does_not_begin_so_says_which_line_to_add() {
        let error = Program::Own.path().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("`jackfield::init();` as the first line"), "{error}");
        assert!(Program::At("/x".into()).path().is_ok());
    }
}
