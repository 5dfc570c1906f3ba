//! A platform that is away, one that never answers, and a host that does not wait.

use std::{
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{
    conformance::{Answer, HostKind, Instance, Terms},
    plugin_api::{Outcome, abi},
};

use super::{
    endpoint::{self, Hung},
    events,
    finding::{CancellationToken, Checked, fail},
    ground::{self, Ground, SHORT, seconds},
    samples,
};

/// A platform that is away is no error, and no reason to lose events.
pub(super) fn unreachable(ground: &Ground) -> Checked {
    let instance = endpoint::open_at(ground, endpoint::closed()?)?;
    let answer = ground::send(&instance, &samples::ordinary(10), &Terms::new(SHORT))?;
    let found = kept(&answer)?;
    ground::end(instance, HostKind::Today)?;
    Ok(format!("{found} after {}", seconds(answer.took)))
}

/// `send` has succeeded, and no event is given up.
fn kept(answer: &Answer) -> Checked {
    if answer.status != abi::STATUS_OK {
        return Err(fail(
            format!("`send` returned status {}: {}", answer.status, ground::said(answer)),
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
            "report `retry`: `rejected` and `too large` are for what the platform says of events, and it has said nothing",
        ));
    }
    Ok(found)
}

/// With a platform that never answers, or else with the configured one.
pub(super) fn deadline(ground: &Ground) -> Checked {
    let (_hung, instance, whom) = hung_or_given(ground)?;
    let terms = Terms::new(SHORT);
    let answer = ground::send(&instance, &samples::ordinary(10), &terms)?;
    let found = if whom == HUNG { kept(&answer)? } else { events::complete(&answer)? };
    ground::end(instance, HostKind::Today)?;
    Ok(format!("{} of {} with {whom}: {found}", seconds(answer.took), seconds(SHORT)))
}

const HUNG: &str = "a platform that does not answer";

fn hung_or_given(ground: &Ground) -> Result<(Hung, Instance, &'static str), CancellationToken> {
    let hung = Hung::start()?;
    match endpoint::open_at(ground, hung.address()?) {
        Ok(instance) => Ok((hung, instance, HUNG)),
        Err(CancellationToken::Skip(_)) => {
            Ok((hung, ground.open()?, "the given options, of which none is an endpoint"))
        }
        Err(stop) => Err(stop),
    }
}

/// How soon after a cancellation a call returns.
const SOON: Duration = Duration::from_secs(2);

/// Nobody waits any more, long before the timeout.
pub(super) fn cancel(ground: &Ground) -> Checked {
    const BEFORE: Duration = Duration::from_millis(300);
    let (_hung, instance, _) = hung_or_given(ground)?;
    let terms = Terms::new(Duration::from_secs(20));
    let cancel = terms.cancel.clone();
    let batch = samples::ordinary(10);
    let (answer, cancelled) = thread::scope(|scope| {
        let canceller =
            thread::Builder::new().name("check-cancel".to_owned()).spawn_scoped(scope, move || {
                thread::sleep(BEFORE);
                cancel.cancel();
                Instant::now()
            });
        let answer = instance.send(&batch, &terms);
        let returned = Instant::now();
        let cancelled = canceller.ok().and_then(|thread| thread.join().ok());
        (answer, cancelled.map(|at| returned.saturating_duration_since(at)))
    });
    ground::judge("send", &answer, &terms)?;
    ground::end(instance, HostKind::Today)?;
    match cancelled {
        Some(after) if after > SOON => Err(fail(
            format!("`send` went on for {} after it was cancelled", seconds(after)),
            "ask `call->cancelled` whenever the call waits, several times a second, and return",
        )),
        _ if answer.took < BEFORE => Ok("`send` had returned before".to_owned()),
        Some(after) => Ok(format!("{} after it was cancelled", seconds(after))),
        None => Err(fail("no thread can be had", "run it where threads can be started")),
    }
}
