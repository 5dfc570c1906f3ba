//! Sending dead letters again to the backends that have rejected them.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield_loader::{ForeignText, count};
use serde::Serialize;

use crate::consent::consent::Collection;
use crate::delivery::backend_state::BackendState;
use crate::delivery::call_backend::{Unsent, call_backend};
use crate::delivery::configured_backend::ConfiguredBackend;
use crate::delivery::open_backend::OpenError;
use crate::delivery::pass::SpoolDelivery;
use crate::delivery::pass_context::{DeliveryConfig, PassContext};
use crate::delivery::send::{BATCH_BYTES, BATCH_EVENTS};
use crate::delivery::settle::{Decision, settle};
use crate::error::Error;
use crate::event::batch_buffer::EventBuffer;
use crate::process::left;
use crate::spool::dead_letters::Rejected;

/// The result of [`Telemetry::resend_rejected`](crate::Telemetry::resend_rejected). Its text is the output of
/// `telemetry resend`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResendReport {
    /// The backends in force that had dead letters.
    pub backends: Vec<ResendBackendReport>,
    /// Dead letters of backends that are not in force now; they stay.
    pub of_others: u64,
}

/// The result for the dead letters of one backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResendBackendReport {
    /// The name of the backend.
    pub backend: String,
    /// Events that the backend has taken. They are no longer dead letters.
    pub delivered: u64,
    /// Events that the backend has rejected again. They stay, with the new reason.
    pub rejected: u64,
    /// Events that are not settled. They stay as they are.
    pub waiting: u64,
    /// Events that may have arrived and are not kept, with *at most once*.
    pub lost: u64,
    /// The last reason why events were not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<ForeignText>,
}

impl ResendReport {
    /// Whether there was no dead letter, or all were delivered.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.of_others == 0 && self.backends.iter().all(|to| to.rejected + to.waiting + to.lost == 0)
    }
}

impl fmt::Display for ResendReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |number: fn(&ResendBackendReport) -> u64| self.backends.iter().map(number).sum::<u64>();
        write!(f, "Delivered: {}", count(sum(|to| to.delivered), "event"))?;
        for to in &self.backends {
            write!(f, "\n  {}: {} delivered", to.backend, to.delivered)?;
            let others =
                [(to.rejected, "rejected again"), (to.waiting, "not settled, kept"), (to.lost, "lost")];
            for (number, what) in others {
                if number > 0 {
                    write!(f, ", {number} {what}")?;
                }
            }
            if let Some(reason) = &to.reason {
                write!(f, ": {reason}")?;
            }
        }
        if self.of_others > 0 {
            write!(f, "\n  {} of backends that are not in force: kept", count(self.of_others, "event"))?;
        }
        write!(f, "\nDead letters: {}", count(sum(|to| to.rejected + to.waiting) + self.of_others, "event"))
    }
}

