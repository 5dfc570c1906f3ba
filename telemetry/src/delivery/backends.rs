//! The backends of a process: one table, under one lock, of all that is known of each.
//!
//! Whoever holds the lock enters no plugin and writes no file, but for the note in the spool for which backends it keeps
//! events: that has to be made in the order in which backends come and go.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use crate::delivery::backend_handle::{BackendHandle, Work};
use crate::delivery::backend_state::{BackendState, Problem};
use crate::delivery::open_backend::OpenError;
use crate::delivery::pass_context::PassContext;
use crate::delivery::progress::{Flushes, PassResult};
use crate::delivery::target::Target;
use crate::process::{ReentrancyGuard, lock, wait};

/// The backends, and those who wait for something about them.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    table: Mutex<Table>,
    /// A worker may have something to do.
    pub(super) work: Condvar,
    /// A flush, the thread of the pass or whoever closes may have nothing to wait for any more.
    pub(super) changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    /// In the order of the configuration; `None` before there were any. One that leaves stays until its worker has let
    /// go of it.
    pub(super) handles: Option<Vec<BackendHandle>>,
    /// Whether they get the events that stay on this machine.
    pub(super) local: bool,
    /// Whether a reload has brought backends for the events of the other spool.
    pub(super) stale: bool,
    /// Whether backends have changed since this was asked last.
    pub(super) news: bool,
    /// What workers deliver by at this moment.
    pub(super) pass: Option<Arc<PassContext>>,
    pub(super) flushes: Flushes,
    /// Backends that are being closed by a background thread.
    pub(super) closing: usize,
    /// No worker is to wait for more.
    pub(super) ended: bool,
    next_id: u64,
}

impl Table {
    /// A handle of a backend that is new.
    pub(super) fn handle(&mut self, target: Arc<Target>) -> BackendHandle {
        self.next_id += 1;
        BackendHandle::new(self.next_id, target)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &BackendHandle> {
        self.handles.iter().flatten()
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut BackendHandle> {
        self.handles.iter_mut().flatten()
    }

    pub(super) fn get(&mut self, id: u64) -> Option<&mut BackendHandle> {
        self.all_mut().find(|handle| handle.id == id)
    }

    /// Keeps events for these backends, and no others.
    pub(super) fn hold(&self) {
        let Some(pass) = self.pass.as_ref().filter(|_| !self.stale) else { return };
        let names: Vec<_> = self.all().map(|handle| &*handle.target.name).collect();
        let retained = pass.deliverer().retain_backends(&names);
        if let Err(error) = retained {
            tracing::warn!("telemetry waits: {error}");
        }
    }
}

/// One backend as others may see it.
pub(crate) struct BackendView<'a> {
    pub(crate) target: &'a Target,
    pub(crate) swaps: u64,
    pub(crate) problem: Option<&'a Problem>,
}

impl Backends {
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// Waits for a change, until `deadline` if there is one.
    pub(super) fn wait<'a>(
        &self,
        table: MutexGuard<'a, Table>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, Table> {
        wait(&self.changed, table, deadline)
    }

    /// Changes what is known of a backend.
    pub(super) fn update<T>(
        &self,
        id: u64,
        update: impl FnOnce(&mut BackendHandle, &mut Flushes) -> T,
    ) -> Option<T> {
        let mut table = self.table();
        let Table { handles, flushes, .. } = &mut *table;
        let handle = handles.iter_mut().flatten().find(|handle| handle.id == id)?;
        let updated = update(handle, flushes);
        self.changed.notify_all();
        Some(updated)
    }

    /// These are the backends from now on. The caller has closed those before.
    pub(super) fn begin(&self, targets: Vec<Target>, local: bool) {
        let mut table = self.table();
        let handles = targets.into_iter().map(|target| table.handle(Arc::new(target))).collect();
        table.handles = Some(handles);
        (table.local, table.stale, table.ended) = (local, false, false);
        self.work.notify_all();
    }

    /// Whether a reload has brought backends for the events of the other spool.
    pub(super) fn is_stale(&self) -> bool {
        self.table().stale
    }

    /// The backends as they are configured; `None` before there were any.
    pub(crate) fn configured(&self) -> Option<Vec<Arc<Target>>> {
        let table = self.table();
        let handles = table.handles.as_ref()?;
        Some(handles.iter().filter_map(BackendHandle::configured).cloned().collect())
    }

