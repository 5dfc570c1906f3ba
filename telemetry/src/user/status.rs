//! The status of a telemetry, for people and scripts.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::atomic::Ordering};

use jackfield_loader::{ForeignText, count, show_path, span};
use serde::{Serialize, Serializer};

use crate::api::telemetry::Telemetry;
use crate::consent::consent::Collection;
use crate::consent::prompt::taken_out;
use crate::delivery::backend_state::BackendState;
use crate::delivery::configured_backend::ConfiguredBackend;
use crate::instance::select_backends::Selected;
use crate::instance::settings::{Deliver, Settings};
use crate::redact::personal::PersonalData;
use crate::{detached, files};

/// The status now. Its JSON has the members of these fields; its text is the output of `telemetry status`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The name of the tool.
    pub tool: ForeignText,
    /// `disabled`, `enabled` or `enabled (local-only)`.
    pub telemetry: &'static str,
    /// The variable, file or author that decided.
    pub because: String,
    /// A remark on a variable that is set and has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// The pseudonymous id of this machine for this tool.
    pub machine_id: String,
    /// What events contain.
    pub collects: String,
    /// The backends in force, and the reason.
    pub backend: String,
    /// The status of each backend.
    pub backends: Vec<BackendStatus>,
    /// The backends that this process had and that have left the configuration since. No event waits for them.
    #[serde(skip)]
    pub gone: Vec<BackendStatus>,
    /// The folder of the spool; `None` when there is no home folder.
    #[serde(serialize_with = "shown")]
    pub folder: Option<PathBuf>,
    /// Events that at least one backend has not settled.
    pub events: u64,
    /// Bytes of these events.
    pub bytes: u64,
    /// The greatest possible age of the oldest of them, in seconds.
    pub oldest_s: Option<u64>,
    /// Events in the other spool, which these backends do not get: with `TELEMETRY_LOCAL` the events of runs without it;
    /// otherwise the events of runs with it, which stay on this machine.
    pub set_apart: u64,
    /// Events lost so far, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// The one of these reasons whose number is the least possible.
    #[serde(skip)]
    pub(super) at_least: Option<String>,
    /// The number of dead letters.
    pub dead_letters: u64,
    /// When and how events leave the spool.
    pub delivery: String,
    /// Whether a detached child process delivers now.
    pub delivering: bool,
    /// The reason why the folder can't be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ForeignText>,
}

/// The status of one backend, from past runs.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BackendStatus {
    /// The name of the backend.
    pub name: String,
    /// Whether its plugin is the one that is built into the tool.
    pub built_in: bool,
    /// Why its plugin can't be found now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<ForeignText>,
    /// The number of events that wait for the backend.
    pub waiting: u64,
    /// The number of delivered events. It is written at the end of each delivery, and every 250 ms of a long one: it lacks the
    /// events of a process that was killed in between.
    pub delivered: u64,
    /// The number of rejected events.
    pub rejected: u64,
    /// The number of events that are lost, with *at most once*.
    pub lost: u64,
    /// Seconds since the last delivered event.
    pub last_delivery_s: Option<u64>,
    /// The last failure, unless an event was delivered since.
    pub last_error: Option<ForeignText>,
    /// Seconds since that failure.
    pub last_error_s: Option<u64>,
    /// Seconds until the next attempt, after a failure.
    pub paused_s: Option<u64>,
    /// Why a reload could not swap the backend to what the configuration says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_swapped: Option<ForeignText>,
}

/// JSON can't represent a path that is not UTF-8.
#[allow(clippy::ref_option, reason = "the form that serde asks for")]
fn shown<S: Serializer>(folder: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    folder.as_deref().map(show_path).serialize(serializer)
}

