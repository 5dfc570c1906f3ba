//! Backends whose plugin is not there, for a process that leaves the delivery to another one: nobody would tell its user.

use crate::delivery::backend_state::States;
use crate::delivery::configured_backend::ConfiguredBackend;

/// Notes which of the backends named `due` have no plugin, writes it to the log at the beginning of the outage, and returns
/// the names of the others.
pub(crate) fn leave_out_missing<'a>(
    targets: &[ConfiguredBackend],
    due: Vec<&'a str>,
    states: &States,
    now_ms: u64,
) -> Vec<&'a str> {
    let of = |name: &str| targets.iter().find(|target| target.name == name);
    let missing: Vec<_> =
        due.iter().filter_map(|name| of(name).and_then(|target| Some((target, target.missing()?)))).collect();
    if missing.is_empty() {
        return due;
    }
    let mut all = states.load();
    for (target, error) in &missing {
        let state = all.entry(target.name.clone()).or_default();
        state.is_of(&target.fingerprint());
        let news = state.not_opened(error, now_ms, target.longest_pause());
        // Nobody has counted what waits; the line does not say it either.
        news.log(&target.name, now_ms, || 0);
    }
    states.keep(&all);
    let is_missing = |name: &str| missing.iter().any(|(target, _)| target.name == name);
    due.into_iter().filter(|name| !is_missing(name)).collect()
}
