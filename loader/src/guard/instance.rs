//! One instance of a backend, and the worker threads that enter it.
//!
//! The first worker opens the instance, and calls that arrive meanwhile wait in the queue. Workers are
//! started when calls need them, up to a limit. No call enters a retired instance, and its last worker frees
//! it. A worker that never returns from the plugin keeps the instance alive, and nothing else.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use jackfield_plugin_api::abi::{self, Status};

use super::call::{Ended, Explanation};
use super::error::CloseFailure;
use super::executor::{Executor, Job, Work};
use super::spin::Spin;
use crate::boundary::process::{backend_thread, lock};
use crate::load::dlopen::LoadError;
use crate::load::loaded_libraries::hanging_load;

pub(super) struct GuardedInstance {
    pub(super) executor: Box<dyn Executor>,
    backend: String,
    most_workers: usize,
    open: Arc<Job>,
    /// Number of jobs in the queue. Only for [`Spin`]: `queue` is decisive.
    queued: AtomicUsize,
    spin: Spin,
    queue: Mutex<Queue>,
    /// Notified of a job, and when the instance is retired.
    wake: Condvar,
    /// Notified of the end of a job, if there are `Queue::watchers`, and when the instance was freed.
    quiet: Condvar,
}

struct Queue {
    /// Whether there is an instance to free.
    opened: bool,
    jobs: VecDeque<Arc<Job>>,
    workers: usize,
    idle: usize,
    /// Number of jobs inside the plugin.
    active: usize,
    watchers: usize,
    /// Whether somebody waits for `free`. If not, it counts as a stuck call while it runs.
    free_is_awaited: bool,
    free_is_stuck: bool,
    phase: InstancePhase,
    freed: Result<(), CloseFailure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InstancePhase {
    Opening,
    Open,
    /// No call enters any more.
    Retired,
    /// The last worker has freed it.
    Gone,
}

impl GuardedInstance {
    /// Starts the first worker, which does the job `open`.
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
            queue: Mutex::new(Queue {
                opened: false,
                jobs: VecDeque::from([open]),
                workers: 0,
                idle: 0,
                active: 0,
                watchers: 0,
                free_is_awaited: false,
                free_is_stuck: false,
                phase: InstancePhase::Opening,
                freed: Ok(()),
            }),
            wake: Condvar::new(),
            quiet: Condvar::new(),
        });
        instance.hire(&mut lock(&instance.queue))?;
        Ok(instance)
    }

    fn hire(self: &Arc<Self>, queue: &mut Queue) -> io::Result<()> {
        if let Some((by, since)) = hanging_load() {
            return Err(io::Error::other(LoadError::Blocked { by, since }));
        }
        let worker = Arc::clone(self);
        backend_thread("call", &self.backend).spawn(move || worker.work())?;
        queue.workers += 1;
        Ok(())
    }

    /// Queues a job; `false` if the instance is retired. `no_worker` gets why another worker did not start.
    pub(super) fn submit(self: &Arc<Self>, job: Arc<Job>, no_worker: &mut Option<io::Error>) -> bool {
        let mut queue = lock(&self.queue);
        if matches!(queue.phase, InstancePhase::Retired | InstancePhase::Gone) {
            return false;
        }
        queue.jobs.push_back(job);
        self.queued.store(queue.jobs.len(), Ordering::Release);
        let free = queue.workers - queue.active;
        if free < queue.jobs.len()
            && queue.phase == InstancePhase::Open
            && queue.workers < self.most_workers()
        {
            // Without another thread the job waits for one of the present workers.
            *no_worker = self.hire(&mut queue).err();
        }
        if queue.idle > 0 {
            drop(queue);
            self.wake.notify_one();
        }
        true
    }

    fn most_workers(&self) -> usize {
        if self.executor.is_serial() { 1 } else { self.most_workers }
    }

    pub(super) fn phase(&self) -> InstancePhase {
        lock(&self.queue).phase
    }

    /// The failure of `open`; `None` if there is none yet.
    pub(super) fn open_failure(&self) -> Option<(Status, Explanation)> {
        self.open.call.failure()
    }

    /// Stops waiting for `open`; `true` if a thread stays inside the plugin.
    pub(super) fn abandon_open(&self) -> bool {
        matches!(self.open.call.abandon(), Ended::Expired { running: true, .. })
    }

    /// Lets no further call enter, and turns away the queued jobs.
    pub(super) fn retire(&self) {
        let mut queue = lock(&self.queue);
        if matches!(queue.phase, InstancePhase::Opening | InstancePhase::Open) {
            queue.phase = InstancePhase::Retired;
        }
        let turned_away = std::mem::take(&mut queue.jobs);
        drop(queue);
        self.wake.notify_all();
        turned_away.iter().for_each(|job| job.call.turn_away());
    }

    /// Waits until no job is queued or inside the plugin; `false` after the deadline.
    pub(super) fn wait_until_quiet(&self, deadline: Instant) -> bool {
        self.wait_for(deadline, |queue| queue.jobs.is_empty() && queue.active == 0)
    }

    /// Announces [`wait_until_gone`](Self::wait_until_gone), before the instance is retired.
    pub(super) fn await_free(&self) {
        lock(&self.queue).free_is_awaited = true;
    }

    /// Waits until the plugin's `free` has returned, and returns its result; `None` after the deadline. Call
    /// it once.
    pub(super) fn wait_until_gone(&self, deadline: Instant) -> Option<Result<(), CloseFailure>> {
        self.wait_for(deadline, |queue| queue.phase == InstancePhase::Gone);
        let mut queue = lock(&self.queue);
        if queue.phase == InstancePhase::Gone {
            return Some(queue.freed.clone());
        }
        queue.free_is_stuck = true;
        self.open.counters.call_got_stuck();
        None
    }

    fn wait_for(&self, deadline: Instant, done: impl Fn(&Queue) -> bool) -> bool {
        let mut queue = lock(&self.queue);
        queue.watchers += 1;
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.quiet.wait_timeout_while(queue, left, |queue| !done(queue));
        (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.watchers -= 1;
        done(&queue)
    }

    fn work(&self) {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                queue.active += 1;
                self.queued.store(queue.jobs.len(), Ordering::Release);
                drop(queue);
                self.run(&job);
                self.spin.until(|| self.queued.load(Ordering::Acquire) > 0);
                queue = lock(&self.queue);
            } else if queue.phase == InstancePhase::Retired {
                break;
            } else {
                queue.idle += 1;
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
        queue.workers -= 1;
        if queue.workers > 0 {
            return;
        }
        let opened = queue.opened;
        if opened && !queue.free_is_awaited {
            queue.free_is_stuck = true;
            self.open.counters.call_got_stuck();
        }
        drop(queue);
        // This is the last worker, because none is started once the instance is retired.
        let freed = self.executor.free(opened);
        let mut queue = lock(&self.queue);
        queue.phase = InstancePhase::Gone;
        queue.freed = freed;
        if queue.free_is_stuck {
            self.open.counters.stuck_call_returned();
        }
        drop(queue);
        self.quiet.notify_all();
    }

    fn run(&self, job: &Job) {
        if !job.call.start() {
            self.ran(None);
            return;
        }
        let status = self.executor.run(&job.work, &job.call);
        let opened = matches!(job.work, Work::Open).then_some(status == abi::STATUS_OK);
        // Before the caller is woken, so that its next call finds this worker free.
        self.ran(opened);
        if !job.call.finish(status) {
            job.counters.stuck_call_returned();
        }
    }

    /// Notes the end of a job. `opened` is whether the instance is open, for the job that opens it.
    fn ran(&self, opened: Option<bool>) {
        let mut turned_away = VecDeque::new();
        let mut queue = lock(&self.queue);
        queue.active -= 1;
        match opened {
            Some(true) => {
                queue.opened = true;
                if queue.phase == InstancePhase::Opening {
                    queue.phase = InstancePhase::Open;
                }
            }
            Some(false) => {
                queue.phase = InstancePhase::Retired;
                turned_away = std::mem::take(&mut queue.jobs);
            }
            None => {}
        }
        let watched = queue.watchers > 0;
        drop(queue);
        if watched {
            self.quiet.notify_all();
        }
        turned_away.iter().for_each(|job| job.call.turn_away());
    }
}
