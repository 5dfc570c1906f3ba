//! One instance of a backend, and the worker threads that enter it.
//!
//! The first worker opens the instance; calls that arrive meanwhile wait in the queue. Workers are started as calls need
//! them, up to a limit. Once the instance is retired nothing enters it any more, and the last worker to leave frees it.
//! A worker that never comes back from the plugin keeps the instance alive, and nothing else.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use jackfield_plugin_api::{
    abi::{self, Status},
    deletion::{DELETION_UNSUPPORTED, DeletionRequestView},
};

use super::{
    call::{CallState, Ended, Explanation},
    running::Running,
    spin::Spin,
};
use crate::{
    batch::Batch,
    check::PluginTables,
    host::HostHandle,
    isolated::{Process, Recipe},
    load::LoadError,
    registry,
};

/// Where an instance comes from.
#[derive(Clone)]
pub(crate) enum Source {
    /// The table's `open`, with this configuration.
    Config(Arc<str>),
    /// A function of the host's own program, which makes an instance for the table.
    Value(Arc<dyn Fn() -> Made + Send + Sync>),
}

/// An instance that a [`Source::Value`] made.
pub(crate) struct Made(pub(crate) *mut abi::Instance);

/// The way into a plugin.
#[derive(Clone)]
pub(crate) enum Entry {
    /// Its functions, in this process.
    Tables(PluginTables),
    /// A child process for each instance, made so.
    Child(Arc<Recipe>),
}

/// The way into one instance.
enum Inside {
    Tables(PluginTables),
    Child(Process),
}

/// What a worker does.
#[derive(Clone)]
pub(crate) enum Work {
    Open { source: Source, host: &'static HostHandle },
    Send(Batch),
    Delete { machine_id: Arc<str>, event: Batch, answer: Arc<AtomicU32> },
    Preview(Batch),
    Probe { answer: Arc<AtomicU32> },
    Close,
}

impl Work {
    /// How many events it is to give outcomes for.
    pub(super) fn events(&self) -> usize {
        if let Self::Send(batch) = self { batch.len() } else { 0 }
    }

    /// How many events the plugin may report on.
    pub(super) fn reportable(&self) -> usize {
        if let Self::Send(batch) | Self::Preview(batch) = self { batch.len() } else { 0 }
    }
}

/// Work with the call that somebody waits for.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) call: Arc<CallState>,
    /// Called when the plugin's function returns though nobody waits any more.
    pub(super) returned_late: Box<dyn Fn() + Send + Sync>,
}

pub(super) struct Instance {
    inside: Inside,
    /// What the worker threads are called.
    name: String,
    most_workers: usize,
    open: Arc<Job>,
    /// Jobs in the queue: a hint for [`Spin`], `state` has them.
    queued: AtomicUsize,
    spin: Spin,
    state: Mutex<State>,
    /// Something to do, or retired.
    wake: Condvar,
    /// A job has ended, or the instance is gone. Rung only for `State::watchers`.
    quiet: Condvar,
}

struct State {
    /// Null until it is open, and where the plugin is in a child.
    raw: Raw,
    /// There is something to free.
    opened: bool,
    jobs: VecDeque<Arc<Job>>,
    workers: usize,
    idle: usize,
    /// Jobs inside the plugin.
    active: usize,
    watchers: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Opening,
    Open,
    /// Nothing further enters.
    Retired,
    /// Freed by the last worker, with this status of `free`.
    Gone(Status),
}

/// The plugin's pointer.
#[derive(Clone, Copy)]
struct Raw(*mut abi::Instance);

// SAFETY: the contract makes an instance callable from any thread.
unsafe impl Send for Raw {}

impl Instance {
    /// An instance that is opened by `open`, whose call tells how that went.
    pub(super) fn start(entry: &Entry, name: &str, workers: usize, open: Arc<Job>) -> io::Result<Arc<Self>> {
        let (inside, serial) = match entry {
            Entry::Tables(tables) => {
                (Inside::Tables(*tables), tables.backend.flags & abi::BACKEND_SERIAL != 0)
            }
            Entry::Child(recipe) => (Inside::Child(Process::new(Arc::clone(recipe))), false),
        };
        let instance = Arc::new(Self {
            inside,
            name: format!("jackfield-{name}"),
            most_workers: if serial { 1 } else { workers.max(1) },
            open: Arc::clone(&open),
            queued: AtomicUsize::new(1),
            spin: Spin::new(),
            state: Mutex::new(State {
                raw: Raw(std::ptr::null_mut()),
                opened: false,
                jobs: VecDeque::from([open]),
                workers: 0,
                idle: 0,
                active: 0,
                watchers: 0,
                phase: Phase::Opening,
            }),
            wake: Condvar::new(),
            quiet: Condvar::new(),
        });
        instance.hire(&mut instance.lock())?;
        Ok(instance)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hire(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if let Some((by, since)) = registry::hanging_load() {
            return Err(io::Error::other(LoadError::Blocked { by, since }));
        }
        let worker = Arc::clone(self);
        thread::Builder::new().name(self.name.clone()).spawn(move || worker.work())?;
        state.workers += 1;
        Ok(())
    }

    /// Queues a job; `false` when the instance is retired.
    pub(super) fn submit(self: &Arc<Self>, job: Arc<Job>) -> bool {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Retired | Phase::Gone(_)) {
            return false;
        }
        state.jobs.push_back(job);
        self.queued.store(state.jobs.len(), Ordering::Release);
        let free = state.workers - state.active;
        if free < state.jobs.len() && state.phase == Phase::Open && state.workers < self.most_workers() {
            // Without a further thread the job waits for one of those that are there.
            if let Err(error) = self.hire(&mut state) {
                tracing::warn!(%error, "no thread for another worker of {}", self.name);
            }
        }
        if state.idle > 0 {
            drop(state);
            self.wake.notify_one();
        }
        true
    }

