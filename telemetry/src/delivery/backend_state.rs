//! What is known of each backend from one process to the next: its circuit, its last delivery, its last problem.
//!
//! `backends.v1.json` in the data folder, one JSON object, replaced as a whole. It is a memory aid: when it is missing or
//! damaged, every backend is tried as if nothing had happened.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use jackfield_loader::files::{self, Access, Mode, Survives};
use serde::{Deserialize, Serialize};

use crate::delivery::circuit_breaker::Circuit;
use crate::delivery::open_backend::OpenError;
use crate::delivery::settle::Settlement;

/// What is known of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackendState {
    #[serde(default)]
    pub(crate) circuit: Circuit,
    /// Of the configuration that the circuit is about.
    #[serde(default)]
    pub(crate) fingerprint: String,
    /// When it last took an event, in milliseconds since 1970.
    #[serde(default)]
    pub last_delivery_ms: Option<u64>,
    /// What went wrong last, unless something was delivered since.
    #[serde(default)]
    pub last_problem: Option<Problem>,
    /// Why it is not what the configuration says, since a reload could not have that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_swapped: Option<Problem>,
    /// Events that it took. Noted at the end of a delivery, and every 250 ms of a long one.
    #[serde(default)]
    pub delivered: u64,
    /// Events that it refused for good.
    #[serde(default)]
    pub rejected: u64,
    /// Events that did not reach it and are not kept, which is what *at most once* means.
    #[serde(default)]
    pub lost: u64,
}

impl BackendState {
    /// Notes what an attempt has come to, but for the numbers of events.
    pub(super) fn settled(&mut self, settlement: &Settlement, now_ms: u64) {
        if settlement.delivered > 0 {
            self.last_delivery_ms = Some(now_ms);
        }
        let problem = match (&settlement.failure, &settlement.last_rejection) {
            (Some(failure), _) => Some(failure.reason.to_string()),
            (None, Some(reason)) => Some(format!("rejected: {reason}")),
            (None, None) => None,
        };
        if problem.is_some() || settlement.is_progress() {
            self.last_problem = problem.map(|reason| Problem { at_ms: now_ms, reason });
        }
        self.circuit.settled(settlement, now_ms);
    }

    /// Notes that the backend can't be opened, and why.
    pub(super) fn not_opened(&mut self, error: &OpenError, now_ms: u64) {
        self.last_problem = Some(Problem { at_ms: now_ms, reason: error.to_string() });
        self.circuit.not_opened(error, now_ms);
    }
}

/// What went wrong with a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What, in one line.
    pub reason: String,
}

/// The states of all backends, and where they are kept.
#[derive(Debug)]
pub(crate) struct States {
    file: PathBuf,
}

/// What may be read of a file that ought to have a few hundred bytes.
const LONGEST: u64 = 1 << 20;

impl States {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { file: folder.join("backends.v1.json") }
    }

    pub(crate) fn load(&self) -> BTreeMap<String, BackendState> {
        let read = || -> Option<BTreeMap<String, BackendState>> {
            serde_json::from_str(&files::read(&self.file, Access::Read, LONGEST).ok()?).ok()
        };
        read().unwrap_or_default()
    }

    /// Keeps the states. What can't be kept costs an attempt too many in the next process, and nothing else.
    pub(crate) fn save(&self, states: &BTreeMap<String, BackendState>) -> io::Result<()> {
        files::replace(&self.file, &serde_json::to_vec(states)?, Mode::Private, Survives::Crash)
    }

    pub(crate) fn forget(&self) -> io::Result<()> {
        files::remove(&self.file)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn fifos_in_the_places_of_the_states_and_of_the_lock_of_calls_are_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["backends.v1.json", "sending.lock"] {
            let made = std::process::Command::new("mkfifo").arg(folder.path().join(name)).status();
            assert!(made.expect("mkfifo").success());
        }
        assert!(States::new(folder.path()).load().is_empty());
        let sending = crate::delivery::in_flight_lock::Sending::new(folder.path());
        assert!(sending.wait_for_end(std::time::Instant::now()));
    }

    #[test]
    fn states_come_back_and_a_damaged_file_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let states = States::new(folder.path());
        assert!(states.load().is_empty());
        let mut known = BTreeMap::new();
        let state = BackendState { delivered: 3, last_delivery_ms: Some(7), ..BackendState::default() };
        known.insert("a".to_owned(), state);
        states.save(&known).expect("writable");
        assert_eq!(states.load(), known);
        fs::write(&states.file, "{\"a\":").expect("writable");
        assert!(states.load().is_empty());
        states.forget().expect("removable");
        states.forget().expect("gone already");
    }
}
