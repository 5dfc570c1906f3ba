//! The executable of a child.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, io};

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
    /// Notes that `main` begins with [`init`](crate::isolated::init).
    pub(super) fn note_init() {
        CALLED.store(true, Ordering::Relaxed);
    }

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
        self.path().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_init_learns_which_line_to_add() {
        let error = Program::Own.path().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("`jackfield::init();` as the first line"), "{error}");
        assert!(Program::At("/x".into()).path().is_ok());
    }
}
