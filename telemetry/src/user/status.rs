//! What is so at this moment, for people and scripts.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::atomic::Ordering, time::Duration};

use serde::Serialize;

use crate::api::telemetry::Telemetry;
use crate::consent::consent::Collection;
use crate::delivery::target::Target;
use crate::detached;
use crate::files::writable;
use crate::instance::select_backends::Selected;
use crate::instance::settings::{Deliver, Settings};
use crate::process::plural::events;

/// What is so at this moment. As JSON it has the members of these fields; its text is what `telemetry status` prints.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The tool.
    pub tool: String,
    /// `disabled`, `enabled` or `enabled (local-only)`.
    pub telemetry: &'static str,
    /// Which variable, file or author decided.
    pub because: String,
    /// A remark on a variable that is set and does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// The pseudonymous id of this machine for this tool.
    pub machine_id: String,
    /// What events say of the user.
    pub collects: &'static str,
    /// Which backends are in force, and why.
    pub backend: String,
    /// Each of them.
    pub backends: Vec<BackendStatus>,
    /// Where events wait; `None` where there is no home folder.
    pub folder: Option<PathBuf>,
    /// Events that some backend is not done with.
    pub events: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Seconds since before the oldest of them was recorded.
    pub oldest_s: Option<u64>,
    /// Events of the other sort, which these backends do not get: with `TELEMETRY_LOCAL` those of runs without it; else
    /// those of runs with it, which stay on this machine.
    pub set_apart: u64,
    /// Events lost so far, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Events that backends refused for good.
    pub quarantined: u64,
    /// When events leave, and how.
    pub delivery: String,
    /// Whether a child process delivers now, for tools that have ended.
    pub delivering: bool,
    /// What is wrong with the folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// One backend, as far as past runs tell.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BackendStatus {
    /// What it is called.
    pub name: String,
    /// Events that wait for it.
    pub waiting: u64,
    /// Events that it took, as noted at the end of each delivery and every 250 ms of a long one: what a process that was
    /// killed in between delivered is missing here, and nowhere else.
    pub delivered: u64,
    /// Events that it refused for good.
    pub rejected: u64,
    /// Events that did not reach it and are not kept, with *at most once*.
    pub lost: u64,
    /// Seconds since it took the last one.
    pub last_delivery_s: Option<u64>,
    /// What went wrong last, unless something was delivered since.
    pub last_error: Option<String>,
    /// Seconds since then.
    pub last_error_s: Option<u64>,
    /// Seconds until it is tried again, after it failed.
    pub paused_s: Option<u64>,
    /// Why it is not what the configuration says, since a reload of a service could not have that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_swapped: Option<String>,
}

impl Telemetry {
    /// What is so at this moment. Opens no backend, and writes nothing.
    #[must_use]
    pub fn status(&self) -> Status {
        let context = self.context();
        let consent = context.consent.read();
        let Selected { targets, info } = context.select();
        let now = context.now_ms();
        let ago = |ms: u64| now.saturating_sub(ms) / 1000;
        let local = info.stays_here(consent.collection);
        let stats =
            |local| context.spools.as_ref().map(|spools| spools.get(local).stats()).unwrap_or_default();
        let (spool, other) = (stats(local), stats(!local));
        let states = context.states().map(|states| states.load()).unwrap_or_default();
        let mut names = info.backends.clone();
        // What is open stays so whatever the configuration says, until a reload.
        for name in self.instance().scheduler().backends().views(|backend| backend.target.name.clone()) {
            let has_events = info.backends.is_empty() || spool.backends.contains_key(&name);
            if has_events && !names.contains(&name) {
                names.push(name);
            }
        }
        let backends = names.iter().map(|name| {
            let state = states.get(name).cloned().unwrap_or_default();
            BackendStatus {
                name: name.clone(),
                // Before the first delivery everything waits for everybody.
                waiting: spool.backends.get(name).map_or(spool.events, |backend| backend.events),
                delivered: state.delivered,
                rejected: state.rejected,
                lost: state.lost,
                last_delivery_s: state.last_delivery_ms.map(ago),
                last_error_s: state.last_problem.as_ref().map(|problem| ago(problem.at_ms)),
                last_error: state.last_problem.map(|problem| problem.reason),
                paused_s: state.circuit.open_for(now).map(|pause| pause.as_secs() + 1),
                not_swapped: state.not_swapped.map(|problem| problem.reason),
            }
        });
        let backends = backends.collect();
        let mut dropped = BTreeMap::new();
        for (reason, number) in spool.drops.iter().chain(&other.drops) {
            *dropped.entry(reason.to_string()).or_default() += number;
        }
        let homeless = context.homeless.load(Ordering::Relaxed);
        if homeless > 0 {
            dropped.insert("no folder".to_owned(), homeless);
        }
        let mut problems: Vec<String> = spool.refused.into_iter().chain(other.refused).collect();
        // What is wrong with the folder around them is wrong with both.
        problems.dedup();
        if problems.is_empty()
            && context.enabled
            && consent.is_enabled()
            && let Some(spools) = &context.spools
        {
            problems.extend(writable::problem(spools.get(local).folder()));
        }
        if context.data.is_none() {
            problems.push("there is no folder to keep events in (is HOME set?)".to_owned());
        }
        let foreign = [spool.foreign, other.foreign].concat();
        if !foreign.is_empty() {
            let files = foreign.join(", ");
            problems.push(format!("files of another version are left alone: {files}"));
        }
        let (telemetry, because) = if context.enabled {
            (collection_text(consent.collection), consent.why.to_string())
        } else {
            (collection_text(Collection::Off), "turned off by the tool's author".to_owned())
        };
        Status {
            tool: context.settings.tool.clone(),
            // With backends that are configured, nothing is local about it.
            telemetry: if info.ignores_local && context.enabled { "enabled" } else { telemetry },
            because,
            remark: consent.ignored.map(|variable| {
                format!("{variable} does not count: all tools read it, and this one asks for its own")
            }),
            machine_id: context.machine_id().peek().id,
            collects: collects(context.settings.extended),
            backend: info.to_string(),
            backends,
            folder: context.spools.as_ref().map(|spools| spools.get(local).folder().to_owned()),
            events: spool.events,
            bytes: spool.bytes,
            oldest_s: spool.oldest_ms.map(ago),
            set_apart: other.events,
            dropped,
            quarantined: spool.rejected + other.rejected,
            delivery: delivery_text(&context.settings, &targets),
            delivering: context.trusted_data().is_some_and(|data| detached::lock::is_delivering(data, local)),
            problems,
        }
    }
}