    /// What each backend that is configured looks like.
    pub(crate) fn views<T>(&self, view: impl Fn(BackendView<'_>) -> T) -> Vec<T> {
        let table = self.table();
        let view = |handle: &BackendHandle| {
            let target = handle.configured()?;
            Some(view(BackendView { target, swaps: handle.swaps, problem: handle.problem() }))
        };
        table.all().filter_map(view).collect()
    }

    /// Has every backend tried at once, whatever has failed before.
    pub(crate) fn retry(&self) {
        let mut table = self.table();
        for handle in table.all_mut() {
            handle.state.circuit.close();
            handle.reconfigured = true;
            if matches!(handle.work, Work::Paused(_)) {
                handle.work = Work::Due;
            }
        }
        table.news = true;
    }

    /// Opens every backend that is not open yet, side by side. Gives those that can't be opened, and why.
    pub(crate) fn open_all(&self) -> Vec<(String, OpenError)> {
        let open = |target: &Target| {
            let _quiet = ReentrancyGuard::enter();
            // Loading and opening take that long each.
            let limit = target.options.timeout.saturating_mul(2);
            target.open(limit).err().map(|error| (target.name.clone(), target.explained(error)))
        };
        let targets = self.configured().unwrap_or_default();
        thread::scope(|scope| {
            let (mut failed, mut threads) = (Vec::new(), Vec::new());
            for target in &targets {
                let thread = thread::Builder::new().name(format!("open-{}", target.name));
                match thread.spawn_scoped(scope, || open(target)) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        let name = target.name.clone();
                        let reason = format!("backend `{name}`: no thread to open it on: {error}");
                        failed.push((name, OpenError::Unavailable { reason }));
                    }
                }
            }
            failed.extend(threads.into_iter().filter_map(|thread| thread.join().ok().flatten()));
            failed
        })
    }

    /// All that may hold events.
    pub(super) fn names(&self) -> Vec<String> {
        self.table().all().map(|handle| handle.target.name.clone()).collect()
    }

    /// Takes in what is known from earlier passes and other processes, before a pass. Gives how long each backend is left
    /// alone yet.
    pub(super) fn enter(
        &self,
        states: &BTreeMap<String, BackendState>,
        now_ms: u64,
    ) -> Vec<Option<Duration>> {
        let targets: Vec<_> = self.table().all().map(|handle| Arc::clone(&handle.target)).collect();
        let fingerprints: Vec<_> = targets.iter().map(|target| target.fingerprint()).collect();
        let mut table = self.table();
        let enter = |handle: &mut BackendHandle| {
            handle.state = states.get(&handle.target.name).cloned().unwrap_or_default();
            let at = targets.iter().position(|target| Arc::ptr_eq(target, &handle.target));
            let fingerprint = at.and_then(|at| fingerprints.get(at));
            handle.state.is_of(fingerprint.map_or("", String::as_str));
            if handle.reconfigured {
                handle.state.circuit.close();
            }
            let pause = handle.state.circuit.open_for(now_ms);
            handle.work = pause.map_or(Work::Due, |pause| Work::Paused(Instant::now() + pause));
            let problem = pause.and(handle.state.last_problem.as_ref());
            handle.progress.begin(pause, problem.map(|problem| problem.reason.clone()));
            pause
        };
        table.all_mut().map(enter).collect()
    }

    /// A pass begins, with the claim for the backends of these names. Gives the numbers of events so far.
    pub(super) fn start_pass(&self, pass: &Arc<PassContext>, names: &[String]) -> (u64, u64) {
        let mut table = self.table();
        table.pass = Some(Arc::clone(pass));
        table.ended = false;
        table.flushes.under_way = true;
        // A reload may have come since.
        if !table.all().map(|handle| &handle.target.name).eq(names) {
            table.hold();
        }
        self.changed.notify_all();
        (table.flushes.delivered, table.flushes.rejected)
    }

    /// The pass is over: no worker has anything to do.
    pub(super) fn end_pass(&self, (delivered, rejected): (u64, u64), now_ms: u64) -> PassResult {
        let mut table = self.table();
        table.pass = None;
        table.all_mut().for_each(|handle| handle.reconfigured = false);
        PassResult {
            delivered: table.flushes.delivered - delivered,
            rejected: table.flushes.rejected - rejected,
            emptied: table.all().all(|handle| handle.work == Work::Emptied),
            busy: false,
            again_in: table.all().filter_map(|handle| handle.state.circuit.open_for(now_ms)).min(),
        }
    }

    /// What is to be kept of each backend, by its name.
    pub(super) fn states(&self) -> BTreeMap<String, BackendState> {
        self.table().all().map(|handle| (handle.target.name.clone(), handle.kept())).collect()
    }

    /// Notes in these states, which are those of all processes, why backends are not what the configuration says.
    pub(super) fn stamp(&self, states: &mut BTreeMap<String, BackendState>) {
        let table = self.table();
        if table.handles.is_none() {
            return;
        }
        let problem = |name: &str| table.all().find(|handle| handle.target.name == name)?.problem().cloned();
        for (name, state) in &mut *states {
            state.not_swapped = problem(name);
        }
        for handle in table.all() {
            if let Some(problem) = handle.problem() {
                states.entry(handle.target.name.clone()).or_default().not_swapped = Some(problem.clone());
            }
        }
    }
}
