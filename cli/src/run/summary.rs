//! The numbers at the end of a run.

use std::collections::BTreeMap;

use jackfield::Status;
use jackfield_loader::{ForeignText, count};
use serde::Serialize;

/// The results of a run. For each backend of the run's own spool, `waiting_before` + `read` is the sum of its
/// numbers and of those events of `dropped` that it had not settled.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    /// Events that were read and stored.
    pub(super) read: u64,
    /// Events that at least one backend has not settled.
    pub(super) waiting: u64,
    /// Dead letters, those of earlier runs included.
    pub(super) rejected: u64,
    /// Events that were dropped, by reason: in this run; of a tool's spool, ever.
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) backends: Vec<BackendSummary>,
    /// Lines that were read and are lost.
    pub(super) not_stored: u64,
    /// Lines without room that are still in the input.
    pub(super) left_in_input: u64,
    pub(super) exit_code: u8,
}

#[derive(Debug, Serialize)]
pub(super) struct BackendSummary {
    tool: ForeignText,
    name: String,
    waiting_before: u64,
    delivered: u64,
    rejected: u64,
    lost: u64,
    waiting: u64,
}

impl Summary {
    /// Adds the spool of one tool, with its status at the start and at the end.
    pub(super) fn add(&mut self, before: Option<&Status>, after: &Status) {
        self.waiting += after.events;
        self.rejected += after.dead_letters;
        for (reason, number) in &after.dropped {
            let earlier = before.and_then(|before| before.dropped.get(reason)).unwrap_or(&0);
            if number > earlier {
                *self.dropped.entry(reason.clone()).or_default() += number - earlier;
            }
        }
        for backend in &after.backends {
            let earlier = before.and_then(|before| before.backends.iter().find(|it| it.name == backend.name));
            let since = |number: u64, at: fn(&jackfield::BackendStatus) -> u64| {
                number.saturating_sub(earlier.map_or(0, at))
            };
            self.backends.push(BackendSummary {
                tool: (&after.tool).into(),
                name: backend.name.clone(),
                waiting_before: earlier.map_or(0, |earlier| earlier.waiting),
                delivered: since(backend.delivered, |it| it.delivered),
                rejected: since(backend.rejected, |it| it.rejected),
                lost: since(backend.lost, |it| it.lost),
                waiting: backend.waiting,
            });
        }
    }

    /// Whether every event is delivered, or waits for a backend.
    pub(super) fn has_kept_all(&self) -> bool {
        self.rejected == 0 && self.dropped.is_empty()
    }

    /// The events that are not delivered, one line for each reason.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.waiting > 0 {
            warnings.push(format!("the spool keeps {} for the next run", count(self.waiting, "event")));
        }
        if self.rejected > 0 {
            let kept = count(self.rejected, "dead letter");
            warnings.push(format!("the spool keeps {kept}: `jackfield dead-letters list` shows them"));
        }
        let dropped = self.dropped.iter();
        warnings
            .extend(dropped.map(|(reason, number)| format!("{} dropped: {reason}", count(*number, "event"))));
        warnings
    }

    /// One line for each backend.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |backend: &BackendSummary| {
            let mut line = format!("{}: {} delivered", backend.name, backend.delivered);
            let others =
                [(backend.rejected, "rejected"), (backend.lost, "lost"), (backend.waiting, "waiting")];
            for (number, what) in others.into_iter().filter(|(number, _)| *number > 0) {
                line += &format!(", {number} {what}");
            }
            line
        };
        self.backends.iter().map(line).collect()
    }
}
