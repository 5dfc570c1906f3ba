//! The end of an instance, in each order that the contract allows.

use std::{thread, time::Duration};

use jackfield_loader::{
    conformance::{HostKind, Terms, late_records},
    count,
    plugin_api::{Outcome, abi},
};

use crate::check::{
    checks::deadlines,
    endpoint,
    fake_platform::{self, SilentPlatform},
    harness::{self, CheckError, CheckResult, Harness, SHORT, TIMEOUT, fail, skip},
    lives::{BRIEF, Life},
    sample_events,
};

pub(super) fn twice(harness: &Harness) -> CheckResult {
    let instance = harness.open()?;
    harness::send_ordinary(&instance, 1, TIMEOUT)?;
    harness::close(&instance, HostKind::Today)?;
    let terms = Terms::new(TIMEOUT);
    harness::judge("close", &instance.close(&terms), &terms)?;
    harness::free(instance)?;
    // A host frees an instance that has panicked, and does not close it.
    harness::free(harness.open()?)?;
    Ok("closed twice, and freed without being closed".to_owned())
}

pub(super) fn send_after(harness: &Harness) -> CheckResult {
    let instance = harness.open()?;
    harness::close(&instance, HostKind::Today)?;
    let answer = harness::send_ordinary(&instance, 3, TIMEOUT)?;
    harness::free(instance)?;
    if answer.outcomes.iter().flatten().any(|outcome| matches!(outcome, Outcome::Delivered)) {
        return Err(fail(
            "events are reported as delivered by a backend that is closed",
            "after `close`, `send` returns a status and explains it, or reports `retry`: what it sends with is released",
        ));
    }
    Ok(match answer.status {
        abi::STATUS_OK => "no event is delivered".to_owned(),
        _ => format!("answered: {}", harness::said(&answer)),
    })
}

pub(super) fn in_flight(harness: &Harness) -> CheckResult {
    /// The time after which `send` should be running. No event reports that it runs.
    const BEFORE: Duration = Duration::from_millis(100);
    if harness.subject.is_serial() {
        return Err(skip("a serial plugin is not entered twice at once"));
    }
    let silent = SilentPlatform::start()?;
    let (instance, is_silent) = endpoint::open_at_or_configured(harness, silent.address()?)?;
    let terms = Terms::new(SHORT);
    let closing = Terms::new(TIMEOUT);
    let batch = sample_events::ordinary(1000);
    let (sent, closed) = thread::scope(|scope| {
        let sender = thread::Builder::new()
            .name("check-send".to_owned())
            .spawn_scoped(scope, || instance.send(&batch, &terms));
        thread::sleep(BEFORE);
        let closed = instance.close(&closing);
        (sender.ok().and_then(|sender| sender.join().ok()), closed)
    });
    let Some(sent) = sent else {
        return Err(fail("no thread can be started", "run it where threads can be started"));
    };
    harness::judge("close", &closed, &closing)?;
    harness::judge("send", &sent, &terms)?;
    if is_silent {
        deadlines::kept(harness, &sent)?;
    }
    harness::free(instance)?;
    Ok(format!("`close` took {}, `send` {}", harness::seconds(closed.took), harness::seconds(sent.took)))
}

pub(super) fn after_failure(harness: &Harness) -> CheckResult {
    let (instance, is_away) = endpoint::open_at_or_configured(harness, fake_platform::closed_address()?)?;
    let terms = Terms::new(SHORT);
    terms.cancel.cancel();
    let cancelled = harness::send(&instance, &sample_events::ordinary(10), &terms)?;
    if is_away {
        deadlines::kept(harness, &cancelled)?;
    }
    harness::send_ordinary(&instance, 10, SHORT)?;
    harness::end(instance)?;
    let how = if is_away {
        "with a platform that is away"
    } else {
        "with a call that was cancelled from the start"
    };
    Ok(format!("closed {how}"))
}

/// Two instances are independent.
pub(super) fn several(harness: &Harness) -> CheckResult {
    let (first, second) = (harness.open()?, harness.open()?);
    let before = harness::send_ordinary(&second, 1, TIMEOUT)?;
    harness::send_ordinary(&first, 1, TIMEOUT)?;
    harness::end(first)?;
    let answer = harness::send_ordinary(&second, 1, TIMEOUT)?;
    if before.status == abi::STATUS_OK && answer.status != abi::STATUS_OK {
        return Err(fail(
            format!("the end of one instance ended another one: {}", harness::said(&answer)),
            "keep the state of an instance in the instance, and nothing in statics",
        ));
    }
    harness::end(second)?;
    match own_options(harness) {
        Err(CheckError::Skipped(_)) => Ok("one instance works after the end of another one".to_owned()),
        checked => checked.map(|()| {
            "one instance works after the end of another one, and keeps its own options".to_owned()
        }),
    }
}

/// Each instance sends to the platform of its own options, and not to that of a later or an earlier one.
fn own_options(harness: &Harness) -> Result<(), CheckError> {
    /// The time in which the instance contacts its platform, which does not answer.
    const CONTACT: Duration = Duration::from_millis(500);
    let (own, other) = (SilentPlatform::start()?, SilentPlatform::start()?);
    let first = endpoint::open_at(harness, own.address()?)?;
    let second = endpoint::open_at(harness, other.address()?)?;
    for (instance, foreign, when) in [(first, &other, "later"), (second, &own, "earlier")] {
        while foreign.was_contacted() {}
        harness::send_ordinary(&instance, 1, CONTACT)?;
        if foreign.was_contacted() {
            return Err(fail(
                format!("an instance sends to the platform of another one, which was opened {when}"),
                "keep the options of an instance in the instance, and nothing in statics",
            ));
        }
        harness::end(instance)?;
    }
    Ok(())
}

/// When an instance is gone, nothing of it goes on: what its threads do meanwhile is seen when they have ended.
pub(super) fn after_free(harness: &Harness) -> CheckResult {
    let advice =
        "end every thread in `close` and join it: a thread that outlives its instance runs in the tool";
    let silent = SilentPlatform::start()?;
    let mut lives = Life::with_platforms(harness)?;
    lives.extend(Life::at(harness, silent.address()?));
    for life in [Life::configured(harness)].iter().chain(&lives) {
        life.live(harness, BRIEF, || ())?;
        while silent.was_contacted() {}
        let have_ended = harness.wait_for_threads();
        if silent.was_contacted() {
            return Err(fail("the platform is contacted after `free`", advice));
        }
        // A thread that is allowed to stay may say something.
        if late_records() > 0 && harness.task.kept_threads == 0 {
            return Err(fail(format!("{} after `free`", count(late_records(), "log record")), advice));
        }
        if !have_ended {
            return Err(skip("threads run on after `free`: `leaks` counts them"));
        }
    }
    Ok(match lives.len() {
        0 => "no log record comes later".to_owned(),
        _ => "no log record and no connection comes later".to_owned(),
    })
}
