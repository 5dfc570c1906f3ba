//! The backends of a process: one table, under one lock, with everything that is known of each.
//!
//! A thread that holds the lock calls no plugin. It writes no file but the list of backends in the spool, which has to
//! follow the order in which backends are added and removed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use crate::delivery::backend_state::{BackendState, Problem};
use crate::delivery::configured_backend::ConfiguredBackend;
use crate::delivery::open_backend::OpenError;
use crate::delivery::pass_context::PassContext;
use crate::delivery::progress::{Flushes, PassResult, Progress};
use crate::delivery::repeated_warnings::RepeatedWarnings;
#[cfg(feature = "watch")]
use crate::files::Stamps;
use crate::process::{ReentrancyGuard, lock};

/// The table of backends, and the signals for the threads that wait for it.
#[derive(Default)]
pub(crate) struct Backends {
    table: Mutex<Table>,
    /// Notified when a worker may have something to do.
    pub(super) work: Condvar,
    /// Notified when a flush, a pass or a close may have nothing to wait for any more.
    pub(super) changed: Condvar,
    pub(super) warnings: RepeatedWarnings,
}

/// The number of backends that have left whose numbers are remembered.
const MOST_GONE: usize = 64;

#[derive(Default)]
pub(super) struct Table {
    /// The backends in the order of the configuration; `None` before the first delivery. A removed backend stays until its
    /// worker has carried out the command.
    pub(super) handles: Option<Vec<BackendHandle>>,
    /// The numbers of backends that have left. A backend that comes back goes on from there.
    gone: BTreeMap<String, BackendState>,
    /// Whether the backends get the events that stay on this machine.
    pub(super) local: bool,
    /// Whether the last reload has chosen backends for the other spool.
    pub(super) stale: bool,
    /// Whether backends have changed since the last check.
    pub(super) news: bool,
    /// The context of the pass that is under way.
    pub(super) pass: Option<Arc<PassContext>>,
    pub(super) flushes: Flushes,
    /// The number of backends that background threads are closing.
    pub(super) closing: usize,
    /// Whether idle workers end.
    pub(super) ended: bool,
    next_id: u64,
}

impl Table {
    /// A handle for a new backend.
    pub(super) fn handle(&mut self, target: Arc<ConfiguredBackend>) -> BackendHandle {
        self.next_id += 1;
        let mut handle = BackendHandle::new(self.next_id, target);
        handle.state = self.gone.remove(&handle.target.name).unwrap_or_default();
        handle
    }

    /// Remembers the numbers of a backend that leaves.
    pub(super) fn leaves(&mut self, handle: &BackendHandle) {
        if self.gone.len() >= MOST_GONE {
            self.gone.pop_first();
        }
        self.gone.insert(handle.target.name.clone(), handle.state.numbers());
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

    /// Makes the spool keep events for the backends of the table only.
    pub(super) fn hold(&self) {
        let Some(pass) = self.pass.as_ref().filter(|_| !self.stale) else { return };
        let names: Vec<_> = self.all().map(|handle| &*handle.target.name).collect();
        let retained = pass.deliverer().retain_backends(&names);
        if let Err(error) = retained {
            tracing::warn!("telemetry waits: {error}");
        }
    }
}

/// A view of one backend.
pub(crate) struct BackendView<'a> {
    pub(crate) target: &'a ConfiguredBackend,
    pub(crate) swaps: u64,
    pub(crate) problem: Option<&'a Problem>,
}

impl Backends {
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// Changes a backend, and notifies the threads that wait.
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

    /// Replaces all backends. The caller has closed the old ones.
    pub(super) fn begin(&self, targets: Vec<ConfiguredBackend>, local: bool) {
        let mut table = self.table();
        let handles = targets.into_iter().map(|target| table.handle(Arc::new(target))).collect();
        table.handles = Some(handles);
        (table.local, table.stale, table.ended) = (local, false, false);
        self.work.notify_all();
    }

    /// Whether the last reload has chosen backends for the other spool.
    pub(super) fn is_stale(&self) -> bool {
        self.table().stale
    }

