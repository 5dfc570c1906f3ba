//! Batches and events of every size and shape, also from many threads.

use std::{sync::Mutex, thread, time::Duration};

use jackfield_loader::{
    Batch,
    conformance::{Answer, Instance, Terms},
    plugin_api::{Outcome, abi},
};

use crate::check::{
    harness::{self, CheckError, CheckResult, Harness, TIMEOUT, fail, skip},
    sample_events::{self, Sample},
};

/// Sends all batches, and ends the instance. Gives the number of events.
fn send_all(harness: &Harness, batches: impl IntoIterator<Item = Batch>) -> Result<usize, CheckError> {
    let instance = harness.open()?;
    let mut events = 0;
    for batch in batches {
        harness::send(&instance, &batch, &Terms::new(TIMEOUT))?;
        events += batch.len();
    }
    harness::end(instance)?;
    Ok(events)
}

pub(super) fn sizes(harness: &Harness) -> CheckResult {
    send_all(harness, [1, 0, 1000, 0, 1].map(sample_events::ordinary))?;
    Ok("1, 0 and 1000 events".to_owned())
}

pub(super) fn strings(harness: &Harness) -> CheckResult {
    let plane = |(number, text): (usize, String)| Sample {
        name: text.clone(),
        os_version: text.clone(),
        error: Some(text.clone()),
        args: Some(vec![text.clone()]),
        metadata: Some(vec![(text.clone(), text)]),
        ..Sample::new(number)
    };
    let planes: Vec<Sample> = sample_events::planes().into_iter().enumerate().map(plane).collect();
    let large = "x".repeat(1 << 20);
    let large = vec![
        Sample { name: large.clone(), ..Sample::new(1) },
        Sample { args: Some(vec![large.clone()]), ..Sample::new(2) },
        Sample { metadata: Some(vec![("key".to_owned(), large)]), ..Sample::new(3) },
        Sample::new(4),
    ];
    let blank = vec![Sample { blank: true, ..Sample::new(0) }];
    let count = send_all(harness, [blank, planes, large].map(sample_events::batch))?;
    Ok(format!("{count} events: every plane of Unicode, empty strings, 1 MiB"))
}

pub(super) fn shapes(harness: &Harness) -> CheckResult {
    let count = send_all(harness, [sample_events::batch(sample_events::shapes())])?;
    Ok(format!("{count} events: absent, empty and set fields, 500 pairs of metadata"))
}

/// A plugin that says something of a batch has to say it of each event.
pub(super) fn outcomes(harness: &Harness) -> CheckResult {
    let instance = harness.open()?;
    let mut found = Vec::new();
    for events in [1, 100, sample_events::LARGE] {
        let answer = harness::send_ordinary(&instance, events, TIMEOUT)?;
        no_partial_silence(&answer, TIMEOUT)?;
        found.push(format!("{} of {events}", counts(&answer)?));
    }
    harness::end(instance)?;
    Ok(found.join(", "))
}

/// Fails an answer that came in time, succeeded, and has outcomes for a part of the events. Silence counts as a retry wherever
/// else it is found.
pub(super) fn no_partial_silence(answer: &Answer, timeout: Duration) -> Result<(), CheckError> {
    let (all, silent) = (answer.outcomes.len(), answer.outcomes.iter().filter(|it| it.is_none()).count());
    if answer.status != abi::STATUS_OK || answer.took >= timeout || silent == 0 || silent == all {
        return Ok(());
    }
    Err(fail(
        format!("{silent} of {all} events have no outcome, and the others have one"),
        "report an outcome for each event before `send` returns OK: an event without an outcome is sent again, so it may arrive twice",
    ))
}

/// With the given options an event arrives. This shows nothing of a plugin that can't know it, or of a platform that is away.
pub(super) fn delivery(harness: &Harness) -> CheckResult {
    let instance = harness.open()?;
    let answer = harness::send_ordinary(&instance, 10, TIMEOUT)?;
    harness::end(instance)?;
    let found = counts(&answer)?;
    if !answer.outcomes.contains(&Some(Outcome::Delivered)) {
        return Err(skip(format!("no event is delivered with these options: {found}")));
    }
    if !harness.subject.plugin().metadata().acknowledges {
        return Err(skip("by its metadata it does not know whether the platform has got an event"));
    }
    Ok(found)
}

/// Gives counts of the outcomes. An event without one counts as one to be retried. An outcome but `delivered` needs a reason.
pub(super) fn counts(answer: &Answer) -> CheckResult {
    let mut counts = [0; 4];
    for outcome in &answer.outcomes {
        let (at, reason) = match outcome {
            Some(Outcome::Delivered) => (0, "-"),
            None => (1, "-"),
            Some(Outcome::Retry { reason, .. }) => (1, reason.as_ref()),
            Some(Outcome::Rejected { reason }) => (2, reason.as_ref()),
            Some(Outcome::TooLarge { reason }) => (3, reason.as_ref()),
        };
        counts[at] += 1;
        if reason.is_empty() {
            return Err(fail(
                "an event is not delivered, and no reason is given",
                "give a reason of one line with each outcome but `delivered`: ops see nothing else",
            ));
        }
    }
    let words = ["delivered", "to be retried", "rejected", "too large"];
    let parts: Vec<String> = counts
        .iter()
        .zip(words)
        .filter(|(count, _)| **count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let parts = parts.join(", ");
    Ok(match answer.status {
        abi::STATUS_OK => parts,
        _ => format!("{parts} (`send` failed: {})", harness::said(answer)),
    })
}

/// Sends from 16 threads, several times from each.
pub(super) fn concurrency(harness: &Harness) -> CheckResult {
    const THREADS: usize = 16;
    const SENDS: usize = 4;
    let instance = harness.open()?;
    let failures = Mutex::new(Vec::new());
    let batch = sample_events::ordinary(5);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (instance, failures, batch) = (&instance, &failures, &batch);
            let work = move || {
                let stop = work(instance, batch, SENDS).err();
                failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(stop);
            };
            let started =
                thread::Builder::new().name(format!("check-send-{number}")).spawn_scoped(scope, work);
            if let Err(error) = started {
                tracing::warn!("no thread can be started: {error}");
            }
        }
    });
    if let Some(stop) = failures.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).pop() {
        return Err(stop);
    }
    harness::end(instance)?;
    let how = if harness.subject.is_serial() { ", one at a time as it is serial" } else { "" };
    Ok(format!("{SENDS} batches by each of {THREADS} threads{how}"))
}

fn work(instance: &Instance, batch: &Batch, sends: usize) -> Result<(), CheckError> {
    for _ in 0..sends {
        counts(&harness::send(instance, batch, &Terms::new(TIMEOUT))?)?;
    }
    Ok(())
}
