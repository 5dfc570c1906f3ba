//! A worker thread for each backend. It lives as long as the backend is configured.
//!
//! The thread of a pass assigns work to the workers, and each worker reports its result. So a backend that hangs does not
//! delay another. The thread of the pass does the work when no thread can be started, and for the last backend of a pass that
//! no service runs.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::delivery::backends::{BackendHandle, Backends, Table, Work};
use crate::delivery::pass_context::PassContext;
use crate::delivery::send::{BackendSender, StepResult};
use crate::process::{ReentrancyGuard, wait};

/// The pause after a failure that says no pause.
pub(crate) const UNKNOWN_PAUSE: Duration = Duration::from_secs(5);

/// The state of the workers, for the thread of the pass.
pub(super) struct Overview {
    /// Whether any worker has something to do.
    pub(super) is_busy: bool,
    /// The end of the next pause.
    pub(super) next_pause: Option<Instant>,
    /// Whether the backends are for the other spool by now.
    pub(super) is_stale: bool,
}

impl Table {
    fn is_busy(&self) -> bool {
        self.all().any(|handle| handle.work.is_under_way())
    }
}

impl Backends {
    pub(super) fn overview(&self) -> Overview {
        let table = self.table();
        let pause = |handle: &BackendHandle| match handle.work {
            Work::Paused(until) => Some(until),
            _ => None,
        };
        Overview {
            is_busy: table.is_busy(),
            next_pause: table.all().filter_map(pause).min(),
            is_stale: table.stale,
        }
    }

    /// Assigns work to every backend that is due. When a backend has no thread and can get none, its work is done before this
    /// returns. With `spares_one` the last backend gets no new thread.
    pub(super) fn assign(self: &Arc<Self>, pass: &Arc<PassContext>, spares_one: bool) {
        let mut inline = Vec::new();
        {
            let mut table = self.table();
            let now = Instant::now();
            let is_due = |handle: &BackendHandle| match handle.work {
                Work::Due => true,
                Work::Paused(until) => until <= now,
                _ => false,
            };
            let last = table.all().filter(|handle| is_due(handle)).last().map(|handle| handle.id);
            let spared = last.filter(|_| spares_one);
            for handle in table.all_mut().filter(|handle| is_due(handle)) {
                handle.work = Work::Assigned;
                if handle.has_worker {
                    continue;
                }
                if spared != Some(handle.id) && self.hire(handle) {
                    handle.has_worker = true;
                } else {
                    handle.work = Work::Running { look_again: false };
                    inline.push(handle.id);
                }
            }
            self.work.notify_all();
        }
        for id in inline {
            self.run(id, Arc::clone(pass));
        }
    }

    /// Starts the worker of a backend, if a thread can be had.
    fn hire(self: &Arc<Self>, handle: &BackendHandle) -> bool {
        // While a library hangs in the dynamic linker, a new thread can't begin.
        if jackfield_loader::hanging_load().is_some() {
            return false;
        }
        let worker = Worker { backends: Arc::clone(self), id: handle.id };
        let work = move || {
            let _quiet = ReentrancyGuard::enter();
            while let Some(pass) = worker.next_work() {
                worker.backends.run(worker.id, pass);
            }
        };
        thread::Builder::new().name(format!("deliver-{}", handle.target.name)).spawn(work).is_ok()
    }

    /// Delivers to a backend what waits for it.
    fn run(self: &Arc<Self>, id: u64, pass: Arc<PassContext>) {
        let mut running = Running { backends: self, id, pass: Some(pass) };
        while let Some(pass) = &running.pass {
            let result = BackendSender { pass, backends: self, id }.run();
            running.rest(result, true);
        }
    }

    /// Makes every backend look for new events.
    pub(super) fn look_again(&self) {
        for handle in self.table().all_mut() {
            match &mut handle.work {
                Work::Emptied => handle.work = Work::Due,
                Work::Running { look_again } => *look_again = true,
                _ => {}
            }
        }
    }

    /// Waits until no worker has work.
    pub(super) fn wait_for_rest(&self) {
        let mut table = self.table();
        while table.is_busy() {
            table = wait(&self.changed, table, None);
        }
    }

    /// Ends each worker once it has nothing to do.
    pub(crate) fn end(&self) {
        self.table().ended = true;
        self.work.notify_all();
    }
}

/// The thread of a backend.
struct Worker {
    backends: Arc<Backends>,
    id: u64,
}

impl Worker {
    /// Waits for work; `None` when the worker is to end.
    fn next_work(&self) -> Option<Arc<PassContext>> {
        let mut table = self.backends.table();
        loop {
            let ended = table.ended;
            let handle = table.get(self.id)?;
            if handle.work == Work::Assigned {
                handle.work = Work::Running { look_again: false };
                return table.pass.clone();
            }
            if ended {
                handle.has_worker = false;
                return None;
            }
            // A worker that waits holds no context of a pass, so that the claim ends with the pass.
            table = wait(&self.backends.work, table, None);
        }
    }
}

/// The work of a backend.
struct Running<'a> {
    backends: &'a Arc<Backends>,
    id: u64,
    /// `None` when the work is done.
    pass: Option<Arc<PassContext>>,
}

impl Running<'_> {
    /// Ends the work with this result, unless there may be new events. `lives`: the worker goes on.
    fn rest(&mut self, result: StepResult, lives: bool) {
        let Self { backends, id, pass } = self;
        let mut table = backends.table();
        let mut closed = None;
        if let Some(handle) = table.get(*id) {
            handle.has_worker &= lives;
            if result == StepResult::Emptied && handle.work == (Work::Running { look_again: true }) {
                handle.work = Work::Running { look_again: false };
                return;
            }
            handle.work = match result {
                StepResult::Emptied => Work::Emptied,
                StepResult::Failed { pause } => {
                    let known = pause.unwrap_or(UNKNOWN_PAUSE);
                    if pass.as_ref().is_some_and(|pass| pass.signal.is_some()) {
                        handle.progress.pauses(known);
                    }
                    Work::Paused(Instant::now() + known)
                }
                StepResult::Over => Work::Over,
            };
            closed = table.obey(*id);
        }
        // The context is dropped before the thread of the pass is told: the claim ends with the last context.
        let is_news = !table.is_busy() || table.all().any(|handle| handle.work == Work::Due);
        let signal = pass.take().and_then(|pass| pass.signal.clone()).filter(|_| is_news);
        backends.changed.notify_all();
        drop(table);
        if let Some(signal) = signal {
            signal.news();
        }
        backends.close_behind(closed);
    }
}

impl Drop for Running<'_> {
    /// Ends the work after a panic. The next pass starts another worker.
    fn drop(&mut self) {
        if self.pass.is_some() {
            self.rest(StepResult::Over, false);
        }
    }
}
