//! The state of each backend that processes share: its circuit, its last delivery, its last problem.
//!
//! It is in `backends.v1.json` in the data folder, one JSON object, replaced as a whole. When the file is missing or damaged,
//! every backend is tried as if nothing had happened. When it can't be written, as on a full disk, this process goes by what
//! it would have written.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use jackfield_loader::{
    ForeignText,
    files::{self, Access, Mode, Survives},
};
use serde::{Deserialize, Serialize};

use crate::delivery::circuit_breaker::CircuitBreaker;
use crate::delivery::configured_backend::ConfiguredBackend;
use crate::delivery::open_backend::OpenError;
use crate::delivery::outage::{Outage, OutageNews};
use crate::delivery::settle::Settlement;
use crate::files::Stamp;
use crate::process::lock;

/// The state of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackendState {
    #[serde(default)]
    pub(crate) circuit: CircuitBreaker,
    /// The fingerprint of the configuration that the circuit belongs to.
    #[serde(default)]
    pub(crate) fingerprint: String,
    /// The outage, while the backend is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outage: Option<Outage>,
    /// The time of the last delivered event, in milliseconds since 1970.
    #[serde(default)]
    pub last_delivery_ms: Option<u64>,
    /// The last failure, unless an event was delivered since.
    #[serde(default)]
    pub last_problem: Option<Problem>,
    /// Why a reload could not swap the backend to what the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_swapped: Option<Problem>,
    /// The number of delivered events. It is written at the end of a delivery, and every 250 ms of a long one.
    #[serde(default)]
    pub delivered: u64,
    /// The number of rejected events.
    #[serde(default)]
    pub rejected: u64,
    /// The number of events that may have arrived and are not kept, with *at most once*.
    #[serde(default)]
    pub lost: u64,
}

impl BackendState {
    /// Applies the result of an attempt, except for the numbers of events.
    pub(super) fn settled(&mut self, settlement: &Settlement, now_ms: u64, longest: Duration) -> OutageNews {
        if settlement.delivered > 0 {
            self.last_delivery_ms = Some(now_ms);
        }
        let problem = match (&settlement.failure, &settlement.last_rejection) {
            (Some(failure), _) => Some(ForeignText::from(&*failure.reason)),
            (None, Some(reason)) => Some(format!("rejected: {reason}").into()),
            (None, None) => None,
        };
        if problem.is_some() || settlement.is_progress() {
            self.last_problem = problem.map(|reason| Problem { at_ms: now_ms, reason });
        }
        self.circuit.settled(settlement, now_ms, longest);
        match (settlement.is_progress(), &settlement.failure) {
            (true, None) => {
                Outage::ends(&mut self.outage, settlement.delivered + settlement.rejected, now_ms)
            }
            (false, Some(failure)) => self.fails(ForeignText::from(&*failure.reason), now_ms),
            // A backend that takes some events and fails with others is neither down nor back.
            _ => OutageNews::Nothing,
        }
    }

    /// What stays of a backend that leaves.
    pub(super) fn numbers(&self) -> Self {
        let Self { last_delivery_ms, delivered, rejected, lost, .. } = *self;
        Self { last_delivery_ms, delivered, rejected, lost, ..Self::default() }
    }

    /// Sets the fingerprint of the configuration. With another one, the circuit is closed.
    pub(super) fn is_of(&mut self, fingerprint: &str) {
        if self.fingerprint != fingerprint {
            self.circuit.close();
            fingerprint.clone_into(&mut self.fingerprint);
        }
    }

    /// Applies a failure to open the backend.
    pub(super) fn not_opened(&mut self, error: &OpenError, now_ms: u64, longest: Duration) -> OutageNews {
        let reason = ForeignText::from(error.to_string());
        self.last_problem = Some(Problem { at_ms: now_ms, reason: reason.clone() });
        self.circuit.not_opened(error, now_ms, longest);
        self.fails(reason, now_ms)
    }

    fn fails(&mut self, reason: ForeignText, now_ms: u64) -> OutageNews {
        Outage::fails(&mut self.outage, reason, self.circuit.open_for(now_ms), now_ms)
    }
}