impl Telemetry {
    /// The status now. Opens no backend, and writes nothing.
    #[must_use]
    pub fn status(&self) -> Status {
        let context = self.context();
        let consent = context.consent.read();
        let Selected { targets, info, .. } = context.select();
        let now = context.now_ms();
        let ago = |ms: u64| now.saturating_sub(ms) / 1000;
        let local = info.stays_here(consent.collection);
        let stats =
            |local| context.spools.as_ref().map(|spools| spools.get(local).stats()).unwrap_or_default();
        let (spool, other) = (stats(local), stats(!local));
        let states = context.states().map(|states| states.load()).unwrap_or_default();
        let mut names = info.backends.clone();
        // An open backend stays until a reload, whatever the configuration says.
        for name in self.core().scheduler().backends().views(|backend| backend.target.name.clone()) {
            let has_events = info.backends.is_empty() || spool.backends.contains_key(&name);
            if has_events && !names.contains(&name) {
                names.push(name);
            }
        }
        let target = |name: &str| targets.iter().find(|target| target.name == *name);
        let backend = |name: &String, waiting: u64, state: BackendState| BackendStatus {
            name: name.clone(),
            built_in: target(name).is_some_and(ConfiguredBackend::is_built_in),
            missing: target(name).and_then(ConfiguredBackend::missing).map(|why| why.to_string().into()),
            waiting,
            delivered: state.delivered,
            rejected: state.rejected,
            lost: state.lost,
            last_delivery_s: state.last_delivery_ms.map(ago),
            last_error_s: state.last_problem.as_ref().map(|problem| ago(problem.at_ms)),
            last_error: state.last_problem.map(|problem| problem.reason),
            paused_s: state.circuit.open_for(now).map(|pause| pause.as_secs() + 1),
            not_swapped: state.not_swapped.map(|problem| problem.reason),
        };
        let gone = self.core().scheduler().backends().gone();
        let gone = gone.into_iter().filter(|(name, _)| !names.contains(name));
        let gone = gone.map(|(name, state)| backend(&name, 0, state)).collect();
        let backends = names.iter().map(|name| {
            // Before the first delivery all events wait for all backends.
            let waiting = spool.backends.get(name).map_or(spool.events, |waiting| waiting.events);
            backend(name, waiting, states.get(name).cloned().unwrap_or_default())
        });
        let backends = backends.collect();
        let (mut dropped, mut at_least) = (BTreeMap::new(), None);
        for (reason, number) in spool.drops.iter().chain(&other.drops) {
            *dropped.entry(reason.to_string()).or_default() += number;
            if reason.is_at_least() {
                at_least = Some(reason.to_string());
            }
        }
        let homeless = context.homeless.load(Ordering::Relaxed);
        if homeless > 0 {
            dropped.insert("no folder".to_owned(), homeless);
        }
        let mut problems: Vec<String> = spool.refused.into_iter().chain(other.refused).collect();
        // Both spools have the same data folder.
        problems.dedup();
        if problems.is_empty()
            && context.enabled
            && consent.is_enabled()
            && let Some(spools) = &context.spools
        {
            let spool = spools.get(local);
            problems.extend(files::write_obstacle(spool.folder(), spool.refuses_when_full()));
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
            tool: (&context.settings.tool).into(),
            // With configured backends the events are not local.
            telemetry: if info.ignores_local && context.enabled { "enabled" } else { telemetry },
            because,
            remark: consent.ignored.map(|variable| {
                format!("{variable} does not count: all tools read it, and this one asks for its own")
            }),
            machine_id: context.machine_id().peek().id,
            collects: collects(context.settings.extended()),
            backend: info.to_string(),
            backends,
            gone,
            folder: context.spools.as_ref().map(|spools| spools.get(local).folder().to_owned()),
            events: spool.events,
            bytes: spool.bytes,
            oldest_s: spool.oldest_ms.map(ago),
            set_apart: other.events,
            dropped,
            at_least,
            dead_letters: spool.rejected + other.rejected,
            delivery: delivery_text(&context.settings, &targets),
            delivering: context.trusted_data().is_some_and(|data| detached::lock::is_delivering(data, local)),
            problems: problems.into_iter().map(ForeignText::from).collect(),
        }
    }
}

fn delivery_text(settings: &Settings, targets: &[ConfiguredBackend]) -> String {
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

fn collects(extended: Option<PersonalData>) -> String {
    match extended {
        Some(personal_data) => format!(
            "usage, and arguments and error messages, {} (they may contain names of files)",
            taken_out(personal_data)
        ),
        None => {
            "usage (commands, durations, exit codes, versions); no arguments, no error messages".to_owned()
        }
    }
}

fn collection_text(collection: Collection) -> &'static str {
    match collection {
        Collection::Off => "disabled",
        Collection::LocalOnly => "enabled (local-only)",
        Collection::On => "enabled",
    }
}

impl Status {
    /// The numbers of lost events and their reasons.
    pub(super) fn dropped_text(&self) -> String {
        let least = |reason: &String| if self.at_least.as_ref() == Some(reason) { "at least " } else { "" };
        let reasons = self.dropped.iter().map(|(reason, n)| format!("{}{n} ({reason})", least(reason)));
        reasons.collect::<Vec<_>>().join(", ")
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
            if backend.built_in {
                write!(f, ", built in")?;
            }
            writeln!(f)?;
            if let Some(missing) = &backend.missing {
                writeln!(f, "    {missing}; its events wait")?;
            }
            let last_error =
                backend.last_error.as_ref().filter(|error| backend.missing.as_ref() != Some(*error));
            if let (Some(error), Some(seconds)) = (last_error, backend.last_error_s) {
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
        write!(f, "Waiting: {}, {} bytes", count(self.events, "event"), self.bytes)?;
        if let Some(seconds) = self.oldest_s {
            write!(f, ", the oldest from {} ago", span(seconds))?;
        }
        match &self.folder {
            Some(folder) => writeln!(f, ", in {}", show_path(folder))?,
            None => writeln!(f)?,
        }
        if self.set_apart > 0 {
            let events = count(self.set_apart, "event");
            writeln!(f, "Set apart: {events}, which these backends do not get (see TELEMETRY_LOCAL)")?;
        }
        if self.dropped.is_empty() {
            writeln!(f, "Dropped: none")?;
        } else {
            writeln!(f, "Dropped: {}", self.dropped_text())?;
        }
        writeln!(f, "Dead letters: {}", count(self.dead_letters, "event"))?;
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