fn delivery_text(settings: &Settings, targets: &[Target]) -> String {
    match (settings.deliver, detached::spawn::obstacle(settings, targets)) {
        (Deliver::Detached { lifetime, .. }, None) => {
            format!("when the tool has ended, by a child process of at most {lifetime:?}")
        }
        (Deliver::Detached { within, .. }, Some(obstacle)) => {
            format!("when the tool ends, for at most {within:?}, as no child process can be had: {obstacle}")
        }
        (Deliver::AtExit { within }, _) => format!("when the tool ends, for at most {within:?}"),
        (Deliver::InBackground { interval, events, .. }, _) => {
            format!("while the tool runs, after {interval:?} or {events} events")
        }
        (Deliver::ByHand, _) => "when the tool's code says so".to_owned(),
    }
}

fn collects(extended: bool) -> &'static str {
    if extended {
        "usage, and arguments and error messages with secrets removed (they may contain names of files)"
    } else {
        "usage (commands, durations, exit codes, versions); no arguments, no error messages"
    }
}

fn collection_text(collection: Collection) -> &'static str {
    match collection {
        Collection::Off => "disabled",
        Collection::LocalOnly => "enabled (local-only)",
        Collection::On => "enabled",
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Telemetry: {}", self.telemetry)?;
        writeln!(f, "Because: {}", self.because)?;
        if let Some(remark) = &self.remark {
            writeln!(f, "Note: {remark}")?;
        }
        writeln!(f, "Machine ID: {}", self.machine_id)?;
        writeln!(f, "Collects: {}", self.collects)?;
        writeln!(f, "Backend: {}", self.backend)?;
        for backend in &self.backends {
            write!(f, "  {}: {} waiting, {} delivered", backend.name, backend.waiting, backend.delivered)?;
            for (number, what) in [(backend.rejected, "rejected"), (backend.lost, "lost")] {
                if number > 0 {
                    write!(f, ", {number} {what}")?;
                }
            }
            if let Some(seconds) = backend.last_delivery_s {
                write!(f, ", last delivery {} ago", span(seconds))?;
            }
            writeln!(f)?;
            if let (Some(error), Some(seconds)) = (&backend.last_error, backend.last_error_s) {
                write!(f, "    last error {} ago: {error}", span(seconds))?;
                if let Some(seconds) = backend.paused_s {
                    write!(f, "; tried again in {}", span(seconds))?;
                }
                writeln!(f)?;
            }
            if let Some(reason) = &backend.not_swapped {
                writeln!(f, "    not as configured: {reason}")?;
            }
        }
        write!(f, "Waiting: {}, {} bytes", events(self.events), self.bytes)?;
        if let Some(seconds) = self.oldest_s {
            write!(f, ", the oldest from {} ago", span(seconds))?;
        }
        match &self.folder {
            Some(folder) => writeln!(f, ", in {}", folder.display())?,
            None => writeln!(f)?,
        }
        if self.set_apart > 0 {
            let events = events(self.set_apart);
            writeln!(f, "Set apart: {events}, which these backends do not get (see TELEMETRY_LOCAL)")?;
        }
        if self.dropped.is_empty() {
            writeln!(f, "Dropped: none")?;
        } else {
            let reasons: Vec<_> = self.dropped.iter().map(|(reason, n)| format!("{n} ({reason})")).collect();
            writeln!(f, "Dropped: {}", reasons.join(", "))?;
        }
        writeln!(f, "Quarantine: {}", events(self.quarantined))?;
        write!(f, "Delivery: {}", self.delivery)?;
        if self.delivering {
            write!(f, "; a child process delivers now")?;
        }
        for problem in &self.problems {
            write!(f, "\nProblem: {problem}")?;
        }
        Ok(())
    }
}

/// A time for people, in its largest unit.
fn span(seconds: u64) -> String {
    match Duration::from_secs(seconds).as_secs() {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
