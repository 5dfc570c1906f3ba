//! The way into a plugin: in this process, or in a child process.

use std::sync::Arc;

use jackfield_plugin_api::abi::Status;

use super::{call::CallState, work::Work};
use crate::load::tables::Abilities;

/// A plugin that can be entered: makes an [`Executor`] for each instance of a backend.
pub(crate) trait Entry: Send + Sync {
    /// The way into an instance that is still to be opened.
    fn executor(&self) -> Box<dyn Executor>;

    /// What the plugin has beside the functions of every plugin. Known once an instance has been opened.
    fn abilities(&self) -> Abilities;

    /// Whether the plugin has crashed too often to be tried again.
    fn gave_up(&self) -> bool {
        false
    }

    /// How often a child process was started after the first one.
    fn restarts(&self) -> u64 {
        0
    }
}

/// The way into one instance, for several threads at once.
pub(crate) trait Executor: Send + Sync {
    /// Does one piece of work inside the plugin. The first one is [`Work::Open`], and nothing follows one that failed.
    fn run(&self, work: &Work, call: &Arc<CallState>) -> Status;

    /// Frees the instance, if it was `opened`. The last call.
    fn free(&self, opened: bool) -> Status;

    /// Whether one call at a time may be inside. Known once the instance has been opened.
    fn is_serial(&self) -> bool;

    /// Ends the child process that the instance is in, if it has one, and with it every call inside.
    fn kill(&self) {}

    /// Tells the plugin's own threads, where they are in a child process, that the host is done with the backend.
    fn cancel(&self) {}

    /// The number of the child process that the instance is in, if it has one.
    fn process_id(&self) -> Option<u32> {
        None
    }
}