    fn most_workers(&self) -> usize {
        match &self.inside {
            Inside::Child(child) if child.recipe().is_serial() => 1,
            _ => self.most_workers,
        }
    }

    /// Ends the process that the instance is in, if it has one, and with it every call inside.
    pub(super) fn kill(&self) {
        if let Inside::Child(child) = &self.inside {
            child.kill();
        }
    }

    /// Tells the plugin's own threads, where they are in another process, that the host is done with the backend.
    pub(super) fn cancel(&self) {
        if let Inside::Child(child) = &self.inside {
            child.cancel();
        }
    }

    /// The number of the process that the instance is in, if it has one.
    pub(super) fn process(&self) -> Option<u32> {
        match &self.inside {
            Inside::Tables(_) => None,
            Inside::Child(child) => child.id(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// How opening failed; `None` while it goes on and when it did not.
    pub(super) fn open_failure(&self) -> Option<(Status, Explanation)> {
        self.open.call.failure()
    }

    /// Stops waiting for `open`; `true` when that leaves a thread inside the plugin.
    pub(super) fn abandon_open(&self) -> bool {
        matches!(self.open.call.abandon(), Ended::Expired { running: true, .. })
    }

    /// Lets nothing further enter, and turns away what is queued.
    pub(super) fn retire(&self) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Opening | Phase::Open) {
            state.phase = Phase::Retired;
        }
        let turned_away = std::mem::take(&mut state.jobs);
        drop(state);
        self.wake.notify_all();
        for job in turned_away {
            job.call.turn_away();
        }
    }

    /// Waits until no job is queued or inside the plugin; `false` at the deadline.
    pub(super) fn wait_until_quiet(&self, deadline: Instant) -> bool {
        self.wait_for(deadline, |state| state.jobs.is_empty() && state.active == 0)
    }

    /// Waits until the plugin's `free` has returned; its status, or `None` at the deadline.
    pub(super) fn wait_until_gone(&self, deadline: Instant) -> Option<Status> {
        self.wait_for(deadline, |state| matches!(state.phase, Phase::Gone(_)));
        match self.phase() {
            Phase::Gone(status) => Some(status),
            _ => None,
        }
    }

    fn wait_for(&self, deadline: Instant, done: impl Fn(&State) -> bool) -> bool {
        let mut state = self.lock();
        state.watchers += 1;
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (state, _) = self.quiet.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        state.watchers -= 1;
        done(&state)
    }

    /// The life of a worker thread.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                let raw = state.raw;
                state.active += 1;
                self.queued.store(state.jobs.len(), Ordering::Release);
                drop(state);
                self.run(&job, raw);
                self.spin.until(|| self.queued.load(Ordering::Acquire) > 0);
                state = self.lock();
            } else if state.phase == Phase::Retired {
                break;
            } else {
                state.idle += 1;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
        state.workers -= 1;
        if state.workers > 0 {
            return;
        }
        let (raw, opened) = (state.raw, state.opened);
        drop(state);
        let status = match &self.inside {
            Inside::Child(child) => child.free(opened),
            Inside::Tables(_) if raw.0.is_null() => abi::STATUS_OK,
            // SAFETY: `open` made it, no other worker is left, and no further one is started once it is retired.
            Inside::Tables(tables) => unsafe { (tables.backend.free)(raw.0) },
        };
        self.lock().phase = Phase::Gone(status);
        self.quiet.notify_all();
    }

    /// Runs one job inside the plugin and tells whoever waits for it.
    fn run(&self, job: &Job, raw: Raw) {
        if !job.call.start() {
            self.ran(None);
            return;
        }
        let (status, opened) = match &self.inside {
            Inside::Tables(tables) => enter(tables, job, raw),
            Inside::Child(child) => {
                let status = child.run(&job.work, &job.call);
                let opening = matches!(job.work, Work::Open { .. });
                let opened = (status == abi::STATUS_OK).then_some(Raw(std::ptr::null_mut()));
                (status, opening.then_some(opened))
            }
        };
        // Before the caller knows: its next call finds this worker free.
        self.ran(opened);
        if !job.call.finish(status) {
            (job.returned_late)();
        }
    }

