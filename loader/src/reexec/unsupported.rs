//! Where no such child can be had.

use std::{io, time::Duration};

use super::program::Program;

/// What a parent hands to a child: nothing, here.
#[derive(Debug)]
pub struct Inherited(());

impl Inherited {
    pub(super) fn take(_: usize) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn prepare(&self, _: &str) {}
}

/// A child to be started.
#[derive(Debug)]
pub struct Spawn(());

impl Spawn {
    /// A child for a job.
    #[must_use]
    pub fn new(_program: Program, _job: &'static str) -> Self {
        Self(())
    }

    /// Always an error of the kind `Unsupported`.
    ///
    /// # Errors
    /// Always.
    pub fn start(self) -> io::Result<Child> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "there is no process isolation on this platform yet"))
    }
}

/// A child: none can be had here.
#[derive(Debug)]
pub struct Child(());

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// Other code of this process has asked the system first.
    Unknown,
}

impl Child {
    /// Its process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        0
    }

    /// Ends it at once.
    pub fn kill(&self) {}

    /// Has a thread wait for its end.
    ///
    /// # Errors
    /// Never.
    pub fn reap(self) -> io::Result<()> {
        Ok(())
    }

    /// Waits for its end for at most so long.
    #[must_use]
    pub fn wait(&self, _within: Duration) -> Option<Ended> {
        Some(Ended::Unknown)
    }
}
