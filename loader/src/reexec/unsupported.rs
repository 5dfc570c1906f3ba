//! Platforms on which a program can't start itself again.

use std::io;

use super::entry::Program;

/// What a child gets from its parent. There are no children on this platform.
#[derive(Debug)]
pub enum Inherited {}

impl Inherited {
    pub(super) fn take(_files: usize, _job: &str) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A child that was started.
#[derive(Debug)]
pub enum Child {}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {}

/// A child to be started.
#[derive(Debug)]
pub struct Spawn(());

impl Spawn {
    /// A child for a job.
    #[must_use]
    pub fn new(_program: Program, _job: &'static str) -> Self {
        Self(())
    }

    /// Starts no child.
    ///
    /// # Errors
    /// Always `Unsupported`.
    pub fn start(self) -> io::Result<Child> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