    /// A job is over; `opened` is what `open` made, or that it made nothing.
    fn ran(&self, opened: Option<Option<Raw>>) {
        let mut turned_away = VecDeque::new();
        let mut state = self.lock();
        state.active -= 1;
        match opened {
            Some(Some(raw)) => {
                (state.raw, state.opened) = (raw, true);
                if state.phase == Phase::Opening {
                    state.phase = Phase::Open;
                }
            }
            Some(None) => {
                state.phase = Phase::Retired;
                turned_away = std::mem::take(&mut state.jobs);
            }
            None => {}
        }
        let watched = state.watchers > 0;
        drop(state);
        if watched {
            self.quiet.notify_all();
        }
        for job in turned_away {
            job.call.turn_away();
        }
    }
}

/// Runs one job inside a plugin of this process. What `open` made, if this was it.
fn enter(tables: &PluginTables, job: &Job, raw: Raw) -> (Status, Option<Option<Raw>>) {
    let running = Running::enter(&job.call);
    let call = job.call.to_abi(&running);
    match &job.work {
        Work::Open { source, host } => match open(tables, source, host, &call) {
            (abi::STATUS_OK, out) if out.is_null() => {
                let message = "open answered OK without an instance: the plugin's vendor must correct it";
                job.call.explain(Explanation { message: message.to_owned(), ..Explanation::default() });
                (abi::STATUS_FAILED, Some(None))
            }
            (abi::STATUS_OK, out) => (abi::STATUS_OK, Some(Some(Raw(out)))),
            (status, _) => (status, Some(None)),
        },
        Work::Send(batch) => {
            let batch = batch.to_abi();
            // SAFETY: jobs enter an open instance only; this one keeps batch and call alive until the return.
            (unsafe { (tables.backend.send)(raw.0, &raw const batch, &raw const call) }, None)
        }
        Work::Delete { machine_id, event, answer } => {
            (delete(tables, raw, machine_id, event, answer, &call), None)
        }
        Work::Preview(batch) => (preview(tables, raw, batch, &running, &call), None),
        Work::Probe { answer } => (probe(tables, raw, answer, &call), None),
        // SAFETY: jobs enter an open instance only; the call is live.
        Work::Close => (unsafe { (tables.backend.close)(raw.0, &raw const call) }, None),
    }
}

fn open(
    tables: &PluginTables,
    source: &Source,
    host: &'static HostHandle,
    call: &abi::Call,
) -> (Status, *mut abi::Instance) {
    match source {
        Source::Config(config) => {
            let mut out = std::ptr::null_mut();
            // SAFETY: a table that was checked; host, config, call and out are as the contract wants them.
            let status =
                unsafe { (tables.backend.open)(host.as_ptr(), abi::Str::new(config), call, &raw mut out) };
            (status, out)
        }
        Source::Value(make) => match catch_unwind(AssertUnwindSafe(|| make())) {
            Ok(Made(instance)) => (abi::STATUS_OK, instance),
            Err(_) => (abi::STATUS_PANIC, std::ptr::null_mut()),
        },
    }
}

fn delete(
    tables: &PluginTables,
    raw: Raw,
    machine_id: &str,
    event: &Batch,
    answer: &AtomicU32,
    call: &abi::Call,
) -> Status {
    let Some(table) = tables.deletion else {
        answer.store(DELETION_UNSUPPORTED, Ordering::Release);
        return abi::STATUS_OK;
    };
    let event = event.to_abi();
    let request = DeletionRequestView {
        size: size_of::<DeletionRequestView>() as u32,
        reserved: 0,
        machine_id: abi::Str::new(machine_id),
        event: &raw const event,
    };
    let mut number = 0;
    // SAFETY: jobs enter an open instance only; request, call and answer live until the function returns.
    let status = unsafe { (table.request)(raw.0, &raw const request, call, &raw mut number) };
    answer.store(number, Ordering::Release);
    status
}

fn preview(tables: &PluginTables, raw: Raw, batch: &Batch, running: &Running, call: &abi::Call) -> Status {
    // The lane has looked for the table before it made the job.
    let Some(table) = tables.diagnostics else { return abi::STATUS_INVALID_ARGUMENT };
    let (batch, sink) = (batch.to_abi(), super::preview::sink(running.context()));
    // SAFETY: jobs enter an open instance only; batch, call and sink live until the function returns.
    unsafe { (table.preview)(raw.0, &raw const batch, call, &raw const sink) }
}

fn probe(tables: &PluginTables, raw: Raw, answer: &AtomicU32, call: &abi::Call) -> Status {
    // As above.
    let Some(table) = tables.diagnostics else { return abi::STATUS_INVALID_ARGUMENT };
    let mut number = 0;
    // SAFETY: jobs enter an open instance only; call and answer live until the function returns.
    let status = unsafe { (table.probe)(raw.0, call, &raw mut number) };
    answer.store(number, Ordering::Release);
    status
}
