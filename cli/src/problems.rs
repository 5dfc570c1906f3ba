//! What is wrong with a run, by its status.

use jackfield_loader::count;

use crate::run_state::{BackendNow, Snapshot, SpoolNow};

impl Snapshot {
    /// What keeps events from being read, stored or delivered at the time of the status, one line each.
    ///
    /// Events that were dropped or rejected earlier are no problem of this kind: a later status can't be better.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems: Vec<_> = self.holding.iter().map(|holding| holding.line(self.at_ms)).collect();
        if self.not_stored > 0 {
            let lost = count(self.not_stored, "line");
            problems.push(format!("{lost} could not be stored and will never be delivered"));
        }
        for spool in &self.spools {
            let mut add = |problem: String| {
                problems.push(match self.spools.len() {
                    1 => problem,
                    _ => format!("{}: {problem}", spool.tool),
                });
            };
            let SpoolNow { problems, backends, .. } = spool;
            problems.iter().for_each(|problem| add(problem.to_string()));
            backends.iter().flat_map(of_backend).for_each(add);
        }
        problems
    }
}

fn of_backend(backend: &BackendNow) -> impl Iterator<Item = String> {
    let paused = backend.paused_s.map(|seconds| {
        let reason = backend.last_error.as_ref().map_or(String::new(), |error| format!(": {error}"));
        format!("circuit open, next attempt in {seconds} s{reason}")
    });
    [paused, backend.not_as_configured()]
        .into_iter()
        .flatten()
        .map(|problem| format!("{}: {problem}", backend.name))
}
