//! The last status, for the threads that serve connections.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::history::{History, Sample};
use crate::run_state::Snapshot;

#[derive(Default)]
pub(super) struct Board(Mutex<Published>);

#[derive(Default)]
struct Published {
    /// The last status, and when it came; `None` while the backends are being opened.
    last: Option<(Arc<Snapshot>, Instant)>,
    history: History,
}

/// What the board shows at one moment.
pub(super) struct View {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) age: Duration,
}

impl Board {
    pub(super) fn publish(&self, snapshot: Arc<Snapshot>) {
        let mut published = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        published.history.add(&snapshot, now);
        published.last = Some((snapshot, now));
    }

    pub(super) fn view(&self) -> Option<View> {
        let published = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (snapshot, at) = published.last.as_ref()?;
        Some(View { snapshot: Arc::clone(snapshot), age: at.elapsed() })
    }

    /// The samples of the last hour, the oldest first.
    pub(super) fn history(&self) -> Vec<Sample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).history.samples().cloned().collect()
    }
}
