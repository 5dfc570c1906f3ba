//! The numbers at the end of a run.

use std::collections::BTreeMap;

use jackfield::{BackendStatus, Status};
use jackfield_loader::{ForeignText, count};
use serde::Serialize;
use tracing::Level;

use super::sink::Counts;
use crate::{console::one_line, log};

/// The results of a run. For each backend of the run's own spool, `waiting_before` + `read` is the sum of its
/// other numbers.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    /// Events that were read and stored.
    read: u64,
    /// Events that at least one backend has not settled.
    waiting: u64,
    /// Dead letters that are kept, those of earlier runs included.
    dead_letters: u64,
    /// Events that were dropped in this run, by reason.
    dropped: BTreeMap<String, u64>,
    backends: Vec<BackendSummary>,
    /// Lines that were read and are lost.
    not_stored: u64,
    /// Lines without room that are still in the input.
    left_in_input: u64,
    pub(super) exit_code: u8,
    /// The events that are not delivered, one line for each reason.
    #[serde(skip)]
    pub(super) warnings: Vec<String>,
    /// Whether the spools are those of tools. Then each line names the tool.
    #[serde(skip)]
    of_tools: bool,
}

/// What this run did for a backend.
#[derive(Debug, Serialize)]
struct BackendSummary {
    tool: ForeignText,
    name: String,
    waiting_before: u64,
    delivered: u64,
    rejected: u64,
    lost: u64,
    waiting: u64,
    /// Events that left the spool without this backend: they were dropped, or read while it was not configured.
    /// `None` for the spool of a tool, because this run does not know what the tool has appended.
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<u64>,
}

impl Summary {
    pub(super) fn new(counts: &Counts, of_tools: bool) -> Self {
        Self {
            read: counts.events,
            not_stored: counts.not_stored,
            left_in_input: counts.left,
            of_tools,
            ..Self::default()
        }
    }

    /// Adds the spool of one tool, with its status at the start and at the end.
    pub(super) fn add(&mut self, before: &Status, after: &Status) {
        let of_tool = self.of_tool(&after.tool);
        self.waiting += after.events;
        self.dead_letters += after.dead_letters;
        if after.events > 0 {
            let waiting = count(after.events, "event");
            self.warnings.push(format!("{of_tool}the spool keeps {waiting} for the next run"));
        }
        if after.dead_letters > 0 {
            let kept = count(after.dead_letters, "dead letter");
            let warning =
                format!("{of_tool}the spool keeps {kept}: `jackfield dead-letters list` shows them");
            self.warnings.push(warning);
        }
        for (reason, number) in &after.dropped {
            let number = number.saturating_sub(*before.dropped.get(reason).unwrap_or(&0));
            if number > 0 {
                self.warnings.push(format!("{of_tool}{} dropped: {reason}", count(number, "event")));
                *self.dropped.entry(reason.clone()).or_default() += number;
            }
        }
        for backend in after.backends.iter().chain(&after.gone) {
            let earlier = before.backends.iter().find(|it| it.name == backend.name);
            let since =
                |number: fn(&BackendStatus) -> u64| number(backend).saturating_sub(earlier.map_or(0, number));
            // A new backend begins with the oldest event of the spool.
            let waiting_before = earlier.map_or(before.events, |earlier| earlier.waiting);
            let [delivered, rejected, lost] =
                [since(|it| it.delivered), since(|it| it.rejected), since(|it| it.lost)];
            let had = delivered + rejected + lost + backend.waiting;
            self.backends.push(BackendSummary {
                tool: after.tool.clone(),
                name: backend.name.clone(),
                waiting_before,
                delivered,
                rejected,
                lost,
                waiting: backend.waiting,
                missed: (!self.of_tools).then(|| (waiting_before + self.read).saturating_sub(had)),
            });
        }
    }

    fn of_tool(&self, tool: &ForeignText) -> String {
        if self.of_tools { format!("{tool}: ") } else { String::new() }
    }

    /// Whether every event of this run is delivered, or waits for a backend.
    pub(super) fn has_kept_all(&self) -> bool {
        self.dropped.is_empty() && self.backends.iter().all(|backend| backend.rejected == 0)
    }

    /// One line for each backend.
    pub(super) fn tell(&self) {
        for backend in &self.backends {
            let of_tool = self.of_tool(&backend.tool);
            let mut line = format!("{of_tool}{}: {} delivered", backend.name, backend.delivered);
            let missed = backend.missed.unwrap_or_default();
            let others = [
                (backend.rejected, "rejected"),
                (backend.lost, "lost"),
                (backend.waiting, "waiting"),
                (missed, "missed"),
            ];
            for (number, what) in others.into_iter().filter(|(number, _)| *number > 0) {
                line += &format!(", {number} {what}");
            }
            let is_loss = backend.rejected + backend.lost + missed > 0;
            let level = if is_loss { Level::WARN } else { Level::INFO };
            log::tell(level, Some(&backend.name), one_line(line));
        }
    }
}
