//! Deadlines: platforms that are away, never accept, never answer or never end their answer, and a host that cancels.

use std::{
    net::SocketAddr,
    sync::{
        PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{
    conformance::{Answer, Instance, Terms},
    count,
    plugin_api::Outcome,
};

use crate::check::{
    checks::events,
    endpoint,
    fake_platform::{self, FullPlatform, SilentPlatform},
    harness::{self, CheckError, CheckResult, Harness, SHORT, fail, seconds},
    lateness, sample_events,
};

/// The timeout of a further call to a platform that does not answer.
const SHORTER: Duration = Duration::from_secs(1);

/// A platform that is away, closes or breaks each connection without an answer, or accepts none, takes no event, and rejects none.
/// One that answers once takes no more.
pub(super) fn unreachable(harness: &Harness) -> CheckResult {
    let mut found = Vec::new();
    for (platform, address) in [
        ("away", fake_platform::closed_address()?),
        ("closing", fake_platform::start_closing()?),
        ("breaking connections", fake_platform::start_breaking()?),
    ] {
        let instance = endpoint::open_at(harness, address)?;
        let (outcomes, longest) = send_and_keep(harness, &instance)?;
        harness::end(instance)?;
        found.push(format!("{platform}: {outcomes} after {}", seconds(longest)));
    }
    found.push(format!("failing after one answer: {}", answered_once(harness)?));
    if let Some(full) = FullPlatform::start() {
        let instance = endpoint::open_at(harness, full.address()?)?;
        let answer = harness::send_ordinary(&instance, 10, SHORTER)?;
        let outcomes = kept(harness, &answer)?;
        harness::end(instance)?;
        found.push(format!("accepting nobody: {outcomes} after {}", seconds(answer.took)));
    }
    Ok(found.join("; "))
}

/// Sends a batch to a platform that answers once. An answer is about the events of one request, or about one line, and not about
/// those that the platform has not got.
fn answered_once(harness: &Harness) -> CheckResult {
    let (address, answered) = fake_platform::start_failing()?;
    let instance = endpoint::open_at(harness, address)?;
    let answer = harness::send_ordinary(&instance, sample_events::LARGE, SHORT)?;
    harness::end(instance)?;
    events::no_partial_silence(&answer, SHORT)?;
    let got = sample_events::numbers_in(&answered.lock().unwrap_or_else(PoisonError::into_inner));
    let is_wrong = |(number, outcome): (usize, &Option<Outcome>)| {
        *outcome == Some(Outcome::Delivered) && !got.contains(&number)
    };
    let wrong = answer.outcomes.iter().enumerate().filter(|it| is_wrong(*it)).count();
    // What is compressed shows no event.
    if wrong > 0 && !got.is_empty() && harness.subject.plugin().metadata().acknowledges {
        return Err(fail(
            format!(
                "{} are reported as delivered that were in nothing the platform has answered",
                count(wrong, "event")
            ),
            "report of each event what the platform has answered to the request that it was in, and `retry` of those that were not sent",
        ));
    }
    events::counts(&answer)
}

/// Sends batches to a platform that answers nothing, which may lose no event. Gives the outcomes of the first, and the longest
/// time of a call.
fn send_and_keep(harness: &Harness, instance: &Instance) -> Result<(String, Duration), CheckError> {
    let few = harness::send_ordinary(instance, 10, SHORT)?;
    let found = kept(harness, &few)?;
    let many = harness::send_ordinary(instance, sample_events::LARGE, SHORT)?;
    kept(harness, &many)?;
    for answer in [&few, &many] {
        events::no_partial_silence(answer, SHORT)?;
    }
    let mut longest = few.took.max(many.took);
    if [&few, &many].iter().any(|answer| answer.outcomes.iter().any(is_too_large)) {
        // The host sends parts, at last one event alone.
        let one = harness::send_ordinary(instance, 1, SHORT)?;
        kept(harness, &one)?;
        longest = longest.max(one.took);
    }
    Ok((found, longest))
}

fn is_too_large(outcome: &Option<Outcome>) -> bool {
    matches!(outcome, Some(Outcome::TooLarge { .. }))
}

/// Checks that a call to a platform that has answered nothing neither gives up an event nor reports it as delivered, however the
/// call ended. Gives counts of the outcomes.
pub(super) fn kept(harness: &Harness, answer: &Answer) -> CheckResult {
    let found = events::counts(answer)?;
    let is_alone = answer.outcomes.len() == 1;
    // The host sends parts of what is too large. It gives up one event that is.
    let is_lost = |outcome: &Option<Outcome>| {
        matches!(outcome, Some(Outcome::Rejected { .. })) || is_alone && is_too_large(outcome)
    };
    if answer.outcomes.iter().any(is_lost) {
        return Err(fail(
            format!("events are given up for a platform that does not answer: {found}"),
            "report `retry`: `rejected`, and `too large` for one event, are answers of a platform, and this platform has not answered",
        ));
    }
    let delivered = answer.outcomes.contains(&Some(Outcome::Delivered));
    if delivered && harness.subject.plugin().metadata().acknowledges {
        return Err(fail(
            format!("events are reported as delivered to a platform that has not answered: {found}"),
            "report `delivered` when the platform has acknowledged the event; a backend that can't know, as over UDP, says \"acknowledges\": false in its metadata",
        ));
    }
    Ok(found)
}

/// `send` returns by its deadline, with a platform that never answers, and with one that never ends its answer.
pub(super) fn deadline(harness: &Harness) -> CheckResult {
    let silent = SilentPlatform::start()?;
    let instance = endpoint::open_at(harness, silent.address()?)?;
    let (found, longest) = send_and_keep(harness, &instance)?;
    harness::end(instance)?;
    // What a byte of an answer means for the events is the platform's affair.
    let instance = endpoint::open_at(harness, fake_platform::start_slow()?)?;
    let slow = harness::send_ordinary(&instance, 10, SHORTER)?;
    harness::end(instance)?;
    Ok(format!(
        "{} of {} with a platform that does not answer: {found}; {} of {} with one whose answer does not end",
        seconds(longest),
        seconds(SHORT),
        seconds(slow.took),
        seconds(SHORTER)
    ))
}

/// The time after a cancellation in which a call has to return.
const SOON: Duration = Duration::from_secs(2);

/// `send` returns soon after the host has cancelled it, long before its timeout, wherever it waits.
pub(super) fn cancel(harness: &Harness) -> CheckResult {
    let silent = SilentPlatform::start()?;
    let found = cancelled(harness, silent.address()?, true)?;
    if let Some(full) = FullPlatform::start() {
        cancelled(harness, full.address()?, true)?;
    }
    cancelled(harness, fake_platform::start_slow()?, false)?;
    Ok(found)
}

/// Cancels a call to this platform. If it is silent, the events have to be kept.
fn cancelled(harness: &Harness, platform: SocketAddr, is_silent: bool) -> CheckResult {
    /// The time after which `send` should be waiting. No event reports that it waits.
    const BEFORE: Duration = Duration::from_millis(300);
    let instance = endpoint::open_at(harness, platform)?;
    let terms = Terms::new(Duration::from_secs(20));
    let cancel = terms.cancel.clone();
    let batch = sample_events::ordinary(10);
    let (answer, cancelled, late) = thread::scope(|scope| {
        let (returned, has_returned) = mpsc::channel::<()>();
        let wait = move || {
            let waits = has_returned.recv_timeout(BEFORE) == Err(RecvTimeoutError::Timeout);
            waits.then(|| {
                cancel.cancel();
                Instant::now()
            })
        };
        let canceller = thread::Builder::new().name("check-cancel".to_owned()).spawn_scoped(scope, wait);
        let answer = instance.send(&batch, &terms);
        let end = Instant::now();
        drop(returned);
        let cancelled = canceller.map(|thread| thread.join().ok().flatten());
        let late = cancelled.as_ref().ok().and_then(|at| *at).map_or(Duration::ZERO, lateness::since);
        (answer, cancelled.map(|at| at.map(|at| end.saturating_duration_since(at))), late)
    });
    let cancelled = cancelled.map_err(|error| {
        fail(format!("no thread can be started: {error}"), "run it where threads can be started")
    })?;
    harness::judge("send", &answer, &terms)?;
    if is_silent {
        kept(harness, &answer)?;
    }
    harness::end(instance)?;
    match cancelled {
        Some(after) if after > SOON + late => Err(fail(
            format!("`send` went on for {} after it was cancelled", seconds(after)),
            "ask `call->cancelled` whenever the call waits, several times a second, and return",
        )),
        Some(after) => Ok(format!("{} after it was cancelled", seconds(after))),
        None => Ok("`send` returned before it was cancelled".to_owned()),
    }
}
