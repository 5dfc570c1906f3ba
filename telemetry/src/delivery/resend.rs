//! Dead letters, once more to the backend that refused them.

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::count;
use serde::Serialize;

use crate::consent::consent::Collection;
use crate::delivery::attempt::attempt_while;
use crate::delivery::backend_state::BackendState;
use crate::delivery::in_flight_lock::Slot;
use crate::delivery::pass::{DeliveryConfig, SpoolDelivery};
use crate::delivery::send::{BATCH_BYTES, BATCH_EVENTS};
use crate::delivery::settle::{DeliveryMode, Verdict, settle};
use crate::delivery::target::Target;
use crate::error::Error;
use crate::event::batch_buffer::EventBuffer;
use crate::event::defaults::EventDefaults;
use crate::process::left;
use crate::spool::dead_letters::Rejected;
use crate::spool::reader::Deliverer;

/// Between two tries to get what another process has: the system tells nobody that it was given back.
const TICK: Duration = Duration::from_millis(5);

/// What came of [`Telemetry::resend_rejected`](crate::Telemetry::resend_rejected). Its text is what `telemetry resend`
/// prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResendReport {
    /// Each backend in force that has dead letters.
    pub backends: Vec<ResendBackendReport>,
    /// Events of backends that are not in force now; they stay.
    pub of_others: u64,
}

/// What came of the events that one backend had refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResendBackendReport {
    /// What it is called.
    pub backend: String,
    /// Events that it took. They are no dead letters any more.
    pub delivered: u64,
    /// Events that it refused again. They stay, with the new reason.
    pub rejected: u64,
    /// Events that it did neither with. They stay as they are.
    pub waiting: u64,
    /// Events that may or may not have arrived and are not kept, which is what *at most once* means.
    pub lost: u64,
    /// Why some were not delivered: the last reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ResendReport {
    /// Whether there were no dead letters, or all of it was delivered.
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

/// What sending again takes.
struct Again<'a> {
    deliverer: Deliverer,
    slot: Arc<Slot>,
    mode: DeliveryMode,
    fill: EventDefaults,
    may_send: &'a dyn Fn() -> bool,
    now_ms: &'a dyn Fn() -> u64,
    deadline: Instant,
}

impl SpoolDelivery {
    /// Sends dead letters again, one backend after the other, each until it settles nothing or `deadline`
    /// comes. Circuits are not asked: the user has.
    pub(crate) fn resend(&mut self, deadline: Instant) -> Result<ResendReport, Error> {
        let DeliveryConfig { spool, states: kept_in, mode, fill, collection, may_send, .. } = &self.config;
        let targets = self.backends.configured().unwrap_or_default();
        let mut resent = sorted(&targets, spool.rejected()?).0;
        if resent.backends.is_empty() {
            return Ok(resent);
        }
        let may_send = || *collection != Collection::Off && may_send() == *collection;
        if !may_send() {
            resent.because("there is no consent to send them");
            return Ok(resent);
        }
        let Some((deliverer, slot)) = self.claim(&targets, deadline)? else {
            resent.because("another delivery was under way all the time");
            return Ok(resent);
        };
        let mut states = kept_in.load();
        let mut again = Again {
            deliverer,
            slot,
            mode: *mode,
            fill: fill.clone(),
            may_send: &may_send,
            now_ms: &|| spool.now_ms(),
            deadline,
        };
        // What it is now, with nobody else at it.
        let (mut resent, mut waiting) = sorted(&targets, spool.rejected()?);
        for to in &mut resent.backends {
            let target = targets.iter().find(|target| target.name == to.backend);
            let (Some(target), Some(events)) = (target, waiting.pop_front()) else { continue };
            again.run(target, events, states.entry(to.backend.clone()).or_default(), to);
        }
        kept_in.keep(&states);
        Ok(resent)
    }

    /// The claim of the spool and the right to call backends, once nobody else has them.
    fn claim(
        &self,
        targets: &[Arc<Target>],
        deadline: Instant,
    ) -> Result<Option<(Deliverer, Arc<Slot>)>, Error> {
        let DeliveryConfig { spool, in_flight, .. } = &self.config;
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        loop {
            if let Some(deliverer) = spool.try_claim(&names)? {
                match in_flight.slot() {
                    Ok(Some(slot)) => return Ok(Some((deliverer, slot))),
                    Ok(None) => {}
                    Err(source) => {
                        let folder = spool.folder().to_owned();
                        return Err(Error::Spool { doing: "make sending.lock beside", folder, source });
                    }
                }
            }
            if left(deadline).is_zero() {
                return Ok(None);
            }
            thread::sleep(TICK.min(left(deadline)));
        }
    }
}

