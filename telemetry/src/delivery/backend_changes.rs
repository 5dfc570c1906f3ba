//! The one place that applies a reload to the backends.
//!
//! An idle backend is swapped or removed at once. A backend whose worker sends a batch gets a command, which the worker
//! carries out between two batches. A thread of its own closes the old backend.

use std::{
    collections::BTreeMap,
    mem,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::delivery::backend_handle::{BackendCommand, BackendHandle, Refusal, Work};
use crate::delivery::backend_state::States;
use crate::delivery::backends::{Backends, Table};
use crate::delivery::target::Target;
use crate::process::{ReentrancyGuard, left};

/// How long the closing of a backend may take for which there is no thread.
const AT_ONCE: Duration = Duration::from_millis(2);

/// The backends from now on. Those that are not named are closed.
#[derive(Debug, Default)]
pub(crate) struct BackendChanges {
    /// In the order of the configuration.
    pub(crate) backends: Vec<(String, Change)>,
    /// Why backends are not what the configuration says.
    pub(crate) refusals: BTreeMap<String, Refusal>,
    /// Whether they get the events that stay on this machine; `None`: whatever they get now.
    pub(crate) local: Option<bool>,
}

/// What becomes of one backend.
#[derive(Debug)]
pub(crate) enum Change {
    Keep,
    /// This one takes the place of one with its name, or is new. A reload has opened it, unless it can't be had.
    Put(Arc<Target>),
}

impl BackendHandle {
    /// Replaces the target, without a call to the new one. Returns the old target, which the caller closes.
    fn replace(&mut self, new: Arc<Target>) -> Option<Arc<Target>> {
        self.swaps += u64::from(new.opened().is_some());
        if self.work.is_under_way() {
            return match self.command.replace(BackendCommand::Replace(new)) {
                Some(BackendCommand::Replace(earlier)) => Some(earlier),
                _ => None,
            };
        }
        Some(self.swap(new))
    }

    /// Has it get nothing more: at once, or by a command when its worker has a batch in hand. Gives what is to be closed.
    fn dismiss(&mut self) -> Option<Arc<Target>> {
        if !self.work.is_under_way() {
            return Some(Arc::clone(&self.target));
        }
        match self.command.replace(BackendCommand::Leave) {
            Some(BackendCommand::Replace(earlier)) => Some(earlier),
            _ => None,
        }
    }

    /// What is new deserves a try.
    fn swap(&mut self, new: Arc<Target>) -> Arc<Target> {
        self.state.circuit.close();
        self.reconfigured = true;
        if !self.work.is_under_way() {
            self.work = Work::Due;
        }
        mem::replace(&mut self.target, new)
    }
}

impl Table {
    /// Does what a reload has left for a backend, which has no batch in hand. Gives the one that is to be closed.
    pub(super) fn obey(&mut self, id: u64) -> Option<Arc<Target>> {
        let handle = self.get(id)?;
        match handle.command.take()? {
            BackendCommand::Replace(new) => Some(handle.swap(new)),
            BackendCommand::Leave => {
                let handles = self.handles.as_mut()?;
                let at = handles.iter().position(|handle| handle.id == id)?;
                let left = handles.remove(at);
                self.hold();
                Some(left.target)
            }
        }
    }
}

impl Backends {
    /// Applies a reload.
    pub(crate) fn apply(self: &Arc<Self>, changes: BackendChanges) {
        let BackendChanges { backends, mut refusals, local } = changes;
        let mut table = self.table();
        let Some(mut before) = table.handles.take() else { return };
        // The events that these backends have in hand are not for those that come.
        table.stale |= local.is_some_and(|local| local != table.local);
        let (mut now, mut closed, mut has_changed) = (Vec::new(), Vec::new(), table.stale);
        for (name, change) in backends {
            let known = before.iter().position(|handle| handle.target.name == name);
            let known = known.filter(|_| !table.stale).map(|at| before.remove(at));
            let handle = match (known, change) {
                (known, Change::Keep) => known,
                (_, Change::Put(new)) if table.stale => {
                    closed.push(new);
                    None
                }
                (Some(mut handle), Change::Put(new)) => {
                    has_changed = true;
                    closed.extend(handle.replace(new));
                    Some(handle)
                }
                (None, Change::Put(new)) => {
                    has_changed = true;
                    Some(table.handle(new))
                }
            };
            let Some(mut handle) = handle else { continue };
            handle.refusal = refusals.remove(&name);
            now.push(handle);
        }
        has_changed |= !before.is_empty();
        for mut handle in before {
            closed.extend(handle.dismiss());
            if handle.command.is_some() {
                now.push(handle);
            }
        }
        table.handles = Some(now);
        table.news |= has_changed;
        if has_changed {
            table.hold();
        }
        // The worker of a backend that has left ends.
        self.work.notify_all();
        self.changed.notify_all();
        drop(table);
        self.close_behind(closed);
    }

    /// Whether backends have changed since this was asked last.
    pub(crate) fn has_news(&self) -> bool {
        mem::take(&mut self.table().news)
    }

    /// The backend that the worker is to give a batch to, as it is configured by now, and the last ticket of a flush;
    /// `None` when it gets nothing more.
    pub(super) fn next_batch(self: &Arc<Self>, id: u64) -> Option<(Arc<Target>, u64)> {
        let mut table = self.table();
        let closed = match table.get(id)?.command {
            Some(BackendCommand::Leave) => return None,
            _ => table.obey(id),
        };
        let target = Arc::clone(&table.get(id)?.target);
        let asked = table.flushes.asked;
        drop(table);
        self.close_behind(closed);
        Some((target, asked))
    }

    /// Lets backends finish what they have, and closes them, while nobody waits.
    pub(super) fn close_behind(self: &Arc<Self>, closed: impl IntoIterator<Item = Arc<Target>>) {
        for target in closed.into_iter().filter(|target| target.opened().is_some()) {
            self.table().closing += 1;
            let (backends, closed) = (Arc::clone(self), Arc::clone(&target));
            let close = move || {
                let _quiet = ReentrancyGuard::enter();
                closed.close(closed.options.timeout);
                backends.has_closed();
            };
            if thread::Builder::new().name(format!("close-{}", target.name)).spawn(close).is_err() {
                target.close(AT_ONCE);
                self.has_closed();
            }
        }
    }

    fn has_closed(&self) {
        self.table().closing -= 1;
        self.changed.notify_all();
    }

    /// Waits until all that were to be closed are.
    pub(crate) fn wait_for_closing(&self, deadline: Instant) {
        let mut table = self.table();
        while table.closing > 0 && !left(deadline).is_zero() {
            table = self.wait(table, Some(deadline));
        }
    }

    /// Writes down why backends are not what the configuration says, also while nothing is delivered.
    pub(crate) fn keep_problems(&self, kept_in: &States) {
        let before = kept_in.load();
        let mut states = before.clone();
        self.stamp(&mut states);
        if states != before {
            kept_in.keep(&states);
        }
    }
}
