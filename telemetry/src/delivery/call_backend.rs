//! One attempt of a pass with a batch: opens the backend, records what it is given, looks again at time and consent, commits,
//! and calls.

use std::{sync::Arc, time::Duration};

use crate::delivery::attempt::{Attempt, attempt_while};
use crate::delivery::configured_backend::ConfiguredBackend;
use crate::delivery::open_backend::OpenError;
use crate::delivery::pass_context::PassContext;
use crate::delivery::settle::DeliveryMode;
use crate::error::Error;
use crate::event::batch_buffer::EventBuffer;
use crate::process::left;

/// Why a batch was not sent.
pub(super) enum Unsent {
    /// Before the call, the time of the pass was over, or consent was withdrawn.
    Late,
    Unopened(OpenError),
    Uncommitted(Error),
}

/// Makes one attempt to deliver the events in the buffer, while they are `wanted`. Once an event has a final answer and
/// `note_after` has passed, the other events are left for the next attempt.
///
/// With *at most once* `commit` is called just before the backend is, and what it returns is returned; an event that can't be
/// sent stays where it is. No call is made for an empty buffer.
pub(super) fn call_backend<C>(
    pass: &PassContext,
    target: &ConfiguredBackend,
    buffer: EventBuffer,
    wanted: &dyn Fn() -> bool,
    note_after: Duration,
    commit: impl FnOnce() -> Result<C, Error>,
) -> Result<(Attempt, Option<C>), Unsent> {
    if buffer.is_empty() {
        return Ok((Attempt::default(), None));
    }
    // Opening without time would look like a failure of the backend.
    if left(pass.deadline).is_zero() {
        return Err(Unsent::Late);
    }
    let backend = target.open(left(pass.deadline)).map_err(Unsent::Unopened)?;
    let unconfirmed = |number| pass.unconfirmed.as_ref().map_or(0, |record| record.set(&target.name, number));
    let before = unconfirmed(buffer.len() as u64);
    // Also because opening may have taken long.
    let committed = if left(pass.deadline).is_zero() || !wanted() {
        Err(Unsent::Late)
    } else if pass.config.mode == DeliveryMode::AtMostOnce {
        commit().map(Some).map_err(Unsent::Uncommitted)
    } else {
        Ok(None)
    };
    let committed = committed.inspect_err(|_| {
        unconfirmed(before);
    })?;
    let batch = buffer.into_batch(Arc::clone(&pass.slot));
    let timeout = target.options.timeout;
    let attempt = attempt_while(&backend, &batch, timeout, pass.deadline, wanted, note_after);
    unconfirmed(attempt.unconfirmed().unwrap_or(before));
    Ok((attempt, committed))
}
