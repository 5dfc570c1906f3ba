//! The only place that applies a reload to the backends.
//!
//! An idle backend is swapped or removed at once. A backend whose worker sends a batch gets a command, which the worker
//! carries out between two batches. A background thread closes the old backend.

use std::{
    collections::BTreeMap,
    mem,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::delivery::backend_state::States;
use crate::delivery::backends::{BackendCommand, BackendHandle, Backends, Refusal, Table, Work};
use crate::delivery::configured_backend::ConfiguredBackend;
use crate::process::{ReentrancyGuard, left, wait};

/// The time for closing a backend when no thread can be started for it.
const AT_ONCE: Duration = Duration::from_millis(2);

/// The new backends. Backends that are not named are closed.
#[derive(Default)]
pub(crate) struct BackendChanges {
    /// Names and changes, in the order of the configuration.
    pub(crate) backends: Vec<(String, Change)>,
    /// Why backends are not what the configuration says.
    pub(crate) refusals: BTreeMap<String, Refusal>,
    /// Whether the backends get the events that stay on this machine; `None` when that does not change.
    pub(crate) local: Option<bool>,
}

/// The change of one backend.
pub(crate) enum Change {
    Keep,
    /// The target replaces the one with its name, or is new. The reload has opened it, if it can be opened.
    Put(Arc<ConfiguredBackend>),
}

impl BackendHandle {
    /// Replaces the target at once, or by a command. Returns the target that the caller closes.
    fn replace(&mut self, new: Arc<ConfiguredBackend>) -> Option<Arc<ConfiguredBackend>> {
        self.swaps += u64::from(new.opened().is_some());
        if self.work.is_under_way() {
            return self.order(BackendCommand::Replace(new));
        }
        Some(self.swap(new))
    }

    /// Removes the backend at once, or by a command. Returns the target that the caller closes.
    fn dismiss(&mut self) -> Option<Arc<ConfiguredBackend>> {
        if self.work.is_under_way() {
            return self.order(BackendCommand::Leave);
        }
        Some(Arc::clone(&self.target))
    }

    /// Sets the command. Returns the target of the command that it replaces.
    fn order(&mut self, command: BackendCommand) -> Option<Arc<ConfiguredBackend>> {
        match self.command.replace(command) {
            Some(BackendCommand::Replace(earlier)) => Some(earlier),
            _ => None,
        }
    }

    /// Replaces the target, and closes the circuit. Returns the old target.
    fn swap(&mut self, new: Arc<ConfiguredBackend>) -> Arc<ConfiguredBackend> {
        self.state.circuit.close();
        self.circuit_reset = true;
        if !self.work.is_under_way() {
            self.work = Work::Due;
        }
        mem::replace(&mut self.target, new)
    }
}

impl Table {
    /// Carries out the command of a backend between two batches. Returns the target to be closed.
    pub(super) fn obey(&mut self, id: u64) -> Option<Arc<ConfiguredBackend>> {
        let handle = self.get(id)?;
        match handle.command.take()? {
            BackendCommand::Replace(new) => Some(handle.swap(new)),
            BackendCommand::Leave => {
                let handles = self.handles.as_mut()?;
                let at = handles.iter().position(|handle| handle.id == id)?;
                let removed = handles.remove(at);
                self.leaves(&removed);
                self.hold();
                Some(removed.target)
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
        // The new backends must not get the events of the old spool.
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
            } else {
                table.leaves(&handle);
            }
        }
        table.handles = Some(now);
        table.news |= has_changed;
        if has_changed {
            table.hold();
        }
        // The workers of removed backends end.
        self.work.notify_all();
        self.changed.notify_all();
        drop(table);
        self.close_behind(closed);
    }

    /// Whether backends have changed since the last check.
    pub(crate) fn take_news(&self) -> bool {
        mem::take(&mut self.table().news)
    }

    /// The target for the worker's next batch, and the number of the last ticket; `None` when the backend is removed.
    pub(super) fn next_batch(self: &Arc<Self>, id: u64) -> Option<(Arc<ConfiguredBackend>, u64)> {
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

    /// Closes backends on background threads, after their running calls.
    pub(super) fn close_behind(self: &Arc<Self>, closed: impl IntoIterator<Item = Arc<ConfiguredBackend>>) {
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

    /// Waits until the background threads have closed their backends.
    pub(crate) fn wait_for_closing(&self, deadline: Instant) {
        let mut table = self.table();
        while table.closing > 0 && !left(deadline).is_zero() {
            table = wait(&self.changed, table, Some(deadline));
        }
    }

    /// Writes into the file why backends are not what the configuration says.
    pub(crate) fn keep_problems(&self, kept_in: &States) {
        let before = kept_in.load();
        let mut states = before.clone();
        self.stamp(&mut states);
        if states != before {
            kept_in.keep(&states);
        }
    }
}
