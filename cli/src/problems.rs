//! What is wrong with a run, by its status.

use jackfield_loader::ForeignText;

use crate::{
    run_state::{BackendNow, Snapshot},
    status_text,
};

impl Snapshot {
    /// What keeps events from being read, stored or delivered at the time of the status, one line each.
    ///
    /// Events that were dropped or rejected earlier are no problem of this kind: a later status can't be better.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems: Vec<_> =
            status_text::holding(self).into_iter().chain(status_text::not_stored(self)).collect();
        for spool in &self.spools {
            let of_backends = spool.backends.iter().flat_map(of_backend);
            let of_spool = spool.problems.iter().map(ForeignText::to_string).chain(of_backends);
            problems.extend(of_spool.map(|problem| match self.spools.len() {
                1 => problem,
                _ => format!("{}: {problem}", spool.tool),
            }));
        }
        problems
    }
}

fn of_backend(backend: &BackendNow) -> impl Iterator<Item = String> {
    let paused = backend.paused_s.map(|seconds| {
        let reason = backend.last_error.as_ref().map_or(String::new(), |error| format!(": {error}"));
        format!("{}: circuit open, next attempt in {seconds} s{reason}", backend.name)
    });
    paused.into_iter().chain(status_text::not_as_configured(backend))
}
