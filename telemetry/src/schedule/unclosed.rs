//! In debug builds: a line on standard error when the main thread ends and a telemetry with events was not closed, as that
//! in a `static`, one that a thread still has, and one behind [`std::process::exit`].
//!
//! The end of the main thread is seen by a value of that thread, which [`init`](crate::init) makes. It is dropped after the
//! variables of `main`.
//!
//! # Platform
//! Where the system does not drop the values of the main thread, as with musl, there is no line.

use std::{
    io::Write as _,
    process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// The telemetries with events.
static USED: Mutex<Vec<Used>> = Mutex::new(Vec::new());

struct Used {
    tool: String,
    process: u32,
    is_closed: Arc<AtomicBool>,
}

/// Notes that a telemetry of this process has an event.
pub(crate) fn note(tool: &str, is_closed: &Arc<AtomicBool>) {
    // Only tried: in a forked child a thread of the parent may have had the lock.
    if let Ok(mut used) = USED.try_lock() {
        used.retain(|used| !used.is_closed.load(Ordering::Relaxed));
        used.push(Used { tool: tool.to_owned(), process: process::id(), is_closed: Arc::clone(is_closed) });
    }
}

/// Makes the end of this thread, the main thread, look for telemetries that were not closed.
pub(crate) fn look_at_the_end() {
    AT_THE_END.with(|_| {});
}

thread_local! {
    static AT_THE_END: AtTheEnd = const { AtTheEnd };
}

struct AtTheEnd;

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let Ok(used) = USED.try_lock() else { return };
        let is_open = |used: &&Used| used.process == process::id() && !used.is_closed.load(Ordering::Relaxed);
        for Used { tool, .. } in used.iter().filter(is_open) {
            // A log may need values of the thread that are gone.
            _ = writeln!(
                std::io::stderr(),
                "{tool}: its telemetry has events and was not closed, so they wait for the next run: call \
                 Telemetry::close at the end of main (a static is never dropped, and a clone in a thread may live \
                 longer than main), and CommandScope::finish_and_exit instead of std::process::exit (debug builds \
                 say this)"
            );
        }
    }
}
