//! What is to be done inside a plugin.

use std::sync::{Arc, atomic::AtomicU32};

use jackfield_plugin_api::abi;

use super::call::CallState;
use crate::boundary::{batch::Batch, host_services::HostHandle};

/// Where an instance comes from.
#[derive(Clone)]
pub(crate) enum Source {
    /// The table's `open`, with this configuration.
    Config(Arc<str>),
    /// A function of the host's own program, which makes an instance for the table.
    Value(Arc<dyn Fn() -> Made + Send + Sync>),
}

/// An instance that a [`Source::Value`] made.
pub(crate) struct Made(pub(crate) *mut abi::Instance);

/// What a worker does.
#[derive(Clone)]
pub(crate) enum Work {
    Open { source: Source, host: &'static HostHandle },
    Send(Batch),
    Delete { machine_id: Arc<str>, event: Batch, answer: Arc<AtomicU32> },
    Preview(Batch),
    Probe { answer: Arc<AtomicU32> },
    Close,
}

impl Work {
    /// How many events it is to give outcomes for.
    pub(super) fn events(&self) -> usize {
        if let Self::Send(batch) = self { batch.len() } else { 0 }
    }

    /// How many events the plugin may report on.
    pub(super) fn reportable(&self) -> usize {
        if let Self::Send(batch) | Self::Preview(batch) = self { batch.len() } else { 0 }
    }
}

/// Work with the call that somebody waits for.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) call: Arc<CallState>,
    /// Called when the plugin's function returns though nobody waits any more.
    pub(super) returned_late: Box<dyn Fn() + Send + Sync>,
}
