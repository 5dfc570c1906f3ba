//! What a run tells the service manager that started it, by the protocol of `sd_notify(3)`.
//!
//! Without the variable `NOTIFY_SOCKET`, and on systems other than Unix, nothing is sent.

use std::time::{Duration, Instant};

use jackfield_loader::count;

use crate::run_state::Snapshot;

/// The shortest time between two texts of `systemctl status`.
const TEXT: Duration = Duration::from_secs(5);

pub(super) struct ServiceManager {
    /// The time after which the service manager ends a run from which it has not heard.
    watchdog: Option<Duration>,
    watchdog_told: Option<Instant>,
    text: String,
    text_told: Option<Instant>,
}

impl ServiceManager {
    /// The service manager that the environment names.
    pub(super) fn new() -> Self {
        Self { watchdog: protocol::watchdog(), watchdog_told: None, text: String::new(), text_told: None }
    }

    /// Tells that events are read, also after a reload.
    pub(super) fn tell_ready() {
        protocol::tell_ready();
    }

    pub(super) fn tell_reloading() {
        protocol::tell_reloading();
    }

    pub(super) fn tell_stopping() {
        protocol::tell_stopping();
    }

    /// Tells that the run is alive, twice in the time of the watchdog, and what it does, if that is new.
    pub(super) fn tell_alive(&mut self, now: &Snapshot) {
        if let Some(watchdog) = self.watchdog
            && is_due(self.watchdog_told, watchdog / 2)
        {
            protocol::tell_alive();
            self.watchdog_told = Some(Instant::now());
        }
        if is_due(self.text_told, TEXT) {
            let text = text(now);
            if text != self.text {
                protocol::tell_text(&text);
                self.text = text;
                self.text_told = Some(Instant::now());
            }
        }
    }
}

fn is_due(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}

/// One line for `systemctl status`.
fn text(now: &Snapshot) -> String {
    let waiting: u64 = now.spools.iter().map(|spool| spool.waiting).sum();
    let numbers = format!("{}, {}", count(now.events, "event"), count(waiting, "waiting event"));
    let mut problems = now.problems().into_iter();
    match (problems.next(), problems.len()) {
        (None, _) => numbers,
        (Some(first), 0) => format!("{numbers}; {first}"),
        (Some(first), others) => format!("{numbers}; {first}; {}", count(others, "more problem")),
    }
}

#[cfg(unix)]
mod protocol {
    use std::{io, time::Duration};

    use sd_notify::NotifyState;

    pub(super) fn watchdog() -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }

    pub(super) fn tell_ready() {
        log(sd_notify::notify(&[NotifyState::Ready]));
    }

    pub(super) fn tell_reloading() {
        let now = NotifyState::monotonic_usec_now();
        log(now.and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])));
    }

    pub(super) fn tell_stopping() {
        log(sd_notify::notify(&[NotifyState::Stopping]));
    }

    pub(super) fn tell_alive() {
        log(sd_notify::notify(&[NotifyState::Watchdog]));
    }

    pub(super) fn tell_text(text: &str) {
        log(sd_notify::notify(&[NotifyState::Status(text)]));
    }

    fn log(told: io::Result<()>) {
        if let Err(error) = told {
            tracing::debug!("the service manager is not told: {error}");
        }
    }
}

#[cfg(not(unix))]
mod protocol {
    use std::time::Duration;

    pub(super) fn watchdog() -> Option<Duration> {
        None
    }

    pub(super) fn tell_ready() {}

    pub(super) fn tell_reloading() {}

    pub(super) fn tell_stopping() {}

    pub(super) fn tell_alive() {}

    pub(super) fn tell_text(_: &str) {}
}
