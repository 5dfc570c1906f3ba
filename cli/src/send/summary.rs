//! The summary of a run, as text and as JSON.

use jackfield_loader::{ForeignText, count};
use serde_json::{Value, json};

use super::target::{Tally, Unusable};
use crate::{console::one_line, exit::Exit};

/// A finished run.
pub(super) struct Summary {
    /// Lines that were read to their end.
    pub(super) lines: u64,
    pub(super) events: u64,
    pub(super) bad_lines: u64,
    pub(super) bad_lines_file: Option<String>,
    pub(super) interrupted: bool,
    /// Whether the input could not be read, or a line could not be kept.
    pub(super) io_failed: bool,
    pub(super) backends: Vec<BackendSummary>,
}

pub(super) struct BackendSummary {
    pub(super) name: String,
    pub(super) plugin: Option<ForeignText>,
    /// Why it could not be opened.
    pub(super) error: Option<Unusable>,
    pub(super) tally: Tally,
}

/// Reasons that people are shown for a backend.
const SHOWN: usize = 3;

impl Summary {
    pub(super) fn exit(&self) -> Exit {
        let says = |applies: bool, exit: Exit| if applies { exit } else { Exit::Done };
        let tallies = || self.backends.iter().map(|backend| &backend.tally);
        let not_delivered = |t: &Tally| t.rejected + t.undelivered > 0 || t.close_error.is_some();
        let io = self.io_failed || tallies().any(|tally| !tally.file_errors.is_empty());
        [
            says(self.bad_lines > 0, Exit::BadLines),
            says(tallies().any(not_delivered), Exit::Events),
            self.backends
                .iter()
                .filter_map(|backend| Some(backend.error.as_ref()?.exit))
                .max()
                .unwrap_or(Exit::Done),
            says(self.interrupted, Exit::Interrupted),
            says(io, Exit::Io),
        ]
        .into_iter()
        .max()
        .unwrap_or(Exit::Done)
    }

    pub(super) fn json(&self) -> Value {
        let backend = |backend: &BackendSummary| {
            let tally = &backend.tally;
            let reasons = reasons(tally);
            let reason = |&(outcome, reason, events): &(&str, &str, u64)| json!({ "outcome": outcome, "reason": reason, "events": events });
            json!({
                "name": backend.name, "plugin": backend.plugin, "error": backend.error.as_ref().map(|error| &error.reason),
                "delivered": tally.delivered, "retried": tally.retried, "rejected": tally.rejected,
                "undelivered": tally.undelivered, "lost": tally.lost, "close_error": tally.close_error,
                "reasons": reasons.iter().map(reason).collect::<Vec<_>>(),
                "rejected_file": tally.rejected_file, "undelivered_file": tally.undelivered_file,
            })
        };
        json!({
            "lines": self.lines, "events": self.events, "bad_lines": self.bad_lines,
            "bad_lines_file": self.bad_lines_file, "interrupted": self.interrupted,
            "backends": self.backends.iter().map(backend).collect::<Vec<_>>(),
            "exit_code": self.exit().code(),
        })
    }

    pub(super) fn text(&self) -> String {
        let mut out = format!("{} of {}", count(self.events, "event"), count(self.lines, "line"));
        if self.bad_lines > 0 {
            out.push_str(&format!(", {}", count(self.bad_lines, "bad line")));
        }
        if self.interrupted {
            out.push_str(", interrupted");
        }
        for BackendSummary { name, tally, .. } in &self.backends {
            out.push_str(&format!(
                "\n{name}: {} delivered, {} retried, {} rejected, {} undelivered",
                tally.delivered, tally.retried, tally.rejected, tally.undelivered
            ));
            if tally.lost > 0 {
                out.push_str(&format!(", {} of them lost", tally.lost));
            }
            let reasons = reasons(tally);
            for (outcome, reason, events) in reasons.iter().take(SHOWN) {
                out.push_str(&format!("\n  {events} {outcome}: {}", one_line(reason)));
            }
            if reasons.len() > SHOWN {
                out.push_str(&format!("\n  and {} more reasons, see --json", reasons.len() - SHOWN));
            }
            for file in [&tally.rejected_file, &tally.undelivered_file].into_iter().flatten() {
                out.push_str(&format!("\n  kept in {}", one_line(file)));
            }
        }
        if let Some(file) = &self.bad_lines_file {
            out.push_str(&format!("\nbad lines are kept in {}", one_line(file)));
        }
        out
    }
}

