//! The runtimes of a backend: made, lent to calls, ended.

use std::{
    any::Any,
    future::Future,
    io, mem,
    pin::{Pin, pin},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Handle, Runtime};

/// How long a thread that has done blocking work, such as the resolution of a name, waits for more of it.
const KEEP_ALIVE: Duration = Duration::from_millis(100);

/// How long a runtime may take to end.
const PATIENCE: Duration = Duration::from_millis(500);

/// Which runtimes the calls of a backend run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtimes {
    /// One runtime with a thread of its own. Tasks run between calls, too, so connections are kept alive, and all calls can
    /// use them.
    Shared,
    /// A runtime for each of the calls that run at the same time, without a thread: the calling thread drives it, and its
    /// tasks rest between calls. A request wakes no other thread, which makes it the fastest for a backend that waits for one
    /// answer after the other. What is made on one runtime works there alone:
    /// [`Call::of_runtime`](crate::Call::of_runtime). The runtime of a call that is cancelled ends with the call, and closes
    /// its connections: a request that nobody waits for would otherwise stay open.
    PerCall,
}

/// Why a call has no runtime, or has to end.
pub(crate) const CLOSED: &str = "the backend is closed";

/// The runtimes of one backend.
pub(crate) struct Pool {
    kind: Runtimes,
    configure: fn(&mut Builder),
    closed: AtomicBool,
    state: Mutex<State>,
    /// Notified when a call has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// The runtimes that no call has; the shared one stays here.
    idle: Vec<Slot>,
    /// How many calls have a runtime.
    running: usize,
}

/// A runtime and what belongs to it.
struct Slot {
    /// `None` once it is ended.
    runtime: Option<Runtime>,
    local: Arc<Local>,
    /// The thread that used it last.
    user: Option<ThreadId>,
}

/// The value of [`Call::of_runtime`](crate::Call::of_runtime).
#[derive(Default)]
pub(crate) struct Local(Mutex<Option<Box<dyn Any + Send>>>);

impl Local {
    pub(crate) fn get_or<T: Clone + Send + 'static, E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut value = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = value.as_ref().and_then(|value| value.downcast_ref::<T>()) {
            return Ok(value.clone());
        }
        let made = make()?;
        *value = Some(Box::new(made.clone()));
        Ok(made)
    }
}

/// A runtime that a call uses.
pub(crate) struct Lease<'p> {
    pool: &'p Pool,
    local: Arc<Local>,
    by: By,
    /// Whether the call is cancelled.
    over: AtomicBool,
}

enum By {
    /// The shared one.
    Handle(Handle),
    /// One that no other call uses; `None` while it is given back.
    Slot(Option<Slot>),
}

impl Pool {
    pub(crate) fn new(kind: Runtimes, configure: fn(&mut Builder)) -> io::Result<Self> {
        let pool = Self {
            kind,
            configure,
            closed: AtomicBool::new(false),
            state: Mutex::default(),
            ended: Condvar::new(),
        };
        let first = pool.slot()?;
        pool.state().idle.push(first);
        Ok(pool)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic can't leave it half-changed: slots are only taken and put back.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self) -> io::Result<Slot> {
        let mut builder = match self.kind {
            Runtimes::Shared => Builder::new_multi_thread(),
            Runtimes::PerCall => Builder::new_current_thread(),
        };
        builder.worker_threads(1).thread_name("jackfield-tokio").thread_keep_alive(KEEP_ALIVE).enable_all();
        (self.configure)(&mut builder);
        Ok(Slot { runtime: Some(builder.build()?), local: Arc::default(), user: None })
    }

