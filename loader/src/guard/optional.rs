//! Calls of a plugin's optional tables, each behind the same guard as `send`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jackfield_plugin_api::{Deletion, Probe};

use super::{
    preview::{Preview, PreviewError},
    supervisor::Supervisor,
    work::Work,
};
use crate::boundary::batch::Batch;

impl Supervisor {
    /// Asks for the deletion of a machine's data and waits for the answer, at most for `timeout`.
    pub(crate) fn delete(&self, machine_id: &str, event: &Batch, timeout: Duration) -> Deletion {
        let answer = Arc::new(AtomicU32::new(0));
        let work = Work::Delete {
            machine_id: Arc::from(machine_id),
            event: event.clone(),
            answer: Arc::clone(&answer),
        };
        let answered = self.call(&work, timeout);
        match answered.report.failure() {
            Some(failure) => Deletion::Failed(failure.to_string()),
            None => match Deletion::from_abi(answer.load(Ordering::Acquire), answered.text) {
                Deletion::Unsupported(text) if text.is_empty() => {
                    Deletion::Unsupported("this plugin has no way to ask for deletion".to_owned())
                }
                deletion => deletion,
            },
        }
    }

    /// Asks what a `send` of the batch would send and waits for the answer, at most for `timeout`.
    pub(crate) fn preview(&self, batch: &Batch, timeout: Duration) -> Result<Preview, PreviewError> {
        if !self.has_diagnostics() {
            return Err(PreviewError::Unsupported);
        }
        let answered = self.call(&Work::Preview(batch.clone()), timeout);
        match answered.report.failure() {
            Some(failure) => Err(PreviewError::Failed(failure.clone())),
            None => answered.preview,
        }
    }

    /// Asks whether the platform would take events and waits for the answer, at most for `timeout`.
    pub(crate) fn probe(&self, timeout: Duration) -> Probe {
        let unsupported =
            || Probe::Unsupported("this plugin has no way to find out without sending an event".to_owned());
        if !self.has_diagnostics() {
            return unsupported();
        }
        let answer = Arc::new(AtomicU32::new(0));
        let answered = self.call(&Work::Probe { answer: Arc::clone(&answer) }, timeout);
        match answered.report.failure() {
            Some(failure) => Probe::Unreachable(failure.to_string()),
            None => match Probe::from_abi(answer.load(Ordering::Acquire), answered.text) {
                Probe::Unsupported(text) if text.is_empty() => unsupported(),
                probe => probe,
            },
        }
    }
}