/// Why a backend gets no further batch.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("there was no time left for it")]
    NoTime,
    #[error("there is no consent to send them any more")]
    NoConsent,
    #[error(transparent)]
    Unopened(#[from] OpenError),
    #[error(transparent)]
    Spool(#[from] Error),
    #[error("{0}")]
    Backend(String),
}

impl SpoolDelivery {
    /// Sends the dead letters again, one backend after the other, each until a batch fails or `deadline` comes. Open circuits
    /// do not count, because the user asks for this.
    pub(crate) fn resend(&mut self, deadline: Instant) -> Result<ResendReport, Error> {
        let DeliveryConfig { spool, states, in_flight, collection, may_send, .. } = &*self.config;
        let targets = self.backends.configured().unwrap_or_default();
        let resent = sorted(&targets, spool.rejected()?).0;
        if resent.backends.is_empty() {
            return Ok(resent);
        }
        if *collection == Collection::Off || may_send() != *collection {
            return Ok(resent.because("there is no consent to send them"));
        }
        let busy = "another delivery was under way all the time";
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        let Some(deliverer) = spool.claim_until(&names, deadline)? else { return Ok(resent.because(busy)) };
        let slot = in_flight.slot_until(deadline).map_err(|error| {
            let folder = spool.folder().to_owned();
            Error::Spool { doing: "make sending.lock beside", folder, error }
        })?;
        let Some(slot) = slot else { return Ok(resent.because(busy)) };
        let pass = PassContext::new(&self.config, deliverer, slot, deadline, &Arc::default(), None);
        let mut known = states.load();
        // Read again, now that no other process delivers.
        let (mut resent, waiting) = sorted(&targets, spool.rejected()?);
        for (to, (target, events)) in resent.backends.iter_mut().zip(&waiting) {
            resend_to(&pass, target, events, known.entry(to.backend.clone()).or_default(), to);
        }
        states.keep(&known);
        Ok(resent)
    }
}

/// The targets that have dead letters, and a report in which all of these wait.
fn sorted(
    targets: &[Arc<ConfiguredBackend>],
    rejected: Vec<Rejected>,
) -> (ResendReport, Vec<(&ConfiguredBackend, Vec<Rejected>)>) {
    let (mut resent, mut waiting) = (ResendReport::default(), Vec::new());
    let mut rest = rejected;
    for target in targets {
        let (its, others): (Vec<_>, _) = rest.into_iter().partition(|it| it.backend == target.name);
        rest = others;
        if !its.is_empty() {
            let (backend, number) = (target.name.clone(), its.len() as u64);
            let report = ResendBackendReport { backend, waiting: number, ..Default::default() };
            resent.backends.push(report);
            waiting.push((&**target, its));
        }
    }
    resent.of_others = rest.len() as u64;
    (resent, waiting)
}

impl ResendReport {
    /// The report with this reason for every backend.
    fn because(mut self, reason: &str) -> Self {
        self.backends.iter_mut().for_each(|to| to.reason = Some(reason.into()));
        self
    }
}

/// Sends the dead letters of one backend, in batches.
fn resend_to(
    pass: &PassContext,
    target: &ConfiguredBackend,
    mut waiting: &[Rejected],
    state: &mut BackendState,
    to: &mut ResendBackendReport,
) {
    state.is_of(&target.fingerprint());
    while !waiting.is_empty() {
        let (batch, rest) = waiting.split_at(batch_len(waiting));
        // Checked before every batch, because the user may have withdrawn consent since the last one.
        if let Err(stop) = check(pass).and_then(|()| send_batch(pass, target, batch, state, to)) {
            to.reason = Some(stop.to_string().into());
            return;
        }
        waiting = rest;
    }
}

/// Whether more may be sent.
fn check(pass: &PassContext) -> Result<(), Stop> {
    if left(pass.deadline).is_zero() {
        return Err(Stop::NoTime);
    }
    if pass.may_send() { Ok(()) } else { Err(Stop::NoConsent) }
}

fn send_batch(
    pass: &PassContext,
    target: &ConfiguredBackend,
    batch: &[Rejected],
    state: &mut BackendState,
    to: &mut ResendBackendReport,
) -> Result<(), Stop> {
    let mode = pass.config.mode;
    let bytes = batch.iter().map(|it| it.event.get().len()).sum();
    let mut buffer = EventBuffer::with_capacity(pass.config.fill.clone(), batch.len(), bytes);
    let valid: Vec<bool> = batch.iter().map(|it| buffer.push_stored(it.event.get()).is_ok()).collect();
    let wanted = || pass.may_send();
    let forget = || pass.deliverer().forget_rejected(batch);
    let called = call_backend(pass, target, buffer, &wanted, Duration::MAX, forget);
    let (attempt, committed) = called.map_err(|unsent| match unsent {
        Unsent::Late => check(pass).err().unwrap_or(Stop::NoTime),
        Unsent::Uncommitted(error) => error.into(),
        Unsent::Unopened(error) => {
            let now = pass.now_ms();
            let news = state.not_opened(&error, now, target.longest_pause());
            news.log(&target.name, now, || pass.deliverer().waiting_bytes(&target.name));
            target.explained(error).into()
        }
    })?;
    let settlement = settle(&attempt, mode, &|text| target.reason(text));

    let now = pass.now_ms();
    let mut decisions = settlement.decisions.iter();
    let (mut gone, mut again, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for (it, valid) in batch.iter().zip(valid) {
        match if valid { decisions.next() } else { None } {
            None => again.push(it.again("it is no event", now)),
            Some(Decision::Delivered | Decision::Lost) => gone.push(it.clone()),
            Some(Decision::Rejected(reason)) => again.push(it.again(reason, now)),
            Some(Decision::Retry(_) | Decision::NotAsked) => kept.push(it.clone()),
        }
    }
    let number = |events: &[Rejected]| events.len() as u64;
    to.delivered += settlement.delivered;
    to.rejected += number(&again);
    to.lost += settlement.lost;
    to.waiting -= number(&gone) + number(&again);
    state.delivered += settlement.delivered;
    state.lost += settlement.lost;
    let news = state.settled(&settlement, now, target.longest_pause());
    news.log(&target.name, now, || pass.deliverer().waiting_bytes(&target.name));
    if let Some(last) = again.last() {
        to.reason = Some(last.reason.clone());
    }
    if committed.is_some() {
        let lost = number(&kept);
        again.append(&mut kept);
        let put_back = pass.deliverer().put_back_rejected(&again);
        if let Err(error) = put_back {
            to.waiting -= lost;
            to.lost += lost;
            state.lost += lost;
            return Err(error.into());
        }
    } else {
        // After an error no further batch is sent: the next command would send these events once more.
        pass.deliverer().settle_rejected(&gone, &again)?;
    }
    match settlement.failure {
        Some(failure) => Err(Stop::Backend(failure.reason.to_string())),
        None if settlement.not_asked => {
            check(pass)?;
            Err(Stop::Backend(attempt.cut_short.unwrap_or_else(|| "it was not asked".to_owned())))
        }
        None => Ok(()),
    }
}

/// The number of events in the next batch: at least one, and no more than a batch may have.
fn batch_len(waiting: &[Rejected]) -> usize {
    let mut bytes = 0;
    let fits = |it: &&Rejected| {
        bytes += it.event.get().len();
        bytes <= BATCH_BYTES
    };
    waiting.iter().take(BATCH_EVENTS).take_while(fits).count().max(1)
}
