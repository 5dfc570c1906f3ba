//! The executable of a child, and what the child does first.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, io};

use super::inherited::Inherited;
use crate::boundary::process::exit;

/// A child's first argument is this and its job, the second one is the number of its descriptors, the third
/// one a title for lists of processes. Processes that the child starts would inherit an environment variable.
pub(super) const MARK: &str = "jackfield:";

/// The exit code of a process without what a child needs: `EX_USAGE` of `sysexits.h`.
pub(crate) const NOT_A_CHILD: i32 = 64;

/// Largest number of descriptors that a child gets.
const MOST_FILES: usize = 64;

/// Whether this program's `main` begins with [`init`](crate::isolated::init).
static CALLED: AtomicBool = AtomicBool::new(false);

/// The executable of a child.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// This process's own, whose `main` begins with [`init`](crate::isolated::init).
    #[default]
    Own,
    /// Another one whose `main` begins so, of the same version, such as the command `jackfield`.
    At(PathBuf),
}

impl Program {
    /// The path to execute.
    ///
    /// # Errors
    /// `Unsupported`, with the line to add, if `main` does not begin with [`init`](crate::isolated::init).
    pub(super) fn path(&self) -> io::Result<PathBuf> {
        match self {
            Self::At(path) => Ok(path.clone()),
            Self::Own if !CALLED.load(Ordering::Relaxed) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this program can't be started again for it: add `jackfield::init();` as the first line of its `main`",
            )),
            // This is the running file, even if another file has replaced it.
            Self::Own if cfg!(target_os = "linux") => Ok(PathBuf::from("/proc/self/exe")),
            Self::Own => env::current_exe(),
        }
    }

    /// Whether a child can be started, as far as that is known in advance.
    #[must_use]
    pub fn is_available(&self) -> bool {
        cfg!(unix) && self.path().is_ok()
    }
}

/// A job that a child is started for.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The name by which [`Spawn`](super::Spawn) asks for the job: letters only.
    pub name: &'static str,
    /// Does the job with the descriptors from the parent, and returns the exit code.
    pub run: fn(Inherited) -> i32,
}

/// In a child, does its job of `jobs`, and ends the process. Elsewhere, notes that children are possible.
pub(crate) fn run_job(jobs: &[Job]) {
    let mut arguments = env::args_os().skip(1);
    let name = arguments.next().and_then(|word| job_name(&word));
    // A child may start children, too.
    CALLED.store(true, Ordering::Relaxed);
    let Some(name) = name else { return };
    let files =
        arguments.next().and_then(|word| word.to_str()?.parse().ok()).filter(|files| *files <= MOST_FILES);
    let inherited = files.and_then(|files| Inherited::take(files, &name).ok());
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

    #[test]
    fn a_program_without_init_learns_which_line_to_add() {
        let error = Program::Own.path().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("`jackfield::init();` as the first line"), "{error}");
        assert!(Program::At("/x".into()).path().is_ok());
    }
}