    /// The configured backends; `None` before the first delivery.
    pub(crate) fn configured(&self) -> Option<Vec<Arc<ConfiguredBackend>>> {
        let table = self.table();
        let handles = table.handles.as_ref()?;
        Some(handles.iter().filter_map(BackendHandle::configured).cloned().collect())
    }

    /// The files that the open backends read when they opened, with their stamps before that.
    #[cfg(feature = "watch")]
    pub(crate) fn inputs(&self) -> Stamps {
        let open: Vec<_> = self.configured().iter().flatten().filter_map(|target| target.opened()).collect();
        open.iter().filter_map(|open| open.image.as_ref()).flat_map(|image| image.inputs.clone()).collect()
    }

    /// A value from the view of each configured backend.
    pub(crate) fn views<T>(&self, view: impl Fn(BackendView<'_>) -> T) -> Vec<T> {
        let table = self.table();
        let view = |handle: &BackendHandle| {
            let target = handle.configured()?;
            Some(view(BackendView { target, swaps: handle.swaps, problem: handle.problem() }))
        };
        table.all().filter_map(view).collect()
    }

    /// Ends the pause of every backend.
    pub(crate) fn retry(&self) {
        let mut table = self.table();
        for handle in table.all_mut() {
            handle.state.circuit.close();
            handle.circuit_reset = true;
            if matches!(handle.work, Work::Paused(_)) {
                handle.work = Work::Due;
            }
        }
        table.news = true;
    }

    /// Opens the backends that are not open, each on its own thread. Returns the names of those that can't be opened, and the
    /// reasons.
    pub(crate) fn open_all(&self) -> Vec<(String, OpenError)> {
        let open = |target: &ConfiguredBackend| {
            let _quiet = ReentrancyGuard::enter();
            target.open(target.options.opening_limit()).err().map(|error| target.explained(error))
        };
        let targets = self.configured().unwrap_or_default();
        thread::scope(|scope| {
            let (mut failed, mut threads) = (Vec::new(), Vec::new());
            for target in &targets {
                let thread = thread::Builder::new().name(format!("open-{}", target.name));
                match thread.spawn_scoped(scope, || open(target)) {
                    Ok(thread) => threads.push((&target.name, thread)),
                    Err(error) => failed.push((&target.name, OpenError::no_thread(&target.name, &error))),
                }
            }
            for (name, thread) in threads {
                let error = thread.join().unwrap_or_else(|_| Some(OpenError::panicked(name)));
                failed.extend(error.map(|error| (name, error)));
            }
            failed.into_iter().map(|(name, error)| (name.clone(), error)).collect()
        })
    }

    /// The names of all backends.
    pub(super) fn names(&self) -> Vec<String> {
        self.table().all().map(|handle| handle.target.name.clone()).collect()
    }

    /// Sets the states of the backends before a pass. Returns the pause of each backend.
    pub(super) fn enter(
        &self,
        states: &BTreeMap<String, BackendState>,
        now_ms: u64,
    ) -> Vec<Option<Duration>> {
        let targets: Vec<_> = self.table().all().map(|handle| Arc::clone(&handle.target)).collect();
        // Computed without the lock: it looks at files.
        let fingerprints: Vec<_> = targets.iter().map(|target| (target, target.fingerprint())).collect();
        let mut table = self.table();
        let enter = |handle: &mut BackendHandle| {
            handle.state = states.get(&handle.target.name).cloned().unwrap_or_default();
            let known = fingerprints.iter().find(|(target, _)| Arc::ptr_eq(target, &handle.target));
            handle.state.is_of(known.map_or("", |(_, fingerprint)| fingerprint));
            if handle.circuit_reset {
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

    /// Begins a pass, whose claim is for the backends of these names. Returns the numbers of delivered and rejected events so
    /// far.
    pub(super) fn start_pass(&self, pass: &Arc<PassContext>, names: &[String]) -> (u64, u64) {
        let mut table = self.table();
        table.pass = Some(Arc::clone(pass));
        table.ended = false;
        table.flushes.under_way = true;
        // A reload may have changed the backends since the claim.
        if !table.all().map(|handle| &handle.target.name).eq(names) {
            table.hold();
        }
        self.changed.notify_all();
        (table.flushes.delivered, table.flushes.rejected)
    }

    /// Ends the pass. No worker has anything to do.
    pub(super) fn end_pass(&self, (delivered, rejected): (u64, u64), now_ms: u64) -> PassResult {
        let mut table = self.table();
        table.pass = None;
        table.all_mut().for_each(|handle| handle.circuit_reset = false);
        PassResult {
            delivered: table.flushes.delivered - delivered,
            rejected: table.flushes.rejected - rejected,
            emptied: table.all().all(|handle| handle.work == Work::Emptied),
            busy: false,
            again_in: table.all().filter_map(|handle| handle.state.circuit.open_for(now_ms)).min(),
        }
    }

    /// The states to be written, by the names of the backends, those that have left included.
    pub(super) fn states(&self) -> BTreeMap<String, BackendState> {
        let table = self.table();
        let mut states = table.gone.clone();
        states.extend(table.all().map(|handle| (handle.target.name.clone(), handle.kept())));
        states
    }

    /// The backends that have left since the first delivery of this process.
    pub(crate) fn gone(&self) -> BTreeMap<String, BackendState> {
        self.table().gone.clone()
    }

    /// Sets in `states` why backends are not what the configuration says.
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

/// Everything that is known of one backend.
pub(super) struct BackendHandle {
    /// Distinguishes the backend from an earlier one with the same name.
    pub(super) id: u64,
    pub(super) target: Arc<ConfiguredBackend>,
    /// The state that is kept on disk.
    pub(super) state: BackendState,
    /// Whether the circuit is to be closed at the next pass.
    pub(super) circuit_reset: bool,
    pub(super) progress: Progress,
    pub(super) work: Work,
    /// Whether the backend has a thread.
    pub(super) has_worker: bool,
    /// What the worker does after the current batch.
    pub(super) command: Option<BackendCommand>,
    /// The number of swaps.
    pub(super) swaps: u64,
    pub(super) refusal: Option<Refusal>,
}

/// The work of a backend in the current pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// The backend is to be given what waits for it.
    Due,
    /// The worker has been told to begin.
    Assigned,
    /// The worker delivers. `look_again`: there may be events that it has not seen.
    Running { look_again: bool },
    /// All events are settled.
    Emptied,
    /// The backend gets no event until this time.
    Paused(Instant),
    /// The backend gets no further event in this pass.
    Over,
}

impl Work {
    pub(super) fn is_under_way(self) -> bool {
        matches!(self, Self::Assigned | Self::Running { .. })
    }
}

/// What happens to a backend between two batches.
pub(super) enum BackendCommand {
    /// Another target replaces it.
    Replace(Arc<ConfiguredBackend>),
    /// It is removed.
    Leave,
}

/// Why the last reload did not make the backend what the configuration says.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) problem: Problem,
    /// Whether the problem ends when the backend is open.
    pub(crate) until_open: bool,
}

impl BackendHandle {
    pub(super) fn new(id: u64, target: Arc<ConfiguredBackend>) -> Self {
        Self {
            id,
            target,
            state: BackendState::default(),
            circuit_reset: false,
            progress: Progress::default(),
            work: Work::Due,
            has_worker: false,
            command: None,
            swaps: 0,
            refusal: None,
        }
    }

    /// The target of the backend after its command; `None` when the backend is to be removed.
    pub(super) fn configured(&self) -> Option<&Arc<ConfiguredBackend>> {
        match &self.command {
            None => Some(&self.target),
            Some(BackendCommand::Replace(target)) => Some(target),
            Some(BackendCommand::Leave) => None,
        }
    }

    /// Why the backend is not what the configuration says.
    pub(super) fn problem(&self) -> Option<&Problem> {
        let refusal = self.refusal.as_ref()?;
        let is_open = || self.configured().is_some_and(|target| target.opened().is_some());
        (!refusal.until_open || !is_open()).then_some(&refusal.problem)
    }

    /// The state to be written.
    pub(super) fn kept(&self) -> BackendState {
        BackendState { not_swapped: self.problem().cloned(), ..self.state.clone() }
    }
}
