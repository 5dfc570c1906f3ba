//! The functions of a plugin's optional tables, called as `send` is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jackfield_plugin_api::{Deletion, Probe};

use super::executor::Work;
use super::preview::{Preview, PreviewError};
use super::report::Failure;
use super::supervisor::Supervisor;
use crate::boundary::batch::Batch;
use crate::load::tables::{Function, OptionalTable};

impl Supervisor {
    /// Asks for the deletion of a machine's data, and waits for the answer at most for `timeout`.
    pub(crate) fn delete(&self, machine_id: &str, event: &Batch, timeout: Duration) -> Deletion {
        let unsupported = || Deletion::Unsupported("this plugin has no way to ask for deletion".to_owned());
        if !self.entry.abilities().has(OptionalTable::Deletion) {
            return unsupported();
        }
        let (text, batch) = (Some(Arc::from(machine_id)), Some(event.clone()));
        match self.ask(Function::Delete, text, batch, timeout) {
            Err(failure) => Deletion::Failed(failure.to_string()),
            Ok((number, text)) => match Deletion::from_abi(number, text) {
                Deletion::Unsupported(text) if text.is_empty() => unsupported(),
                deletion => deletion,
            },
        }
    }

    /// Asks what a `send` of the batch would send, and waits for the answer at most for `timeout`.
    pub(crate) fn preview(&self, batch: &Batch, timeout: Duration) -> Result<Preview, PreviewError> {
        if !self.entry.abilities().has(OptionalTable::Diagnostics) {
            return Err(PreviewError::Unsupported);
        }
        let answered = self.call(&Work::with_batch(Function::Preview, batch), timeout, None);
        match answered.report.failure() {
            Some(failure) => Err(PreviewError::Failed(failure.clone())),
            None => answered.preview,
        }
    }

    /// Asks whether the platform would accept events, and waits for the answer at most for `timeout`.
    pub(crate) fn probe(&self, timeout: Duration) -> Probe {
        let unsupported =
            || Probe::Unsupported("this plugin has no way to find out without sending an event".to_owned());
        if !self.entry.abilities().has(OptionalTable::Diagnostics) {
            return unsupported();
        }
        match self.ask(Function::Probe, None, None, timeout) {
            Err(failure) => Probe::Unreachable(failure.to_string()),
            Ok((number, text)) => match Probe::from_abi(number, text) {
                Probe::Unsupported(text) if text.is_empty() => unsupported(),
                probe => probe,
            },
        }
    }

    /// Calls a function that answers with a number. Returns the number and the plugin's explanation.
    fn ask(
        &self,
        function: Function,
        text: Option<Arc<str>>,
        batch: Option<Batch>,
        timeout: Duration,
    ) -> Result<(u32, String), Failure> {
        let answer = Arc::new(AtomicU32::new(0));
        let work = Work::Call { function, text, batch, answer: Some(Arc::clone(&answer)) };
        let answered = self.call(&work, timeout, None);
        match answered.report.failure() {
            Some(failure) => Err(failure.clone()),
            None => Ok((answer.load(Ordering::Acquire), answered.text)),
        }
    }
}
