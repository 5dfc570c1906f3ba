//! All that is known of one backend.

use std::{sync::Arc, time::Instant};

use crate::delivery::backend_state::{BackendState, Problem};
use crate::delivery::progress::Progress;
use crate::delivery::target::Target;

/// What is known of one backend.
#[derive(Debug)]
pub(super) struct BackendHandle {
    /// Tells it from an earlier one with the same name.
    pub(super) id: u64,
    /// How it is configured, and its plugin once it is open.
    pub(super) target: Arc<Target>,
    /// What is kept of it on disk.
    pub(super) state: BackendState,
    /// Whether the configuration has changed since the last pass.
    pub(super) reconfigured: bool,
    pub(super) progress: Progress,
    pub(super) work: Work,
    /// Whether it has a thread.
    pub(super) has_worker: bool,
    /// What becomes of it once its worker has settled the batch that it has in hand.
    pub(super) command: Option<BackendCommand>,
    pub(super) swaps: u64,
    pub(super) refusal: Option<Refusal>,
}

/// What a backend has to do in the pass that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// It is to be given what waits for it.
    Due,
    /// Its worker is told so.
    Assigned,
    /// Its worker is at it; whether there may be more by now than it has seen.
    Running { look_again: bool },
    /// All that was there is settled.
    Emptied,
    /// It is left alone until then.
    Paused(Instant),
    /// It gets nothing more in this pass.
    Over,
}

impl Work {
    pub(super) fn is_under_way(self) -> bool {
        matches!(self, Self::Assigned | Self::Running { .. })
    }
}

/// What becomes of a backend between two batches.
#[derive(Debug)]
pub(super) enum BackendCommand {
    /// This one takes its place.
    Replace(Arc<Target>),
    /// It gets nothing more.
    Leave,
}

/// Why a backend is not what the configuration says, since the last reload.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) problem: Problem,
    /// Whether the problem is over once the backend is open.
    pub(crate) until_open: bool,
}

impl BackendHandle {
    pub(super) fn new(id: u64, target: Arc<Target>) -> Self {
        Self {
            id,
            target,
            state: BackendState::default(),
            reconfigured: false,
            progress: Progress::default(),
            work: Work::Due,
            has_worker: false,
            command: None,
            swaps: 0,
            refusal: None,
        }
    }

    /// The backend as it is configured; `None` when it leaves.
    pub(super) fn configured(&self) -> Option<&Arc<Target>> {
        match &self.command {
            None => Some(&self.target),
            Some(BackendCommand::Replace(target)) => Some(target),
            Some(BackendCommand::Leave) => None,
        }
    }

    /// Why it is not what the configuration says.
    pub(super) fn problem(&self) -> Option<&Problem> {
        let refusal = self.refusal.as_ref()?;
        let is_open = || self.configured().is_some_and(|target| target.opened().is_some());
        (!refusal.until_open || !is_open()).then_some(&refusal.problem)
    }

    /// Its state as it is kept.
    pub(super) fn kept(&self) -> BackendState {
        BackendState { not_swapped: self.problem().cloned(), ..self.state.clone() }
    }
}
