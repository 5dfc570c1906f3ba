//! The way into a plugin, in this process or in a child process, and the work that is done there.

use std::sync::{Arc, atomic::AtomicU32};

use jackfield_plugin_api::abi::Status;

use super::{call::CallState, error::CloseFailure, stats::Counters};
use crate::boundary::batch::Batch;
use crate::load::tables::{Abilities, Function};

/// A plugin that can be entered. It makes an [`Executor`] for each instance of a backend.
pub(crate) trait Entry: Send + Sync {
    /// The way into an instance that is not open yet.
    fn executor(&self) -> Box<dyn Executor>;

    /// Tells the plugin's own threads in this process that the host is done with the backend.
    fn cancel(&self) {}

    /// The plugin's optional abilities. Known once an instance has been opened.
    fn abilities(&self) -> Abilities;

    /// Whether the plugin has crashed too often to be tried again.
    fn gave_up(&self) -> bool {
        false
    }

    /// Number of child processes that were started after the first one.
    fn restarts(&self) -> u64 {
        0
    }
}

/// The way into one instance, for several threads at once.
pub(crate) trait Executor: Send + Sync {
    /// Does a piece of work inside the plugin. The first is [`Work::Open`]. None follows one that failed.
    fn run(&self, work: &Work, call: &Arc<CallState>) -> Status;

    /// Frees the instance, if it was `opened`. This is the last call.
    fn free(&self, opened: bool) -> Result<(), CloseFailure>;

    /// Whether only one call at a time may be inside. Known once the instance has been opened.
    fn is_serial(&self) -> bool;

    /// Kills the child process of the instance, if it has one, which ends every call inside.
    fn kill(&self) {}

    /// Tells the plugin's own threads in a child process that the host is done with the backend.
    fn cancel(&self) {}

    /// The number of the child process of the instance, if it has one.
    fn process_id(&self) -> Option<u32> {
        None
    }
}

#[derive(Clone)]
pub(crate) enum Work {
    Open,
    /// Another function of the plugin, with its arguments.
    Call {
        function: Function,
        text: Option<Arc<str>>,
        batch: Option<Batch>,
        answer: Option<Arc<AtomicU32>>,
    },
}

impl Work {
    /// A function without arguments.
    pub(super) const fn of(function: Function) -> Self {
        Self::Call { function, text: None, batch: None, answer: None }
    }

    pub(super) fn with_batch(function: Function, batch: &Batch) -> Self {
        Self::Call { function, text: None, batch: Some(batch.clone()), answer: None }
    }

    /// Number of events that need an outcome.
    pub(super) fn events(&self) -> usize {
        if matches!(self, Self::Call { function: Function::Send, .. }) { self.reportable() } else { 0 }
    }

    /// Number of events that the plugin may report on.
    pub(super) fn reportable(&self) -> usize {
        match self {
            Self::Call { function: Function::Send | Function::Preview, batch: Some(batch), .. } => {
                batch.len()
            }
            _ => 0,
        }
    }
}

/// Work, and the call that a caller waits for.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) call: Arc<CallState>,
    /// They count the plugin's function as stuck from the end of the wait to the end of the function.
    pub(super) counters: Arc<Counters>,
}
