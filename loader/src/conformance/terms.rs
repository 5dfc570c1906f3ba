//! The terms of a call: its time, and the version of the host that makes it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Which host a plugin sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKind {
    /// This version's.
    #[default]
    Today,
    /// The first version's: ABI minor 0, nothing but what every host has, no log records wanted, empty names that are null.
    Older,
    /// A later version's: a larger ABI minor, unknown tables in each list of tables, further bits and members of events.
    Newer,
}

/// What a call is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Terms {
    /// How long the call may take.
    pub timeout: Duration,
    /// Tells the plugin that the call is cancelled.
    pub cancel: Cancel,
    /// Which host calls.
    pub host: HostKind,
    /// How empty strings and lists are written.
    pub empty: Empty,
}

impl Terms {
    /// A call by this version's host that may take so long.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, cancel: Cancel::default(), host: HostKind::Today, empty: Empty::AsIs }
    }

    /// The same by another host.
    #[must_use]
    pub fn host(mut self, host: HostKind) -> Self {
        self.host = host;
        self
    }

    /// The same with empty strings and lists written so.
    #[must_use]
    pub fn empty(mut self, empty: Empty) -> Self {
        self.empty = empty;
        self
    }
}

/// How empty strings and lists are written. The contract allows each: a pointer counts only where there is a length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Empty {
    /// As this version of the host writes them.
    #[default]
    AsIs,
    /// As null.
    Null,
    /// As an address where nothing is.
    Dangling,
}

/// Cancels a call.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Cancels it.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
