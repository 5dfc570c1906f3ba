//! Deadlines: a platform that is away, a platform that never answers, and a host that cancels.

use std::{
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{
    conformance::{Answer, Instance, Terms},
    plugin_api::{Outcome, abi},
};

use crate::check::{
    checks::events,
    fake_platform::{self, SilentPlatform},
    harness::{self, CheckError, CheckResult, Harness, SHORT, fail, seconds},
    lateness, sample_events,
};

/// With a platform that is away, `send` succeeds and gives up no event.
pub(super) fn unreachable(harness: &Harness) -> CheckResult {
    let instance = fake_platform::open_at(harness, fake_platform::closed_address()?)?;
    let answer = harness::send_ordinary(&instance, 10, SHORT)?;
    let found = kept(harness, &answer)?;
    harness::end(instance)?;
    Ok(format!("{found} after {}", seconds(answer.took)))
}

/// Checks that `send` has succeeded and has neither given up nor delivered an event.
fn kept(harness: &Harness, answer: &Answer) -> CheckResult {
    if answer.status != abi::STATUS_OK {
        return Err(fail(
            format!("`send` returned status {}: {}", answer.status, harness::said(answer)),
            "a platform that is away is no error of the call: return OK, and report `retry` for the events",
        ));
    }
    let found = events::complete(answer)?;
    let lost = |outcome: &Option<Outcome>| {
        matches!(outcome, Some(Outcome::Rejected { .. } | Outcome::TooLarge { .. }))
    };
    if answer.outcomes.iter().any(lost) {
        return Err(fail(
            format!("events are given up for a platform that does not answer: {found}"),
            "report `retry`: `rejected` and `too large` are answers of a platform, and this platform has not answered",
        ));
    }
    let delivered = answer.outcomes.iter().any(|outcome| matches!(outcome, Some(Outcome::Delivered)));
    if delivered && harness.subject.plugin().metadata().acknowledges {
        return Err(fail(
            format!("events are reported as delivered to a platform that has not answered: {found}"),
            "report `delivered` when the platform has acknowledged the event; a backend that can't know, as over UDP, says \"acknowledges\": false in its metadata",
        ));
    }
    Ok(found)
}

/// `send` returns by its deadline, with a platform that never answers.
pub(super) fn deadline(harness: &Harness) -> CheckResult {
    let (_silent, instance) = silent(harness)?;
    let terms = Terms::new(SHORT);
    let answer = harness::send(&instance, &sample_events::ordinary(10), &terms)?;
    let found = kept(harness, &answer)?;
    harness::end(instance)?;
    Ok(format!(
        "{} of {} with a platform that does not answer: {found}",
        seconds(answer.took),
        seconds(SHORT)
    ))
}

fn silent(harness: &Harness) -> Result<(SilentPlatform, Instance), CheckError> {
    let silent = SilentPlatform::start()?;
    let instance = fake_platform::open_at(harness, silent.address()?)?;
    Ok((silent, instance))
}

/// The time after a cancellation in which a call has to return.
const SOON: Duration = Duration::from_secs(2);

/// `send` returns soon after the host has cancelled it, long before its timeout.
pub(super) fn cancel(harness: &Harness) -> CheckResult {
    /// The time after which `send` should be waiting. No event reports that it waits.
    const BEFORE: Duration = Duration::from_millis(300);
    let (_silent, instance) = silent(harness)?;
    let terms = Terms::new(Duration::from_secs(20));
    let cancel = terms.cancel.clone();
    let batch = sample_events::ordinary(10);
    let (answer, cancelled, late) = thread::scope(|scope| {
        let canceller =
            thread::Builder::new().name("check-cancel".to_owned()).spawn_scoped(scope, move || {
                thread::sleep(BEFORE);
                cancel.cancel();
                Instant::now()
            });
        let answer = instance.send(&batch, &terms);
        let returned = Instant::now();
        let cancelled = canceller.ok().and_then(|thread| thread.join().ok());
        let late = cancelled.map_or(Duration::ZERO, lateness::since);
        (answer, cancelled.map(|at| returned.saturating_duration_since(at)), late)
    });
    harness::judge("send", &answer, &terms)?;
    harness::end(instance)?;
    match cancelled {
        Some(after) if after > SOON + late => Err(fail(
            format!("`send` went on for {} after it was cancelled", seconds(after)),
            "ask `call->cancelled` whenever the call waits, several times a second, and return",
        )),
        _ if answer.took < BEFORE => Ok("`send` returned before it was cancelled".to_owned()),
        Some(after) => Ok(format!("{} after it was cancelled", seconds(after))),
        None => Err(fail("no thread can be started", "run it where threads can be started")),
    }
}
