//! The telemetry of the whole process, for tools that don't want to pass one on.

use std::sync::{LazyLock, OnceLock, atomic::Ordering};

use crate::api::telemetry::Telemetry;

static GLOBAL: OnceLock<Telemetry> = OnceLock::new();

/// The telemetry that [`Telemetry::make_global`] has set. Before that, one that records nothing: a library may call this
/// whether or not its tool has telemetry.
///
/// ```
/// # let (telemetry, _) = jackfield::Telemetry::for_tests();
/// telemetry.make_global();
/// jackfield::global().track("feature.used", "export", &[("format", "pdf")]);
/// ```
#[must_use]
pub fn global() -> &'static Telemetry {
    static NONE: LazyLock<Telemetry> =
        LazyLock::new(|| Telemetry::builder(String::new(), String::new()).enabled(false).build());
    GLOBAL.get().unwrap_or_else(|| &NONE)
}

impl Telemetry {
    /// Makes this the telemetry that [`global`] returns, for the rest of the process. `false` when there is one already, which
    /// then stays.
    ///
    /// The global one is no clone: the drop of the last clone, at the end of `main`, [closes](Self::close) the telemetry
    /// all the same. If no clone lives as long as `main`, as when a function sets the telemetry up, end `main` with
    /// `jackfield::global().close()`.
    pub fn make_global(&self) -> bool {
        let is_first = GLOBAL.set(self.beside()).is_ok();
        if is_first {
            self.core().is_global.store(true, Ordering::Relaxed);
        }
        is_first
    }
}
