//! The parts of the status: spools and backends with rates over the last seconds, and the result of a reload.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    time::{Duration, Instant},
};

use jackfield::{BackendStatus, LiveBackend, ReloadError, ReloadReport, Status};
use jackfield_loader::{LATENCY_BOUNDS, in_prose, show_path};

use super::tools::{Counted, Tool};
use crate::run_state::{BackendNow, CallTimes, PluginNow, SpoolNow};

/// The time over which a rate is computed.
const WINDOW: Duration = Duration::from_secs(3);

/// The earlier values that rates are computed from, for each spool.
#[derive(Default)]
pub(super) struct Rates(BTreeMap<PathBuf, Seen>);

struct Seen {
    counted: Counted,
    /// For each backend, the number of delivered events at earlier times.
    delivered: BTreeMap<String, VecDeque<(Instant, u64)>>,
}

impl Rates {
    /// The state of one spool now.
    pub(super) fn of(&mut self, tool: &Tool) -> SpoolNow {
        let live = tool.telemetry.live_backends();
        let seen = self.seen(tool);
        let is_known = |live: &LiveBackend| known_of(&seen.counted.status, &live.name).is_some();
        if Instant::now() >= seen.counted.again || !live.iter().all(is_known) {
            seen.counted = Counted::now(&tool.telemetry);
        }
        seen.now(tool, &live)
    }

    /// The state of one spool after its telemetry was closed, and its status. `live` is what its backends did
    /// until then.
    pub(super) fn at_the_end(&mut self, tool: &Tool, mut live: Vec<LiveBackend>) -> (SpoolNow, Status) {
        live.iter_mut().for_each(|backend| backend.open = false);
        let seen = self.seen(tool);
        seen.counted = Counted::now(&tool.telemetry);
        (seen.now(tool, &live), seen.counted.status.clone())
    }

    /// Drops the values of spools in other folders than these.
    pub(super) fn retain(&mut self, folders: &BTreeSet<PathBuf>) {
        self.0.retain(|folder, _| folders.contains(folder));
    }

    fn seen(&mut self, tool: &Tool) -> &mut Seen {
        let new = || Seen { counted: Counted::clone(&tool.before), delivered: BTreeMap::new() };
        self.0.entry(tool.folder()).or_insert_with(new)
    }
}

impl Seen {
    fn now(&mut self, tool: &Tool, live: &[LiveBackend]) -> SpoolNow {
        let (now, Self { counted: Counted { status, .. }, delivered }) = (Instant::now(), self);
        let backends = if live.is_empty() {
            let known = status.backends.iter();
            known.map(|known| backend(known, None, delivered, now)).collect()
        } else {
            // The backends that this process has, which may differ from the configuration.
            let known = live.iter().filter_map(|live| Some((known_of(status, &live.name)?, live)));
            known.map(|(known, live)| backend(known, Some(live), delivered, now)).collect()
        };
        SpoolNow {
            tool: tool.name.clone(),
            folder: status.folder.as_deref().map(show_path),
            waiting: status.events,
            bytes: status.bytes,
            oldest_s: status.oldest_s,
            dropped: status.dropped.iter().map(|(reason, lost)| (reason.into(), *lost)).collect(),
            dead_letters: status.dead_letters,
            problems: status.problems.clone(),
            backends,
        }
    }
}

fn known_of<'a>(status: &'a Status, name: &str) -> Option<&'a BackendStatus> {
    status.backends.iter().find(|known| known.name == name)
}

