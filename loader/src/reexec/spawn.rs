//! A child that is to be started, and how it ends.

use std::ffi::OsString;
use std::fs::File;
use std::io;

use super::handle::OwnedHandle;
use super::program::Program;
use crate::files::open::{Access, open};
use crate::files::way::judge_with_folders;

/// A child's first argument is this and its job, the second one tells of its files, the third one is a title for lists of
/// processes. Processes that the child starts would inherit an environment variable.
pub(super) const MARK: &str = "jackfield:";

/// Largest number of files that a child gets.
pub(super) const MOST_FILES: usize = 64;

/// A child to be started.
#[derive(Debug)]
pub struct Spawn {
    pub(super) program: Program,
    pub(super) job: &'static str,
    pub(super) title: String,
    pub(super) files: Vec<OwnedHandle>,
    pub(super) stdout: Option<File>,
    pub(super) stderr: Option<File>,
    pub(super) environment: Option<Vec<(OsString, OsString)>>,
    pub(super) outlives: bool,
}

impl Spawn {
    /// A child for the [`Job`](super::entry::Job) with this name.
    #[must_use]
    pub fn new(program: Program, job: &'static str) -> Self {
        let title = job.to_owned();
        Self {
            program,
            job,
            title,
            files: Vec::new(),
            stdout: None,
            stderr: None,
            environment: None,
            outlives: false,
        }
    }

    /// Sets the title in lists of processes. The default is the job's name.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets the files that the child gets.
    #[must_use]
    pub fn files(mut self, files: Vec<OwnedHandle>) -> Self {
        self.files = files;
        self
    }

    /// Sets the child's standard output. The default is the null device.
    #[must_use]
    pub fn stdout(mut self, file: File) -> Self {
        self.stdout = Some(file);
        self
    }

    /// Sets the child's standard error. The default is the null device.
    #[must_use]
    pub fn stderr(mut self, file: File) -> Self {
        self.stderr = Some(file);
        self
    }

    /// Sets the child's variables. The default are those of this process.
    #[must_use]
    pub fn environment(mut self, variables: Vec<(OsString, OsString)>) -> Self {
        self.environment = Some(variables);
        self
    }

    /// Has the child go on after the end of this process. It gives way to other processes.
    ///
    /// # Platform
    /// On Unix a child goes on in any case, and chooses its priority itself. On Windows a job that this process is in, and that
    /// lets no process leave it, ends the child.
    #[must_use]
    pub fn outlives(mut self) -> Self {
        self.outlives = true;
        self
    }

    /// Refuses a named program that others than root and the user could have written.
    pub(super) fn judge_program(&self) -> io::Result<()> {
        if let Program::At(path) = &self.program {
            judge_with_folders(&open(path, Access::ReadLinked)?, path)?;
        }
        Ok(())
    }
}

/// The end of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It returned this exit code.
    Code(i32),
    /// This signal ended it. Unix alone.
    Signal(i32),
    /// An exception with this number ended it, such as 0xC0000005 for a forbidden access to memory. Windows alone.
    Exception(u32),
    /// Unknown: other code of this process has taken the exit status.
    Unknown,
}
