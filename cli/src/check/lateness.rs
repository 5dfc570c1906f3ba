//! How late this machine is: by how much a thread that only sleeps wakes too late, so that a busy machine fails no plugin.

use std::{
    io,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long the thread sleeps at a time.
const NAP: Duration = Duration::from_millis(5);

/// What the thread may sleep too long on an idle machine.
const USUAL: Duration = Duration::from_millis(1);

/// The ends of naps that were too long, and by how much, since the start of the process.
static LATE: Mutex<Vec<(Instant, Duration)>> = Mutex::new(Vec::new());

/// Starts the thread, which sleeps until the process ends.
pub(super) fn start() -> io::Result<()> {
    let sleep = || {
        loop {
            let start = Instant::now();
            thread::sleep(NAP);
            let end = Instant::now();
            let late = (end - start).saturating_sub(NAP);
            if late > USUAL {
                LATE.lock().unwrap_or_else(PoisonError::into_inner).push((end, late));
            }
        }
    };
    thread::Builder::new().name("check-lateness".to_owned()).spawn(sleep).map(drop)
}

/// The sum of what the thread has slept too long since `start`.
pub(super) fn since(start: Instant) -> Duration {
    let late = LATE.lock().unwrap_or_else(PoisonError::into_inner);
    late.iter().rev().take_while(|(end, _)| *end > start).map(|(_, late)| *late).sum()
}
