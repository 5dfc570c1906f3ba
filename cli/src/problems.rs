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
        let reason = backend
            .last_error
            .as_ref()
            .map_or(String::new(), |error| format!(": {}", cause(&error.to_string())));
        format!("{}: circuit open, next attempt in {seconds} s{reason}", backend.name)
    });
    paused.into_iter().chain(status_text::not_as_configured(backend))
}

/// The reason in the error of a call that an open circuit has refused: the problem says that by itself, with the time of
/// the next attempt.
fn cause(error: &str) -> &str {
    let reason = error.strip_prefix("circuit open for another ").and_then(|rest| rest.split_once(" s: "));
    reason.map_or(error, |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jackfield_loader::Failure;

    use super::cause;

    #[test]
    fn an_open_circuit_is_said_once() {
        let failure = |reason: &str| {
            let (retry_after, reason) = (Duration::from_millis(200), reason.to_owned());
            Failure::CircuitOpen { retry_after, reason }.to_string()
        };
        assert_eq!(cause(&failure("no answer")), "no answer");
        assert_eq!(cause(&failure("within 2 s: no answer")), "within 2 s: no answer");
        assert_eq!(cause("127.0.0.1:8080: connection refused"), "127.0.0.1:8080: connection refused");
    }
}