    /// A runtime for a call. The error is the reason why there is none.
    pub(crate) fn lease(&self) -> Result<Lease<'_>, String> {
        let this = thread::current().id();
        let mut state = self.state();
        if self.closed.load(Ordering::Acquire) {
            return Err(CLOSED.to_owned());
        }
        if self.kind == Runtimes::Shared {
            let shared = state.idle.first().and_then(|slot| Some((slot.runtime.as_ref()?, &slot.local)));
            let (runtime, local) = shared.ok_or(CLOSED)?;
            let (local, by) = (Arc::clone(local), By::Handle(runtime.handle().clone()));
            state.running += 1;
            return Ok(Lease { pool: self, local, by, over: AtomicBool::new(false) });
        }
        // Prefers the one of this thread, whose data is in this processor's cache, then the last one that was used, whose
        // connections are most likely still open.
        let taken = match state.idle.iter().position(|slot| slot.user == Some(this)) {
            Some(at) => Some(state.idle.swap_remove(at)),
            None => state.idle.pop(),
        };
        state.running += 1;
        drop(state);
        let (local, over) = Default::default();
        let mut lease = Lease { pool: self, local, by: By::Slot(taken), over };
        if let By::Slot(slot @ None) = &mut lease.by {
            *slot = Some(self.slot().map_err(|error| format!("no runtime: {error}"))?);
        }
        if let By::Slot(Some(slot)) = &mut lease.by {
            slot.user = Some(this);
            lease.local = Arc::clone(&slot.local);
        }
        Ok(lease)
    }

    /// Cancels the running calls and waits for them, so long at most. Gives the runtimes, which no further call gets; `None` at
    /// the second time.
    pub(crate) fn close(&self, patience: Duration) -> Option<Taken> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return None;
        }
        let is_running = |state: &mut State| state.running > 0;
        let waited = self.ended.wait_timeout_while(self.state(), patience.min(PATIENCE), is_running);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let mut idle = mem::take(&mut state.idle);
        if idle.is_empty() {
            // The backend closes on a runtime, too, when a cancelled call has ended the last one.
            idle.extend(self.slot().ok());
        }
        Some(Taken(idle))
    }
}

impl Lease<'_> {
    pub(crate) fn local(&self) -> &Local {
        &self.local
    }

    /// Whether the backend has been closed meanwhile.
    pub(crate) fn is_closed(&self) -> bool {
        self.pool.closed.load(Ordering::Acquire)
    }

    /// Notes that the call is cancelled.
    pub(crate) fn ends(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(crate) fn block_on<F: Future>(&self, work: F) -> F::Output {
        once(work, |work| match &self.by {
            By::Handle(handle) => handle.block_on(work),
            By::Slot(slot) => {
                let runtime = slot.as_ref().and_then(|slot| slot.runtime.as_ref());
                runtime.expect("a slot in use has its runtime").block_on(work);
            }
        })
    }
}

/// Runs `work` by `run`. The code of a future is compiled again for each function that is given its type, and these have none.
fn once<F: Future>(work: F, run: impl FnOnce(Pin<&mut dyn Future<Output = ()>>)) -> F::Output {
    let mut result = None;
    run(pin!(async { result = Some(work.await) }));
    result.expect("`run` returns when the work is done")
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let slot = match &mut self.by {
            By::Slot(slot) => slot.take().filter(|_| !*self.over.get_mut()),
            By::Handle(_) => None,
        };
        let mut state = self.pool.state();
        state.running -= 1;
        state.idle.extend(slot);
        drop(state);
        // Only `close` waits, and to notify is a call of the system.
        if self.pool.closed.load(Ordering::Acquire) {
            self.pool.ended.notify_all();
        }
    }
}

/// The runtime on which a backend closes.
pub(crate) struct Last<'s> {
    runtime: &'s Runtime,
    pub(crate) local: &'s Local,
}

impl Last<'_> {
    pub(crate) fn block_on<F: Future>(&self, work: F) -> F::Output {
        once(work, |work| self.runtime.block_on(work))
    }
}

/// The runtimes of a backend that closes.
pub(crate) struct Taken(Vec<Slot>);

impl Taken {
    /// The runtime that was used first, for the last work of the backend.
    pub(crate) fn last(&self) -> Option<Last<'_>> {
        let slot = self.0.first()?;
        Some(Last { runtime: slot.runtime.as_ref()?, local: &slot.local })
    }

    /// Ends the runtimes, and waits so long for that at most. A thread that is still in blocking work then, such as the
    /// resolution of a name, can't be stopped and ends by itself.
    pub(crate) fn end(self, patience: Duration) {
        let deadline = Instant::now() + patience.min(PATIENCE);
        for mut slot in self.0 {
            if let Some(runtime) = slot.runtime.take() {
                runtime.shutdown_timeout(deadline.saturating_duration_since(Instant::now()));
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A drop would wait without limit for blocking work.
            runtime.shutdown_background();
        }
    }
}