/// The events of each backend that has some, all of them waiting.
fn sorted(targets: &[Arc<Target>], rejected: Vec<Rejected>) -> (ResendReport, VecDeque<VecDeque<Rejected>>) {
    let (mut resent, mut waiting) = (ResendReport::default(), VecDeque::new());
    let mut rest = rejected;
    for target in targets {
        let (its, others): (Vec<_>, _) = rest.into_iter().partition(|it| it.backend == target.name);
        rest = others;
        if !its.is_empty() {
            let (backend, number) = (target.name.clone(), its.len() as u64);
            resent.backends.push(ResendBackendReport {
                backend,
                waiting: number,
                ..ResendBackendReport::default()
            });
            waiting.push_back(its.into());
        }
    }
    resent.of_others = rest.len() as u64;
    (resent, waiting)
}

impl ResendReport {
    fn because(&mut self, reason: &str) {
        for to in &mut self.backends {
            to.reason = Some(reason.to_owned());
        }
    }
}

impl Again<'_> {
    /// All that one backend has refused, in batches.
    fn run(
        &mut self,
        target: &Target,
        mut waiting: VecDeque<Rejected>,
        state: &mut BackendState,
        to: &mut ResendBackendReport,
    ) {
        state.is_of(&target.fingerprint());
        while !waiting.is_empty() {
            // Read again before every batch: the user may have said no since the last one.
            if let Some(reason) = self.obstacle() {
                to.reason = Some(reason.to_owned());
                return;
            }
            let batch = next_batch(&mut waiting);
            let end = self.batch(target, &batch, state, to);
            if let Err(reason) = end {
                to.reason = Some(reason);
                return;
            }
        }
    }

    /// Why nothing more may be sent.
    fn obstacle(&self) -> Option<&'static str> {
        if left(self.deadline).is_zero() {
            return Some("there was no time left for it");
        }
        (!(self.may_send)()).then_some("there is no consent to send them any more")
    }

    /// One batch; or why the backend gets no other one.
    fn batch(
        &mut self,
        target: &Target,
        batch: &[Rejected],
        state: &mut BackendState,
        to: &mut ResendBackendReport,
    ) -> Result<(), String> {
        let bytes = batch.iter().map(|it| it.event.get().len()).sum();
        let mut buffer = EventBuffer::with_capacity(self.fill.clone(), batch.len(), bytes);
        let valid: Vec<bool> = batch.iter().map(|it| buffer.push_stored(it.event.get()).is_ok()).collect();
        let was_open = target.opened().is_some();
        let backend = target.open(left(self.deadline)).map_err(|error| target.conceal(&error.to_string()))?;
        if !was_open && let Some(reason) = self.obstacle() {
            return Err(reason.to_owned());
        }
        let at_most_once = self.mode == DeliveryMode::AtMostOnce;
        if at_most_once {
            self.deliverer.forget_rejected(batch).map_err(|error| error.to_string())?;
        }
        let events = buffer.into_batch(Arc::clone(&self.slot));
        let timeout = target.options.timeout;
        let attempt = attempt_while(&backend, &events, timeout, self.deadline, &|| (self.may_send)());
        let settlement = settle(&attempt, self.mode, &|text| target.conceal(text));

        let now = (self.now_ms)();
        let mut verdicts = settlement.verdicts.iter();
        let (mut gone, mut again, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        for (it, valid) in batch.iter().zip(valid) {
            match if valid { verdicts.next() } else { None } {
                None => again.push(it.again("it is no event", now)),
                Some(Verdict::Delivered | Verdict::Lost) => gone.push(it.clone()),
                Some(Verdict::Rejected(reason)) => again.push(it.again(reason, now)),
                Some(Verdict::Retry(_) | Verdict::NotAsked) => kept.push(it.clone()),
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
        news.log(&target.name, now, || self.deliverer.waiting_bytes(&target.name));
        if let Some(last) = again.last() {
            to.reason = Some(last.reason.clone());
        }
        if at_most_once {
            let back: Vec<_> = again.into_iter().chain(kept.clone()).collect();
            if let Err(error) = self.deliverer.put_back_rejected(&back) {
                to.waiting -= number(&kept);
                to.lost += number(&kept);
                state.lost += number(&kept);
                return Err(error.to_string());
            }
        } else {
            // Without a note the same events would go out again with the next command, so that no more are sent.
            self.deliverer.settle_rejected(&gone, &again).map_err(|error| error.to_string())?;
        }
        match settlement.failure {
            Some(failure) => Err(failure.reason.to_string()),
            None if settlement.not_asked => {
                let reason = self.obstacle().map(str::to_owned).or(attempt.cut_short);
                Err(reason.unwrap_or_else(|| "it was not asked".to_owned()))
            }
            None => Ok(()),
        }
    }
}

/// The next events, no more than a batch may have, but at least one.
fn next_batch(waiting: &mut VecDeque<Rejected>) -> Vec<Rejected> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some(next) = waiting.front() {
        bytes += next.event.get().len();
        if batch.len() == BATCH_EVENTS || (bytes > BATCH_BYTES && !batch.is_empty()) {
            break;
        }
        batch.extend(waiting.pop_front());
    }
    batch
}