/// The most frequent first.
fn reasons(tally: &Tally) -> Vec<(&'static str, &str, u64)> {
    let mut reasons: Vec<_> =
        tally.reasons.iter().map(|((outcome, reason), events)| (*outcome, &**reason, *events)).collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.2));
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(change: impl FnOnce(&mut Summary)) -> Summary {
        let backend =
            BackendSummary { name: "main".to_owned(), plugin: None, error: None, tally: Tally::default() };
        let mut summary = Summary {
            lines: 2,
            events: 1,
            bad_lines: 0,
            bad_lines_file: None,
            interrupted: false,
            io_failed: false,
            backends: vec![backend],
        };
        change(&mut summary);
        summary
    }

    fn unusable(exit: Exit) -> Unusable {
        Unusable { exit, reason: "no".to_owned() }
    }

    #[test]
    fn each_trouble_has_its_code_and_the_gravest_is_told() {
        let mut all: Vec<fn(&mut Summary)> = vec![
            |s| s.bad_lines = 1,
            |s| s.backends[0].tally.rejected = 1,
            |s| s.backends[0].error = Some(unusable(Exit::Plugin)),
            |s| s.backends[0].error = Some(unusable(Exit::Config)),
            |s| s.interrupted = true,
            |s| s.io_failed = true,
        ];
        let expected =
            [Exit::BadLines, Exit::Events, Exit::Plugin, Exit::Config, Exit::Interrupted, Exit::Io];
        assert_eq!(summary(|_| ()).exit(), Exit::Done);
        for (change, expected) in all.iter().zip(expected) {
            assert_eq!(summary(*change).exit(), expected);
        }
        while !all.is_empty() {
            let summary = summary(|s| all.iter().for_each(|change| change(s)));
            assert_eq!(summary.exit(), expected[all.len() - 1]);
            all.pop();
        }
    }

    #[test]
    fn undelivered_unkept_and_unclosed_have_a_code_too() {
        assert_eq!(summary(|s| s.backends[0].tally.undelivered = 1).exit(), Exit::Events);
        assert_eq!(
            summary(|s| s.backends[0].tally.close_error = Some("late".to_owned())).exit(),
            Exit::Events
        );
        assert_eq!(summary(|s| s.backends[0].tally.file_errors.push("full".to_owned())).exit(), Exit::Io);
    }

    #[test]
    fn the_most_frequent_reasons_come_first() {
        let summary = summary(|s| {
            let tally = &mut s.backends[0].tally;
            tally.rejected = 10;
            tally.rejected_file = Some("/x".to_owned());
            for (reason, events) in [("a", 1), ("b", 4), ("c", 3), ("d", 2)] {
                tally.reasons.insert(("rejected", reason.into()), events);
            }
        });
        let expected = "1 event of 2 lines\nmain: 0 delivered, 0 retried, 10 rejected, 0 undelivered\n  4 rejected: b\n  \
                        3 rejected: c\n  2 rejected: d\n  and 1 more reasons, see --json\n  kept in /x";
        assert_eq!(summary.text(), expected);
        assert_eq!(
            summary.json()["backends"][0]["reasons"][3],
            serde_json::json!({"outcome": "rejected", "reason": "a", "events": 1})
        );
        assert_eq!(summary.json()["exit_code"], 6);
    }
}
