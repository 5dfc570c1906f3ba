//! The summary of a run, as text and as JSON.

use jackfield_loader::count;
use serde_json::{Value, json};
use tracing::Level;

use super::worker::BackendSummary;
use crate::{console::one_line, exit::Exit};

/// A finished run.
pub(super) struct Summary {
    /// Lines that were read to their end.
    pub(super) lines: u64,
    pub(super) events: u64,
    pub(super) bad_lines: u64,
    pub(super) bad_lines_file: Option<String>,
    pub(super) interrupted: bool,
    /// Whether the input could not be read, or a bad line could not be written.
    pub(super) io_failed: bool,
    pub(super) backends: Vec<BackendSummary>,
}

/// The number of reasons that the text has for a backend.
const SHOWN: usize = 3;

impl Summary {
    pub(super) fn exit(&self) -> Exit {
        let if_true = |applies: bool, exit: Exit| if applies { exit } else { Exit::Done };
        let any = |applies: fn(&BackendSummary) -> bool| self.backends.iter().any(applies);
        let not_delivered = any(|it| it.rejected + it.undelivered > 0 || it.close_error.is_some());
        let io = self.io_failed || any(|it| !it.errors.is_empty());
        let own = [
            if_true(self.bad_lines > 0, Exit::BadLines),
            if_true(not_delivered, Exit::Events),
            if_true(self.interrupted, Exit::Interrupted),
            if_true(io, Exit::Io),
        ];
        own.into_iter()
            .chain(self.backends.iter().filter_map(|backend| backend.exit))
            .max()
            .unwrap_or(Exit::Done)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "lines": self.lines, "events": self.events, "bad_lines": self.bad_lines,
            "bad_lines_file": self.bad_lines_file, "interrupted": self.interrupted,
            "backends": self.backends, "exit_code": self.exit().code(),
        })
    }

    /// The parts of the text, each with its level and the backend that it is about.
    pub(super) fn parts(&self) -> Vec<(Level, Option<&str>, String)> {
        let level = |loss: u64| if loss > 0 { Level::WARN } else { Level::INFO };
        let mut out = format!("{} of {}", count(self.events, "event"), count(self.lines, "line"));
        if self.bad_lines > 0 {
            out.push_str(&format!(", {}", count(self.bad_lines, "bad line")));
        }
        if self.interrupted {
            out.push_str(", interrupted");
        }
        let mut parts = vec![(level(self.bad_lines + u64::from(self.interrupted)), None, out)];
        for backend in &self.backends {
            let BackendSummary { name, delivered, retried, rejected, undelivered, .. } = backend;
            let mut out = format!(
                "{name}: {delivered} delivered, {retried} retried, {rejected} rejected, {undelivered} undelivered"
            );
            if backend.lost > 0 {
                out.push_str(&format!(", {} of them lost (in no file)", backend.lost));
            }
            for reason in backend.reasons.iter().take(SHOWN) {
                let text = one_line(&reason.reason);
                out.push_str(&format!("\n  {} {}: {text}", reason.events, reason.outcome));
            }
            if let Some(more @ 1..) = backend.reasons.len().checked_sub(SHOWN) {
                out.push_str(&format!("\n  and {}, see --json", count(more, "more reason")));
            }
            let kept = if backend.lost > 0 { "the rest is kept in" } else { "kept in" };
            for file in [&backend.rejected_file, &backend.undelivered_file].into_iter().flatten() {
                out.push_str(&format!("\n  {kept} {}", one_line(file)));
            }
            parts.push((level(rejected + undelivered), Some(name.as_str()), out));
        }
        if let Some(file) = &self.bad_lines_file {
            parts.push((Level::WARN, None, format!("bad lines are kept in {}", one_line(file))));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::worker::sorted;

    fn summary(change: impl FnOnce(&mut Summary)) -> Summary {
        let backend = BackendSummary { name: "main".to_owned(), ..BackendSummary::default() };
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

    #[test]
    fn the_gravest_problem_has_the_exit_code() {
        let mut all: Vec<fn(&mut Summary)> = vec![
            |s| s.bad_lines = 1,
            |s| s.backends[0].rejected = 1,
            |s| s.backends[0].exit = Some(Exit::Plugin),
            |s| s.backends[0].exit = Some(Exit::Config),
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
    fn undelivered_events_and_errors_have_a_code_too() {
        assert_eq!(summary(|s| s.backends[0].undelivered = 1).exit(), Exit::Events);
        assert_eq!(summary(|s| s.backends[0].close_error = Some("late".to_owned())).exit(), Exit::Events);
        assert_eq!(summary(|s| s.backends[0].errors.push("full".to_owned())).exit(), Exit::Io);
    }

    #[test]
    fn the_most_frequent_reasons_come_first() {
        let summary = summary(|s| {
            let backend = &mut s.backends[0];
            backend.rejected = 10;
            backend.rejected_file = Some("/x".to_owned());
            let counts = [("a", 1), ("b", 4), ("c", 3), ("d", 2)];
            let counts = counts.map(|(reason, events)| (("rejected", reason.into()), events));
            backend.reasons = sorted(counts.into(), str::to_owned);
        });
        let expected = "1 event of 2 lines\nmain: 0 delivered, 0 retried, 10 rejected, 0 undelivered\n  4 rejected: b\n  \
                        3 rejected: c\n  2 rejected: d\n  and 1 more reason, see --json\n  kept in /x";
        let parts: Vec<_> = summary.parts().into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(parts.join("\n"), expected);
        assert_eq!(
            summary.json()["backends"][0]["reasons"][3],
            serde_json::json!({"outcome": "rejected", "reason": "a", "events": 1})
        );
        assert_eq!(summary.json()["exit_code"], 6);
    }
}
