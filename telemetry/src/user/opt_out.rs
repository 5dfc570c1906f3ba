//! What the user does with telemetry: consent, withdraw, be forgotten.

use std::{
    fs, io, thread,
    time::{Duration, Instant},
};

use jackfield_loader::plugin_api::Deletion;

use crate::api::telemetry::Telemetry;
use crate::consent::consent::{Collection, Consent};
use crate::consent::source::ConsentSource;
use crate::error::error::Error;
use crate::event::event::Event;
use crate::event::kind::EventKind;
use crate::identity::deletion::{Receipt, ReceiptOutcome};
use crate::identity::machine_id_file::MachineIdFile;
use crate::instance::context::Context;
use crate::instance::select_backends::{Selected, SelectionReason};
use crate::process::deadline::left;
use crate::spool::reader::Deliverer;
use crate::spool::spool::Spool;

/// How long a delivery of another process may take to end after consent is withdrawn: that process looks ten times a
/// second, also while a call runs, and gives the call a quarter of a second to return.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a process may go on recording after consent is withdrawn, and a little for the event that it is at.
const NOTICED: Duration = ConsentSource::MAX_AGE.saturating_add(Duration::from_millis(30));
/// Between two looks whether it has ended.
const TICK: Duration = Duration::from_millis(5);

/// What became of pending events when consent was withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discarded {
    /// Nothing waits any more, and nothing is being sent.
    All,
    /// Nothing waits any more, but a process is still inside a backend's call, which it had begun before and which has not
    /// ended though it was told so. That call may still send what it was given; no other one follows.
    StillSending,
    /// They are kept, because telemetry is enforced.
    Nothing,
    /// Not all of it could be discarded; why, and where, in one line. Without consent none of it is sent.
    Failed(String),
}

/// What came of [`Telemetry::disable`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DisableReport {
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
    /// The id from now on: another one when somebody has acknowledged the request and nobody failed, or when there is
    /// nobody to ask. Otherwise the same, so that the request can be repeated.
    pub next_machine_id: String,
    /// Why the id is the same.
    pub id_kept: Option<String>,
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
        let context = self.context();
        if !context.consent.read().is_enabled() {
            // What an opt-out could not discard, or a process recorded before it noticed.
            context.drop_pending()?;
        }
        let consent = context.consent.enable();
        context.gate.look_again();
        consent
    }

    /// Withdraws consent, in the user's file, and forgets all events that wait. When this returns with
    /// [`Discarded::All`], no backend of any process is inside a call, and none is called again.
    ///
    /// What could not be discarded is [`Discarded::Failed`].
    ///
    /// # Errors
    /// As [`ConsentSource::disable`](crate::ConsentSource::disable); nothing has changed then.
    pub fn disable(&self) -> Result<DisableReport, Error> {
        let context = self.context();
        let consent = context.consent.disable()?;
        context.gate.look_again();
        let pending = if consent.is_enabled() { Discarded::Nothing } else { context.discard().0 };
        Ok(DisableReport { consent, pending })
    }

    /// Forgets everything: withdraws consent, forgets waiting and rejected events and the local log, and asks every
    /// backend and requestor for the deletion of what they have, each for at most `within`. The machine id changes as
    /// [`Reset::next_machine_id`] says.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub fn reset(&self, within: Duration) -> Result<Reset, Error> {
        let context = self.context();
        let consent = context.consent.disable()?;
        context.gate.look_again();
        let (mut pending, claims) = context.discard();
        if let Err(error) = context.forget_local_log() {
            pending = pending.and_failed(&error.to_string());
        }
        let machine_id = context.machine_id();
        let id = machine_id.peek().id;
        let mut receipts = context.request_deletion(&id, within);
        receipts
            .extend(context.settings.requestors.iter().map(|by| Receipt::new(&*by.name, by.by.request(&id))));
        context.forget_recorder();
        drop(claims);
        let (next_machine_id, id_kept) = match rotate(&machine_id, context.data_refusal(), &receipts) {
            Ok(next) => (next, None),
            Err(reason) => (id.clone(), Some(reason)),
        };
        Ok(Reset { machine_id: id, receipts, next_machine_id, id_kept, pending, consent })
    }
}

/// The next id, or why there is none.
fn rotate(file: &MachineIdFile, refused: Option<String>, receipts: &[Receipt]) -> Result<String, String> {
    let any = |outcome| receipts.iter().any(|receipt| receipt.outcome == outcome);
    if any(ReceiptOutcome::Failed) {
        return Err("a request failed and can be repeated under it".to_owned());
    }
    if !receipts.is_empty() && !any(ReceiptOutcome::Sent) {
        return Err("nobody has acknowledged the request, which needs it".to_owned());
    }
    if let Some(reason) = refused {
        return Err(reason);
    }
    file.rotate().map(|new| new.id).map_err(|error| error.to_string())
}

impl Discarded {
    fn and_failed(self, reason: &str) -> Self {
        match self {
            // Twice the same, when it is about the folder around both.
            Self::Failed(reasons) if reasons == reason => Self::Failed(reasons),
            Self::Failed(reasons) => Self::Failed(format!("{reasons}; {reason}")),
            _ => Self::Failed(reason.to_owned()),
        }
    }
}

impl Context {
    /// Waits for deliveries to end and for every process to notice, then forgets all events, and what is known of
    /// backends. The claims keep others from delivering while they are held.
    fn discard(&self) -> (Discarded, Vec<Deliverer>) {
        let mut claims = Vec::new();
        let Some(spools) = &self.spools else { return (Discarded::All, claims) };
        let now = Instant::now();
        let (noticed, deadline) = (now + NOTICED, now + PATIENCE);
        let (mut discarded, mut ended) = (Discarded::All, true);
        for spool in spools.both() {
            match claim(spool, deadline) {
                Ok(Claimed::Ours(deliverer)) => claims.push(*deliverer),
                Ok(Claimed::NothingThere) => {}
                Ok(Claimed::NotInTime) => ended = false,
                Err(error) => discarded = discarded.and_failed(&error.to_string()),
            }
        }
        // A call that took too long was left behind by its pass.
        ended &= self.in_flight().is_none_or(|lock| lock.wait_for_end(deadline));
        if self.data.as_ref().is_some_and(|data| data.exists()) {
            thread::sleep(left(noticed));
        }
        for spool in spools.both() {
            if let Err(error) = spool.drop_pending() {
                discarded = discarded.and_failed(&error.to_string());
            }
        }
        if let Some(states) = self.states()
            && let Err(error) = states.forget()
        {
            tracing::debug!("the state of the backends stays: {error}");
        }
        if discarded == Discarded::All && !ended {
            discarded = Discarded::StillSending;
        }
        (discarded, claims)
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
        let Selected { targets, info } = self.select_for(Collection::On);
        if let SelectionReason::Broken(reason) = info.why {
            // Nobody knows whom to ask before the file is mended.
            return vec![Receipt::new("backends", Deletion::Failed(reason))];
        }
        let event = Event::new(EventKind::DATA_DELETION_REQUEST, "data.deletion_request");
        let batch = self.batch_of(&event, machine_id);
        targets
            .iter()
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