fn backend(
    known: &BackendStatus,
    live: Option<&LiveBackend>,
    delivered: &mut BTreeMap<String, VecDeque<(Instant, u64)>>,
    now: Instant,
) -> BackendNow {
    let stats = live.map(|live| live.stats.clone()).unwrap_or_default();
    let past = delivered.entry(known.name.clone()).or_default();
    // The count of a swapped backend begins at 0.
    if past.back().is_some_and(|(_, before)| *before > stats.delivered) {
        past.clear();
    }
    past.push_back((now, stats.delivered));
    while past.len() > 2 && now - past[0].0 > WINDOW {
        past.pop_front();
    }
    let (since, before) = past[0];
    let seconds = (now - since).as_secs_f64();
    let number = |events: u64| u32::try_from(events).map_or(f64::INFINITY, f64::from);
    let rate = if seconds > 0.0 { number(stats.delivered - before) / seconds } else { 0.0 };
    let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    BackendNow {
        name: (&known.name).into(),
        plugin: live.and_then(|live| live.plugin.as_ref()).map(|plugin| PluginNow {
            name: plugin.name.clone(),
            version: plugin.version.clone(),
            file: plugin.location.to_string().into(),
        }),
        isolation: live.map_or("thread", |live| live.isolation).into(),
        open: live.is_some_and(|live| live.open),
        events_per_s: (rate * 10.0).round() / 10.0,
        p50_ms: ms(stats.latency.p50),
        p99_ms: ms(stats.latency.p99),
        calls: stats.calls,
        call_times: CallTimes {
            sum_s: stats.latency.sum.as_secs_f64(),
            at_most: LATENCY_BOUNDS.iter().map(Duration::as_secs_f64).zip(stats.latency.at_most).collect(),
        },
        restarts: stats.restarts,
        waiting: known.waiting,
        delivered: known.delivered,
        rejected: known.rejected,
        circuit: if known.paused_s.is_some() { "open" } else { "closed" }.into(),
        paused_s: known.paused_s,
        last_error: known.last_error.clone(),
        last_error_s: known.last_error_s,
        last_delivery_s: known.last_delivery_s,
        swaps: live.map_or(0, |live| live.swaps),
        not_swapped: live.and_then(|live| live.not_swapped.clone()),
    }
}

/// The result of a reload in one line. The log has the reason for each backend that is not as configured.
pub(super) fn reload_in_one_line(outcome: &Result<ReloadReport, ReloadError>) -> String {
    let reloaded = match outcome {
        Ok(reloaded) => reloaded,
        Err(reason) => return reason.to_string(),
    };
    let refused = reloaded.refused.iter().map(|(name, _)| name);
    let refused = refused.filter(|name| !reloaded.closed.contains(name)).cloned();
    let (waiting, kept): (Vec<_>, Vec<_>) = refused.partition(|name| reloaded.added.contains(name));
    let added = reloaded.added.iter().filter(|name| !waiting.contains(name)).cloned().collect();
    let parts = [
        (&reloaded.swapped, "swapped"),
        (&added, "added"),
        (&reloaded.removed, "removed"),
        (&reloaded.unchanged, "unchanged"),
        (&reloaded.closed, "closed, not trusted any more"),
        (&kept, "not swapped"),
        (&waiting, "not available yet"),
    ];
    let part = |(names, what): (&Vec<String>, &str)| {
        let backends = if names.len() == 1 { "backend" } else { "backends" };
        format!("{backends} {} {what}", in_prose(names.iter().map(|name| format!("`{name}`"))))
    };
    let parts: Vec<_> = parts.into_iter().filter(|(names, _)| !names.is_empty()).map(part).collect();
    if parts.is_empty() { "nothing is open yet".to_owned() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_reload_names_each_backend() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let mut reloaded = ReloadReport::default();
        assert_eq!(reload_in_one_line(&Ok(reloaded.clone())), "nothing is open yet");
        reloaded.removed = names(&["file"]);
        assert_eq!(reload_in_one_line(&Ok(reloaded.clone())), "backend `file` removed");
        reloaded.swapped = names(&["a", "b"]);
        reloaded.added = names(&["c", "new"]);
        reloaded.closed = names(&["e"]);
        reloaded.refused = ["new", "e", "d"].map(|name| (name.to_owned(), "why".to_owned())).to_vec();
        assert_eq!(
            reload_in_one_line(&Ok(reloaded)),
            "backends `a`, `b` swapped; backend `c` added; backend `file` removed; backend `e` closed, \
             not trusted any more; backend `d` not swapped; \
             backend `new` not available yet"
        );
        let error = ReloadError { reason: "no".into() };
        assert_eq!(reload_in_one_line(&Err(error)), "all backends stay as they are: no");
    }
}