/// A failure of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// The time, in milliseconds since 1970.
    pub at_ms: u64,
    /// The reason.
    pub reason: ForeignText,
}

/// The file with the states of all backends.
#[derive(Debug)]
pub(crate) struct States {
    file: PathBuf,
    /// The stamp of the file at the last read or write; `None` when the file was missing.
    seen: Mutex<Option<Stamp>>,
    unwritten: Arc<Unwritten>,
}

/// The states that this process could not write.
#[derive(Debug, Default)]
pub(crate) struct Unwritten(Mutex<Option<UnwrittenStates>>);

#[derive(Debug)]
struct UnwrittenStates {
    states: BTreeMap<String, BackendState>,
    /// The stamp of the file at that time. When the file has changed since, another process has written it.
    stamp: Option<Stamp>,
}

/// The most bytes that are read. The file normally has a few hundred.
const LONGEST: u64 = 1 << 20;

impl States {
    pub(crate) fn new(folder: &Path, unwritten: &Arc<Unwritten>) -> Self {
        let (file, seen) = (folder.join("backends.v1.json"), Mutex::default());
        Self { file, seen, unwritten: Arc::clone(unwritten) }
    }

    pub(crate) fn load(&self) -> BTreeMap<String, BackendState> {
        let stamp = self.see();
        if let Some(unwritten) = lock(&self.unwritten.0).as_ref().filter(|unwritten| unwritten.stamp == stamp)
        {
            return unwritten.states.clone();
        }
        let text = files::read(&self.file, Access::Read, LONGEST).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The states, if another process has written them since the last read or write.
    pub(super) fn load_if_changed(&self) -> Option<BTreeMap<String, BackendState>> {
        let seen = *lock(&self.seen);
        (seen != Stamp::of_file(&self.file)).then(|| self.load())
    }

    fn see(&self) -> Option<Stamp> {
        let stamp = Stamp::of_file(&self.file);
        *lock(&self.seen) = stamp;
        stamp
    }

    /// Writes the states. After a failure, the next process makes one attempt too many.
    pub(crate) fn keep(&self, states: &BTreeMap<String, BackendState>) {
        let unwritten = match self.save(states) {
            Ok(()) => {
                self.see();
                None
            }
            Err(error) => {
                tracing::debug!("the state of the backends is not kept: {error}");
                Some(UnwrittenStates { states: states.clone(), stamp: Stamp::of_file(&self.file) })
            }
        };
        *lock(&self.unwritten.0) = unwritten;
    }

    /// Writes the states if they differ from the `known` ones, or those could not be written.
    pub(super) fn keep_changes(
        &self,
        states: &BTreeMap<String, BackendState>,
        known: &BTreeMap<String, BackendState>,
    ) {
        if states != known || lock(&self.unwritten.0).is_some() {
            self.keep(states);
        }
    }

    /// Closes the circuits in the file.
    pub(crate) fn retry(&self) {
        let mut states = self.load();
        if states.values().any(|state| state.circuit.has_failures()) {
            states.values_mut().for_each(|state| state.circuit.close());
            self.keep(&states);
        }
    }

    fn save(&self, states: &BTreeMap<String, BackendState>) -> io::Result<()> {
        files::replace(&self.file, &serde_json::to_vec(states)?, Mode::Private, Survives::Crash)
    }

    pub(crate) fn forget(&self) -> io::Result<()> {
        *lock(&self.unwritten.0) = None;
        files::remove(&self.file)
    }
}

/// The names of the backends that may be tried at `now_ms`.
pub(crate) fn due<'a>(targets: &'a [ConfiguredBackend], states: &States, now_ms: u64) -> Vec<&'a str> {
    let mut known = states.load();
    let is_due = |target: &&ConfiguredBackend| match known.get_mut(&target.name) {
        Some(state) => {
            state.is_of(&target.fingerprint());
            state.circuit.open_for(now_ms).is_none()
        }
        None => true,
    };
    targets.iter().filter(is_due).map(|target| target.name.as_str()).collect()
}
