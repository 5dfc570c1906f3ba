//! Platforms on which a program can't start itself again.

use std::io;

use super::entry::Program;

/// The descriptors from a child's parent. There are no children on this platform.
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

/// The end of a child.
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

/// There are no such processes.
pub fn adopt_orphans() {}

/// There are no such processes.
pub fn kill_descendants() {}

/// There are no such processes.
#[must_use]
pub fn processes_below() -> Vec<u32> {
    Vec::new()
}
