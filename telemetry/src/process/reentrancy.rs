//! A guard against reentrancy: log records that telemetry itself causes do not become telemetry.

use std::{cell::Cell, marker::PhantomData};

use jackfield_loader::plugin_api::{Backend, Batch, Call, Error, Host, Outcomes};

thread_local! {
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// While this value lives, telemetry works on this thread.
#[derive(Debug)]
#[must_use = "it ends when this is dropped"]
pub(crate) struct ReentrancyGuard {
    before: bool,
    of_thread: PhantomData<*const ()>,
}

impl ReentrancyGuard {
    /// Begins such a time, also within another.
    pub(crate) fn enter() -> Self {
        let before = AT_WORK.try_with(|at_work| at_work.replace(true)).unwrap_or(true);
        Self { before, of_thread: PhantomData }
    }

    /// Begins such a time; `None` when telemetry works on this thread already.
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
/// events for the next one.
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
