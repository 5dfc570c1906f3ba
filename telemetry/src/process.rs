//! Values and states of the process: forks, reentrancy, deadlines, locks.

use std::{
    cell::Cell,
    marker::PhantomData,
    sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use jackfield_loader::plugin_api::{Backend, Batch, Call, Error, Host, Outcomes};

/// The time until `deadline`.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Whole milliseconds; the most that there are for a longer duration.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Locks a mutex, also after a panic of another holder.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification, at most until `deadline` if there is one.
pub(crate) fn wait<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    deadline: Option<Instant>,
) -> MutexGuard<'a, T> {
    match deadline.map(left) {
        Some(left) => changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0,
        None => changed.wait(guard).unwrap_or_else(PoisonError::into_inner),
    }
}

/// A value for each process. A forked child inherits its parent's value, whose locks may be held by a thread that does not
/// exist in the child. So the child makes its own value, and never waits for the inherited one.
#[derive(Debug)]
pub(crate) struct PerProcess<T> {
    process: u32,
    value: T,
    next: OnceLock<Box<Self>>,
}

impl<T> PerProcess<T> {
    /// The value of the process with this number.
    pub(crate) fn new(process: u32, value: T) -> Self {
        Self { process, value, next: OnceLock::new() }
    }

    /// The value of `process`, the calling process. In a forked child `make` makes it from the inherited value.
    pub(crate) fn of(&self, process: u32, make: impl Fn(&T) -> T) -> &T {
        let mut slot = self;
        while slot.process != process {
            slot = slot.next.get_or_init(|| Box::new(Self::new(process, make(&slot.value))));
        }
        &slot.value
    }

    /// The value of `process`, if it has one.
    pub(crate) fn get(&self, process: u32) -> Option<&T> {
        let mut slot = self;
        while slot.process != process {
            slot = slot.next.get()?;
        }
        Some(&slot.value)
    }
}

thread_local! {
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// Marks the thread as one on which telemetry works, until it is dropped. Log records of telemetry itself do not become
/// telemetry.
#[derive(Debug)]
#[must_use = "it ends when this is dropped"]
pub(crate) struct ReentrancyGuard {
    before: bool,
    of_thread: PhantomData<*const ()>,
}

impl ReentrancyGuard {
    /// Marks the thread. A mark may be inside another one.
    pub(crate) fn enter() -> Self {
        let before = AT_WORK.try_with(|at_work| at_work.replace(true)).unwrap_or(true);
        Self { before, of_thread: PhantomData }
    }

    /// Marks the thread; `None` when it is marked already.
    #[cfg(feature = "tracing-layer")]
    pub(crate) fn enter_first() -> Option<Self> {
        let quiet = Self::enter();
        (!quiet.before).then_some(quiet)
    }
}

impl Drop for ReentrancyGuard {
    fn drop(&mut self) {
        let _ = AT_WORK.try_with(|at_work| at_work.set(self.before));
    }
}

/// A backend that is compiled into the tool, and logs through the tool's `tracing`. Without the guard each batch would make
/// events for the next batch.
pub(crate) struct GuardedBackend<B>(B);

impl<B> GuardedBackend<B> {
    pub(crate) fn make(make: impl FnOnce() -> B) -> Self {
        let _quiet = ReentrancyGuard::enter();
        Self(make())
    }
}

impl<B: Backend> Backend for GuardedBackend<B> {
    type Config = B::Config;

    const SERIAL: bool = B::SERIAL;

    fn open(config: B::Config, host: Host, call: &Call<'_>) -> Result<Self, Error> {
        let _quiet = ReentrancyGuard::enter();
        B::open(config, host, call).map(Self)
    }

    fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        let _quiet = ReentrancyGuard::enter();
        self.0.send(batch, call)
    }

    fn close(&self, call: &Call<'_>) -> Result<(), Error> {
        let _quiet = ReentrancyGuard::enter();
        self.0.close(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_makes_its_own_value_and_keeps_it() {
        let values = PerProcess::new(1, 10);
        assert_eq!(*values.of(1, |_| unreachable!()), 10);
        assert_eq!(values.get(2), None);
        assert_eq!(*values.of(2, |inherited| inherited + 1), 11);
        assert_eq!(*values.of(2, |_| unreachable!()), 11);
        assert_eq!((values.get(1), values.get(2)), (Some(&10), Some(&11)));
    }
}
