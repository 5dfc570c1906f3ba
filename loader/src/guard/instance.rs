//! One instance of a backend, and the worker threads that enter it.
//!
//! The first worker opens the instance; calls that arrive meanwhile wait in the queue. Workers are started as calls need
//! them, up to a limit. Once the instance is retired nothing enters it any more, and the last worker to leave frees it.
//! A worker that never comes back from the plugin keeps the instance alive, and nothing else.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use jackfield_plugin_api::abi::{self, Status};

use super::{
    call::{Ended, Explanation},
    executor::Executor,
    spin::Spin,
    work::{Job, Work},
};
use crate::{
    boundary::process::{lock, thread},
    load::{dlopen::LoadError, loaded_libraries::hanging_load},
};

pub(super) struct Instance {
    executor: Box<dyn Executor>,
    backend: String,
    most_workers: usize,
    open: Arc<Job>,
    /// Jobs in the queue: a hint for [`Spin`], `state` has them.
    queued: AtomicUsize,
    spin: Spin,
    state: Mutex<State>,
    /// Something to do, or retired.
    wake: Condvar,
    /// A job has ended, or the instance was freed. Notified only if there are `State::watchers`.
    quiet: Condvar,
}

struct State {
    /// There is something to free.
    opened: bool,
    jobs: VecDeque<Arc<Job>>,
    workers: usize,
    idle: usize,
    /// Jobs inside the plugin.
    active: usize,
    watchers: usize,
    phase: InstancePhase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InstancePhase {
    Opening,
    Open,
    /// Nothing further enters.
    Retired,
    /// Freed by the last worker, with this status of `free`.
    Gone(Status),
}

impl Instance {
    /// An instance that is opened by `open`, whose call tells how that went.
    pub(super) fn start(
        executor: Box<dyn Executor>,
        backend: &str,
        workers: usize,
        open: Arc<Job>,
    ) -> io::Result<Arc<Self>> {
        let instance = Arc::new(Self {
            executor,
            backend: backend.to_owned(),
            most_workers: workers.max(1),
            open: Arc::clone(&open),
            queued: AtomicUsize::new(1),
            spin: Spin::new(),
            state: Mutex::new(State {
                opened: false,
                jobs: VecDeque::from([open]),
                workers: 0,
                idle: 0,
                active: 0,
                watchers: 0,
                phase: InstancePhase::Opening,
            }),
            wake: Condvar::new(),
            quiet: Condvar::new(),
        });
        instance.hire(&mut lock(&instance.state))?;
        Ok(instance)
    }

    fn hire(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if let Some((by, since)) = hanging_load() {
            return Err(io::Error::other(LoadError::Blocked { by, since }));
        }
        let worker = Arc::clone(self);
        thread(&format!("call {}", self.backend)).spawn(move || worker.work())?;
        state.workers += 1;
        Ok(())
    }

    /// Queues a job; `false` when the instance is retired.
    pub(super) fn submit(self: &Arc<Self>, job: Arc<Job>) -> bool {
        let mut state = lock(&self.state);
        if matches!(state.phase, InstancePhase::Retired | InstancePhase::Gone(_)) {
            return false;
        }
        state.jobs.push_back(job);
        self.queued.store(state.jobs.len(), Ordering::Release);
        let free = state.workers - state.active;
        if free < state.jobs.len()
            && state.phase == InstancePhase::Open
            && state.workers < self.most_workers()
        {
            // Without a further thread the job waits for one of those that are there.
            if let Err(error) = self.hire(&mut state) {
                tracing::warn!(%error, "no thread for another worker of {}", self.backend);
            }
        }
        if state.idle > 0 {
            drop(state);
            self.wake.notify_one();
        }
        true
    }

    fn most_workers(&self) -> usize {
        if self.executor.is_serial() { 1 } else { self.most_workers }
    }

    /// The way into the plugin.
    pub(super) fn executor(&self) -> &dyn Executor {
        &*self.executor
    }

    pub(super) fn phase(&self) -> InstancePhase {
        lock(&self.state).phase
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
        let mut state = lock(&self.state);
        if matches!(state.phase, InstancePhase::Opening | InstancePhase::Open) {
            state.phase = InstancePhase::Retired;
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
        self.wait_for(deadline, |state| matches!(state.phase, InstancePhase::Gone(_)));
        match self.phase() {
            InstancePhase::Gone(status) => Some(status),
            _ => None,
        }
    }

    fn wait_for(&self, deadline: Instant, done: impl Fn(&State) -> bool) -> bool {
        let mut state = lock(&self.state);
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
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.active += 1;
                self.queued.store(state.jobs.len(), Ordering::Release);
                drop(state);
                self.run(&job);
                self.spin.until(|| self.queued.load(Ordering::Acquire) > 0);
                state = lock(&self.state);
            } else if state.phase == InstancePhase::Retired {
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
        let opened = state.opened;
        drop(state);
        // No other worker is left, and no further one is started once the instance is retired.
        let status = self.executor.free(opened);
        lock(&self.state).phase = InstancePhase::Gone(status);
        self.quiet.notify_all();
    }

    /// Runs one job inside the plugin and wakes its caller.
    fn run(&self, job: &Job) {
        if !job.call.start() {
            self.ran(None);
            return;
        }
        let status = self.executor.run(&job.work, &job.call);
        let opened = matches!(job.work, Work::Open { .. }).then_some(status == abi::STATUS_OK);
        // Before the caller knows: its next call finds this worker free.
        self.ran(opened);
        if !job.call.finish(status) {
            (job.returned_late)();
        }
    }

    /// A job is over; if it was to open the instance, `opened` says whether it has.
    fn ran(&self, opened: Option<bool>) {
        let mut turned_away = VecDeque::new();
        let mut state = lock(&self.state);
        state.active -= 1;
        match opened {
            Some(true) => {
                state.opened = true;
                if state.phase == InstancePhase::Opening {
                    state.phase = InstancePhase::Open;
                }
            }
            Some(false) => {
                state.phase = InstancePhase::Retired;
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
