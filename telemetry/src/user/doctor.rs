//! Checks of everything that delivery needs, with advice.

use std::{fmt, time::Duration};

use jackfield_loader::{ForeignText, Layout, MOST_CRASHES, count, plugin_api::Probe, show_path};
use serde::Serialize;

use crate::api::telemetry::Telemetry;
use crate::consent::consent::Collection;
use crate::delivery::configured_backend::ConfiguredBackend;
use crate::error::Error;
use crate::files;
use crate::instance::select_backends::SelectionReason;
use crate::spool::handle::Spool;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The subject of the check: `consent`, `folder`, `delivery`, `crashes`, `backends`, `plugins`, or `backend NAME`.
    pub what: String,
    /// How serious the finding is.
    pub verdict: Verdict,
    /// One line: the state, and what to do.
    pub detail: ForeignText,
}

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong.
    Fine,
    /// A remark; nothing is wrong.
    Note,
    /// Something is wrong: events are lost, or wait.
    Wrong,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Fine => "ok",
            Verdict::Note => "note",
            Verdict::Wrong => "WRONG",
        };
        write!(f, "{verdict:<5} {}: {}", self.what, self.detail)
    }
}

impl Telemetry {
    /// Checks everything that delivery needs: consent, folder, each backend. With consent, a missing folder is made, and a
    /// small file is written to it and removed. With consent, each backend is opened and probes its platform. Without
    /// consent nothing leaves the machine, and the finding says so.
    #[must_use]
    pub fn doctor(&self) -> Vec<Finding> {
        let context = self.context();
        let status = self.status();
        let mut findings = Vec::new();
        let mut add = |what: &str, verdict, detail: String| {
            findings.push(Finding { what: what.to_owned(), verdict, detail: detail.into() });
        };
        let verdict = if status.telemetry == "disabled" { Verdict::Note } else { Verdict::Fine };
        add("consent", verdict, format!("{}: {}", status.telemetry, status.because));
        let folder = status.folder.as_ref().map(|folder| show_path(folder).to_string()).unwrap_or_default();
        let collection = context.consent.read().collection;
        let on = context.enabled && collection != Collection::Off;
        // Without consent no folder is made.
        let local = context.select().info.stays_here(collection);
        let spool = context.spools.as_ref().filter(|_| on).map(|spools| spools.get(local));
        let tried = spool.map_or(Ok(()), Spool::try_to_write);
        for problem in &status.problems {
            add("folder", Verdict::Wrong, format!("{folder}: {problem}"));
        }
        if let Err(error) = &tried {
            let detail = match error {
                Error::Spool { error: cause, .. } => {
                    let waits = spool.is_some_and(Spool::refuses_when_full);
                    format!("{error}; {}", files::write_hint(cause.kind(), waits))
                }
                error => error.to_string(),
            };
            add("folder", Verdict::Wrong, detail);
        }
        if status.problems.is_empty() && tried.is_ok() {
            let events = count(status.events, "event");
            let detail = format!("{folder}: {events} waiting, {} bytes", status.bytes);
            add("folder", Verdict::Fine, detail);
        }
        if !status.dropped.is_empty() {
            add("dropped", Verdict::Note, format!("events lost so far: {}", status.dropped_text()));
        }
        if status.dead_letters > 0 {
            let detail = format!(
                "{} refused for good; `show` has the reasons, `resend` sends them again",
                count(status.dead_letters, "event")
            );
            add("dead_letters", Verdict::Note, detail);
        }
        let now = if status.delivering { "; a child process delivers now" } else { "" };
        add("delivery", Verdict::Fine, format!("{}{now}", status.delivery));
        for crash in context.crashes() {
            let verdict = if crash.count >= MOST_CRASHES { Verdict::Wrong } else { Verdict::Note };
            let detail = format!(
                "{} crashed {} in a row, the last time {}: it is tried again later, or left alone after {MOST_CRASHES} until it \
                 changes; get another version from its vendor",
                show_path(&crash.plugin),
                times(crash.count),
                crash.how
            );
            add("crashes", verdict, detail);
        }
        let mut selected = context.select_for(if on { collection } else { Collection::On });
        let verdict = match &selected.info.why {
            SelectionReason::Broken(_) => Verdict::Wrong,
            SelectionReason::Nothing => Verdict::Note,
            _ => Verdict::Fine,
        };
        add("backends", verdict, selected.info.to_string());
        if Layout::HOST == Layout::ByDigest && selected.targets.iter().any(ConfiguredBackend::is_library) {
            let detail =
                "their tables are judged by digest and sizes: this tool is built without type layouts";
            add("plugins", Verdict::Note, detail.to_owned());
        }
        for target in &mut selected.targets {
            let (verdict, detail) = if on { probe(target) } else { loads(target) };
            let detail = if target.is_built_in() { format!("built in; {detail}") } else { detail };
            add(&format!("backend {}", target.name), verdict, target.conceal(&detail));
        }
        findings
    }
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn probe(target: &mut ConfiguredBackend) -> (Verdict, String) {
    let answer = match target.open(target.options.opening_limit()) {
        Ok(backend) => match backend.probe(target.options.timeout) {
            Probe::Reachable(text) => (Verdict::Fine, or(text, "its platform answers")),
            Probe::Unreachable(text) => {
                (Verdict::Wrong, or(text, "its platform can't be reached; events wait"))
            }
            Probe::Refused(text) => (Verdict::Wrong, or(text, "its platform does not accept it")),
            Probe::Unsupported(text) => {
                (Verdict::Note, or(text, "it opens; it has no way to find out more without an event"))
            }
        },
        Err(error) => (Verdict::Wrong, format!("{}; events wait", target.explained(error))),
    };
    target.close(Duration::from_secs(1));
    answer
}

/// Whether the backend's plugin can be found, without opening it.
fn loads(target: &ConfiguredBackend) -> (Verdict, String) {
    match target.locate() {
        Ok(()) => (Verdict::Note, "there; not asked without consent".to_owned()),
        Err(error) => (Verdict::Wrong, target.explained(error).to_string()),
    }
}

fn or(text: String, default: &str) -> String {
    if text.is_empty() { default.to_owned() } else { text }
}
