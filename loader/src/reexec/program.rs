//! The executable that a child runs.

use std::{
    env, io,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

/// A child's first argument is this and its job, the second one the number of its descriptors, and the third one a title
/// for lists of processes. Arguments and no environment variable, because processes that the child starts would inherit it.
pub(super) const MARK: &str = "jackfield:";

static CALLED: AtomicBool = AtomicBool::new(false);

/// Notes that this program's `main` begins with [`init`](crate::isolated::init::init).
pub(super) fn can_be_started_again() {
    CALLED.store(true, Ordering::Relaxed);
}

/// Which executable a child runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// This process's own, whose `main` begins with [`init`](crate::isolated::init::init).
    #[default]
    Own,
    /// Another one that begins so, such as the command `jackfield`, of the same version as this one.
    At(PathBuf),
}

impl Program {
    /// The path to execute.
    ///
    /// # Errors
    /// `Unsupported`, with the line to add, when this program's `main` does not begin with [`init`](crate::isolated::init::init).
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
    fn a_program_whose_main_does_not_begin_so_says_which_line_to_add() {
        let error = Program::Own.path().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("`jackfield::init();` as the first line"), "{error}");
        assert!(Program::At("/x".into()).path().is_ok());
    }
}
