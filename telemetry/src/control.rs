//! What the user does with telemetry: consent, withdraw, be forgotten.

use std::{
    fs, io, thread,
    time::{Duration, Instant},
};

use jackfield_loader::plugin_api::Deletion;

use crate::{
    Collection, Consent, Error, Event, EventKind, MachineIdFile, Receipt, ReceiptOutcome, Telemetry,
    outbox::left,
    spool::{Deliverer, Spool},
    telemetry::Inner,
};

/// How long a delivery of another process may take to end after consent is withdrawn: that process looks before every
/// batch, so it is the time of one call.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks whether it has ended.
const TICK: Duration = Duration::from_millis(5);

/// What became of pending events when consent was withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discarded {
    /// Nothing waits any more, and nothing is being sent.
    All,
    /// Nothing waits any more, but another process is still inside a backend's call, which it had begun before.
    StillSending,
    /// They are kept, because telemetry is enforced.
    Nothing,
}

/// What came of [`Telemetry::disable`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Disabled {
    /// What is so now: on where an organisation enforces it.
    pub consent: Consent,
    /// What became of pending events.
    pub pending: Discarded,
}

/// What came of [`Telemetry::reset`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reset {
    /// The id that deletion was requested for.
    pub machine_id: String,
    /// What each backend and requestor said.
    pub receipts: Vec<Receipt>,
    /// The id from now on: the same while a request failed, so that it can be repeated.
    pub next_machine_id: String,
    /// What became of pending events.
    pub pending: Discarded,
    /// What is so now.
    pub consent: Consent,
}

impl Telemetry {
    /// Consents, in the user's file. Events that were recorded while there was no consent are forgotten.
    ///
    /// # Errors
    /// As [`ConsentSource::enable`](crate::ConsentSource::enable), and [`Error::Spool`] when old events can't be forgotten;
    /// there is no consent then.
    pub fn enable(&self) -> Result<Consent, Error> {
        let inner = self.inner();
        if !inner.consent.read().is_enabled()
            && let Some(spool) = &inner.spool
        {
            // What a process recorded in the moment between somebody's opt-out and its next look.
            spool.drop_pending()?;
        }
        let consent = inner.consent.enable();
        inner.gate.look_again();
        consent
    }

    /// Withdraws consent, in the user's file, and forgets all events that wait. When this returns with
    /// [`Discarded::All`], no backend of any process is inside a call, and none is called again.
    ///
    /// # Errors
    /// As [`ConsentSource::disable`](crate::ConsentSource::disable); nothing has changed then. [`Error::Spool`] when events
    /// can't be removed; they are not sent without consent.
    pub fn disable(&self) -> Result<Disabled, Error> {
        let inner = self.inner();
        let consent = inner.consent.disable()?;
        inner.gate.look_again();
        let pending = if consent.is_enabled() { Discarded::Nothing } else { inner.discard()?.0 };
        Ok(Disabled { consent, pending })
    }

    /// Forgets everything: withdraws consent, forgets waiting and rejected events and the local log, and asks every
    /// backend and requestor for the deletion of what they have, each for at most `within`. The machine id changes when
    /// none of them failed.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub fn reset(&self, within: Duration) -> Result<Reset, Error> {
        let inner = self.inner();
        let consent = inner.consent.disable()?;
        inner.gate.look_again();
        let (pending, claim) = inner.discard()?;
        inner.forget_local_log()?;
        let machine_id = inner.machine_id();
        let id = machine_id.peek().id;
        let mut receipts = inner.request_deletion(&id, within);
        receipts
            .extend(inner.settings.requestors.iter().map(|by| Receipt::new(&*by.name, by.by.request(&id))));
        inner.forget_recorder();
        drop(claim);
        let failed = receipts.iter().any(|receipt| receipt.outcome == ReceiptOutcome::Failed);
        let next_machine_id = if failed { id.clone() } else { rotated(&machine_id, &id) };
        Ok(Reset { machine_id: id, receipts, next_machine_id, pending, consent })
    }
}

fn rotated(file: &MachineIdFile, old: &str) -> String {
    match file.rotate() {
        Ok(new) => new.id,
        Err(error) => {
            tracing::warn!("the machine id stays: {error}");
            old.to_owned()
        }
    }
}

impl Inner {
    /// Waits for deliveries to end, then forgets all events, and what is known of backends. The claim keeps others from
    /// delivering while it is held.
    fn discard(&self) -> Result<(Discarded, Option<Deliverer>), Error> {
        let Some(spool) = &self.spool else { return Ok((Discarded::All, None)) };
        let claim = claim(spool, Instant::now() + PATIENCE)?;
        spool.drop_pending()?;
        if let Some(states) = self.states()
            && let Err(error) = states.forget()
        {
            tracing::debug!("the state of the backends stays: {error}");
        }
        Ok(match claim {
            Claimed::Ours(deliverer) => (Discarded::All, Some(*deliverer)),
            Claimed::NothingThere => (Discarded::All, None),
            Claimed::NotInTime => (Discarded::StillSending, None),
        })
    }

    fn forget_local_log(&self) -> Result<(), Error> {
        let Some(log) = self.local_log() else { return Ok(()) };
        match fs::remove_file(&log) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::Write { what: "local log", file: log, source })
            }
            _ => Ok(()),
        }
    }

    /// Asks every backend that events would go to with consent. That is the user's own wish, and the last that leaves.
    fn request_deletion(&self, machine_id: &str, within: Duration) -> Vec<Receipt> {
        let mut targets = self.select_for(Collection::On).targets;
        let event = Event::new(EventKind::DATA_DELETION_REQUEST, "data.deletion_request");
        let batch = self.batch_of(&event, machine_id);
        targets
            .iter_mut()
            .map(|target| {
                let deadline = Instant::now() + within;
                let deletion = match &batch {
                    Ok(batch) => target.request_deletion(machine_id, batch, within),
                    Err(error) => Deletion::Failed(error.to_string()),
                };
                target.close(left(deadline));
                Receipt::new(&*target.name, conceal(deletion, |text| target.conceal(text)))
            })
            .collect()
    }
}

fn conceal(deletion: Deletion, conceal: impl Fn(&str) -> String) -> Deletion {
    match deletion {
        Deletion::Sent(text) => Deletion::Sent(conceal(&text)),
        Deletion::Unsupported(text) => Deletion::Unsupported(conceal(&text)),
        Deletion::Failed(text) => Deletion::Failed(conceal(&text)),
    }
}

enum Claimed {
    Ours(Box<Deliverer>),
    NothingThere,
    NotInTime,
}

/// Waits until nobody delivers.
fn claim(spool: &Spool, deadline: Instant) -> Result<Claimed, Error> {
    loop {
        if let Some(deliverer) = spool.try_claim::<&str>(&[])? {
            return Ok(Claimed::Ours(Box::new(deliverer)));
        }
        if !spool.folder().exists() {
            return Ok(Claimed::NothingThere);
        }
        if left(deadline).is_zero() {
            return Ok(Claimed::NotInTime);
        }
        thread::sleep(TICK);
    }
}
