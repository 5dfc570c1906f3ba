//! Where telemetry is at work itself, so that what is logged there does not become telemetry.

use std::{cell::Cell, marker::PhantomData};

use jackfield_loader::plugin_api::{Backend, Batch, Call, Error, Host, Outcomes};

thread_local! {
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// Telemetry is at work on this thread until this is dropped.
#[derive(Debug)]
#[must_use = "it ends when this is dropped"]
pub(crate) struct ReentrancyGuard {
    before: bool,
    of_thread: PhantomData<*const ()>,
}

impl ReentrancyGuard {
    /// From here on, also within another.
    pub(crate) fn enter() -> Self {
        let before = AT_WORK.try_with(|at_work| at_work.replace(true)).unwrap_or(true);
        Self { before, of_thread: PhantomData }
    }

    /// From here on, unless telemetry is at work already.
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

/// A backend that is compiled into the tool and logs by the tool's `tracing`. Were that telemetry, each batch would make
/// the next one.
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
