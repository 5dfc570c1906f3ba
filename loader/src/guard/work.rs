//! What is to be done inside a plugin.

use std::sync::{Arc, atomic::AtomicU32};

use jackfield_plugin_api::abi;

use super::call::CallState;
use crate::{
    boundary::{batch::Batch, host_services::HostHandle},
    load::tables::Function,
};

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
    Open {
        source: Source,
        host: &'static HostHandle,
    },
    /// Another function of the plugin, with what it takes.
    Call {
        function: Function,
        text: Option<Arc<str>>,
        batch: Option<Batch>,
        answer: Option<Arc<AtomicU32>>,
    },
}

impl Work {
    /// A function that takes nothing.
    pub(super) const fn of(function: Function) -> Self {
        Self::Call { function, text: None, batch: None, answer: None }
    }

    /// A function that takes a batch.
    pub(super) fn with_batch(function: Function, batch: &Batch) -> Self {
        Self::Call { function, text: None, batch: Some(batch.clone()), answer: None }
    }

    /// How many events it is to give outcomes for.
    pub(super) fn events(&self) -> usize {
        match self {
            Self::Call { function: Function::Send, batch: Some(batch), .. } => batch.len(),
            _ => 0,
        }
    }

    /// How many events the plugin may report on.
    pub(super) fn reportable(&self) -> usize {
        match self {
            Self::Call { function: Function::Send | Function::Preview, batch: Some(batch), .. } => {
                batch.len()
            }
            _ => 0,
        }
    }
}

/// Work with the call that a caller waits for.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) call: Arc<CallState>,
    /// Called when the plugin's function returns after the caller has stopped waiting.
    pub(super) returned_late: Box<dyn Fn() + Send + Sync>,
}
