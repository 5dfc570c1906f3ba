//! The log of a backend that is down: one line when it goes down, at most one a minute while it is down, and one when
//! it is back.

use std::time::Duration;

use jackfield_loader::{ForeignText, count, span};
use serde::{Deserialize, Serialize};

use crate::process::milliseconds;

/// The least time between two lines of the log that say the same, in milliseconds.
pub(super) const REPEAT_MS: u64 = 60_000;

/// The target of the lines, by which a filter of a log selects them.
const TARGET: &str = "jackfield::outage";

/// An outage of a backend. It is kept on disk, so that another process does not report it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outage {
    /// The time of the first failed attempt, in milliseconds since 1970.
    since_ms: u64,
    /// The time of the last line in the log, in milliseconds since 1970.
    logged_ms: u64,
    /// The number of failed attempts since that line.
    unlogged: u64,
}

/// The line for the log. It is written after all locks are released.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the log is to have it"]
pub(crate) enum OutageNews {
    Nothing,
    Down { reason: ForeignText, pause: Option<Duration>, outage: Outage, is_new: bool },
    Back { away_ms: u64, settled: u64 },
}

impl Outage {
    /// Notes a failed attempt. `pause` is the time until the next one.
    pub(crate) fn fails(
        outage: &mut Option<Self>,
        reason: ForeignText,
        pause: Option<Duration>,
        now_ms: u64,
    ) -> OutageNews {
        let is_new = outage.is_none();
        let known = outage.get_or_insert(Self { since_ms: now_ms, logged_ms: now_ms, unlogged: 0 });
        known.unlogged += 1;
        // The clock may have been set back.
        if !is_new && now_ms.abs_diff(known.logged_ms) < REPEAT_MS {
            return OutageNews::Nothing;
        }
        let news = OutageNews::Down { reason, pause, outage: known.clone(), is_new };
        (known.logged_ms, known.unlogged) = (now_ms, 0);
        news
    }

    /// Notes that the backend has settled so many events.
    pub(crate) fn ends(outage: &mut Option<Self>, settled: u64, now_ms: u64) -> OutageNews {
        match outage.take() {
            Some(outage) => OutageNews::Back { away_ms: now_ms.saturating_sub(outage.since_ms), settled },
            None => OutageNews::Nothing,
        }
    }
}

impl OutageNews {
    /// Writes the line, if there is one. `waiting` returns the bytes of events that wait for the backend.
    pub(crate) fn log(self, backend: &str, now_ms: u64, waiting: impl FnOnce() -> u64) {
        let shown = |ms: u64| span(ms.div_ceil(1000));
        match self {
            Self::Nothing => {}
            Self::Down { reason, pause, outage, is_new } => {
                let again = pause.map_or_else(
                    || "with the next delivery".to_owned(),
                    |pause| format!("in {}", shown(milliseconds(pause))),
                );
                let attempts = count(outage.unlogged, "attempt");
                if is_new {
                    tracing::warn!(
                        target: TARGET,
                        backend,
                        "backend {backend} is down, its events wait, the next attempt is {again}: {reason}"
                    );
                } else {
                    tracing::warn!(
                        target: TARGET,
                        backend,
                        "backend {backend} is still down after {}, {attempts} failed since the last report, the next one is \
                         {again}: {reason}",
                        shown(now_ms.saturating_sub(outage.since_ms))
                    );
                }
            }
            Self::Back { away_ms, settled } => tracing::info!(
                target: TARGET,
                backend,
                "backend {backend} is back after {}, has taken {}, and {} bytes of events still wait for it",
                shown(away_ms),
                count(settled, "event"),
                waiting()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_logged_and_then_one_a_minute() {
        let mut outage = None;
        let mut at = |seconds: u64| Outage::fails(&mut outage, "away".into(), None, seconds * 1000);
        let logged = |news: OutageNews| match news {
            OutageNews::Down { outage, .. } => Some(outage.unlogged),
            _ => None,
        };
        assert_eq!(logged(at(100)), Some(1));
        assert_eq!((101..160).filter_map(|second| logged(at(second))).count(), 0);
        assert_eq!(logged(at(160)), Some(60));
        assert_eq!(logged(at(161)), None);
        // The clock jumps back by an hour and more.
        assert_eq!(logged(at(0)), Some(2));
        assert_eq!(Outage::ends(&mut outage, 7, 230_000), OutageNews::Back { away_ms: 130_000, settled: 7 });
        assert_eq!(Outage::ends(&mut outage, 7, 231_000), OutageNews::Nothing);
    }
}
