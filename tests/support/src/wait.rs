//! Waiting for what another thread or process does.

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

/// Longer than anything that a test waits for takes, on a busy machine too. A test that fails waits so long.
pub const LONG: Duration = Duration::from_secs(120);

/// How long a wait sleeps between two looks, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];

/// Looks until it sees what `is_wanted`, and gives that.
///
/// # Panics
/// When that is not so after [`LONG`]; with what was seen last.
pub fn wait_for<T: Debug>(what: &str, look: impl FnMut() -> T, is_wanted: impl FnMut(&T) -> bool) -> T {
    within(LONG, look, is_wanted)
        .unwrap_or_else(|seen| panic!("waited {LONG:?} for this: {what}; last seen: {seen:?}"))
}

/// Waits until a condition holds.
///
/// # Panics
/// When it does not hold after [`LONG`].
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    wait_for(what, holds, |&holds| holds);
}

/// Looks until it sees what `is_wanted`, no longer than `limit`.
///
/// # Errors
/// What was seen last.
pub fn within<T>(
    limit: Duration,
    mut look: impl FnMut() -> T,
    mut is_wanted: impl FnMut(&T) -> bool,
) -> Result<T, T> {
    let end = Instant::now() + limit;
    let [mut pause, longest] = PAUSES;
    loop {
        let seen = look();
        if is_wanted(&seen) {
            return Ok(seen);
        }
        if Instant::now() >= end {
            return Err(seen);
        }
        thread::sleep(pause);
        pause = longest.min(pause * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_ends_with_the_first_wanted_value() {
        let mut number = 0;
        let mut next = || {
            number += 1;
            number
        };
        assert_eq!(wait_for("three", &mut next, |&seen| seen == 3), 3);
        wait_until("five", || next() == 5);
        assert_eq!(number, 5);
    }

    #[test]
    fn a_wait_with_a_limit_gives_what_was_seen_last() {
        assert_eq!(within(Duration::ZERO, || 1, |&seen| seen == 2), Err(1));
    }
}
