//! The user's decisions: to consent, to withdraw, to be forgotten.

use std::{
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{files::remove, plugin_api::Deletion};
use serde::Serialize;

use crate::api::telemetry::Telemetry;
use crate::consent::consent::{Collection, Consent};
use crate::consent::source::ConsentSource;
use crate::delivery::unconfirmed::{Unconfirmed, UnconfirmedFile};
use crate::error::Error;
use crate::event::event::{Event, EventKind};
use crate::files::data_refusal;
use crate::identity::deletion::{Receipt, ReceiptOutcome};
use crate::identity::machine_id::MachineIdFile;
use crate::instance::context::Context;
use crate::instance::select_backends::{LOCAL_LOG, Selected, SelectionReason};
use crate::process::left;
use crate::spool::handle::Claim;

/// The time in which a delivery of another process ends after consent is withdrawn. That process reads consent ten times a
/// second, also during a call, and gives the call a quarter of a second to return.
const PATIENCE: Duration = Duration::from_secs(3);
/// The time for which a process may still record after consent is withdrawn, with a margin for the current event.
const NOTICED: Duration = ConsentSource::MAX_AGE.saturating_add(Duration::from_millis(30));

/// What happened to waiting events when consent was withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discarded {
    /// No event waits, and no backend has an event that it has not confirmed.
    All,
    /// No event waits. Some that waited were given to backends before, which have not confirmed them: they may have arrived,
    /// or still arrive. `unconfirmed` of the report has them. A call that ran was ended.
    ExceptUnconfirmed,
    /// As [`ExceptUnconfirmed`](Self::ExceptUnconfirmed), but a call of a backend still runs in some process. The call began
    /// before, and has not ended although it was cancelled. It may still send its events; no other call follows.
    StillSending,
    /// Events are kept, because telemetry is forced on.
    Nothing,
    /// Some events could not be discarded: the reason and the place, in one line. Without consent they are not sent.
    Failed(String),
}

/// Events that a backend was given before consent was withdrawn, and has not confirmed. They are not sent again. Whether they
/// have left the machine is not known: a server may have them, and even one that could not be reached is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnconfirmedEvents {
    /// The name of the backend.
    pub backend: String,
    /// The number of events.
    pub events: u64,
}

/// The result of [`Telemetry::disable`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DisableReport {
    /// The consent in force: on when an organisation forces it.
    pub consent: Consent,
    /// What happened to waiting events.
    pub pending: Discarded,
    /// Events that may have arrived, or still arrive.
    pub unconfirmed: Vec<UnconfirmedEvents>,
}

/// The result of [`Telemetry::reset`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResetReport {
    /// The id whose deletion was requested.
    pub machine_id: String,
    /// The receipts of all backends and further recipients.
    pub receipts: Vec<Receipt>,
    /// The id from now on. It is a new one when there is no recipient; or when one has accepted the request, none has failed,
    /// and no event may arrive after the request. Otherwise it is the same, so that the request can be repeated.
    pub next_machine_id: String,
    /// The reason why the id is the same.
    pub id_kept: Option<String>,
    /// What happened to waiting events.
    pub pending: Discarded,
    /// Events that may have arrived, or still arrive.
    pub unconfirmed: Vec<UnconfirmedEvents>,
    /// The consent in force.
    pub consent: Consent,
}

impl Telemetry {
    /// Writes consent into the user's file. Events that were recorded without consent are dropped.
    ///
    /// # Errors
    /// As [`ConsentSource::enable`](crate::ConsentSource::enable), and [`Error::Spool`] when old events can't be dropped;
    /// there is then no consent.
    pub fn enable(&self) -> Result<Consent, Error> {
        let context = self.context();
        if !context.consent.read().is_enabled() {
            // Events that an opt-out could not discard, or that a process recorded before it noticed the opt-out.
            context.drop_pending()?;
        }
        let consent = context.consent.enable();
        context.gate.look_again();
        consent
    }

    /// Withdraws consent in the user's file, and drops all waiting events. When this returns with [`Discarded::All`], no call
    /// of a backend runs in any process, and none follows.
    ///
    /// [`Discarded::Failed`] names the events that could not be dropped.
    ///
    /// # Errors
    /// As [`ConsentSource::disable`](crate::ConsentSource::disable); nothing is then changed.
    pub fn disable(&self) -> Result<DisableReport, Error> {
        let context = self.context();
        let consent = context.consent.disable()?;
        context.gate.look_again();
        if consent.is_enabled() {
            return Ok(DisableReport { consent, pending: Discarded::Nothing, unconfirmed: Vec::new() });
        }
        let Withdrawn { pending, unconfirmed, .. } = context.discard();
        Ok(DisableReport { consent, pending, unconfirmed })
    }

    /// Withdraws consent, drops waiting events, dead letters and the local log, and requests the deletion of this machine's
    /// data from every backend and further recipient, each for at most `within`. [`ResetReport::next_machine_id`] says
    /// when the machine id changes.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub fn reset(&self, within: Duration) -> Result<ResetReport, Error> {
        let context = self.context();
        let consent = context.consent.disable()?;
        context.gate.look_again();
        let Withdrawn { mut pending, unconfirmed, claims } = context.discard();
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
        let (next_machine_id, id_kept) = rotate(
            &machine_id,
            id.clone(),
            context.data.as_deref().and_then(data_refusal),
            &receipts,
            &pending,
        );
        Ok(ResetReport { machine_id: id, receipts, next_machine_id, id_kept, pending, unconfirmed, consent })
    }
}

/// The next id, and the reason when it is the old one.
fn rotate(
    file: &MachineIdFile,
    old: String,
    refused: Option<String>,
    receipts: &[Receipt],
    pending: &Discarded,
) -> (String, Option<String>) {
    let any = |outcome| receipts.iter().any(|receipt| receipt.outcome == outcome);
    let reason = if any(ReceiptOutcome::Failed) {
        "a request failed and can be repeated under it".to_owned()
    } else if !receipts.is_empty() && !any(ReceiptOutcome::Sent) {
        "nobody has acknowledged the request, which needs it".to_owned()
    } else if !receipts.is_empty() && pending.may_arrive() {
        "events may arrive under it after the request".to_owned()
    } else if let Some(reason) = refused {
        reason
    } else {
        match file.rotate() {
            Ok(new) => return (new.id, None),
            Err(error) => error.to_string(),
        }
    };
    (old, Some(reason))
}

impl Discarded {
    /// Whether events may arrive although none waits any more.
    pub(crate) fn may_arrive(&self) -> bool {
        matches!(self, Self::ExceptUnconfirmed | Self::StillSending)
    }

    fn and_failed(self, reason: &str) -> Self {
        match self {
            // Both spools report the same about their common folder.
            Self::Failed(reasons) if reasons == reason => Self::Failed(reasons),
            Self::Failed(reasons) => Self::Failed(format!("{reasons}; {reason}")),
            _ => Self::Failed(reason.to_owned()),
        }
    }
}

/// What the withdrawal of consent has brought about.
struct Withdrawn {
    pending: Discarded,
    unconfirmed: Vec<UnconfirmedEvents>,
    /// While they are held, no process delivers.
    claims: Vec<Claim>,
}

impl Context {
    /// Waits until deliveries have ended and every process has noticed, then drops all events and the states of the backends.
    /// The caller has withdrawn consent.
    fn discard(&self) -> Withdrawn {
        let mut claims = Vec::new();
        let Some(spools) = &self.spools else {
            return Withdrawn { pending: Discarded::All, unconfirmed: Vec::new(), claims };
        };
        let now = Instant::now();
        // Now, because a call that ends well in the meantime has delivered its events all the same.
        let record = self.unconfirmed();
        let recorded = || record.as_ref().map_or_else(|| Some(Unconfirmed::default()), UnconfirmedFile::read);
        let before = recorded();
        let (noticed, deadline) = (now + NOTICED, now + PATIENCE);
        let (mut discarded, mut ended) = (Discarded::All, true);
        for spool in spools.both() {
            match spool.hold_until(deadline) {
                Ok(Some(claim)) => claims.push(claim),
                Ok(None) => ended &= !spool.folder().exists(),
                Err(error) => discarded = discarded.and_failed(&error.to_string()),
            }
        }
        // A pass has returned before this call, which took too long.
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
        // And again, because an attempt that began before has recorded what it leaves.
        let (are_known, unconfirmed) = merge(before, recorded());
        if let Some(record) = &record
            && let Err(error) = record.forget()
        {
            tracing::debug!("the record of unconfirmed events stays: {error}");
        }
        if discarded == Discarded::All && !ended {
            discarded = Discarded::StillSending;
        } else if discarded == Discarded::All && !(are_known && unconfirmed.is_empty()) {
            discarded = Discarded::ExceptUnconfirmed;
        }
        Withdrawn { pending: discarded, unconfirmed, claims }
    }

    fn forget_local_log(&self) -> Result<(), Error> {
        let Some(data) = &self.data else { return Ok(()) };
        let file = data.join(LOCAL_LOG);
        remove(&file).map_err(|error| Error::Write { what: "local log", file, error })
    }

    /// Requests deletion from every backend that would get events with consent. The user asks for this request; nothing else
    /// is sent.
    fn request_deletion(&self, machine_id: &str, within: Duration) -> Vec<Receipt> {
        let Selected { targets, info, .. } = self.select_for(Collection::On);
        if let SelectionReason::Broken(reason) = info.why {
            // The file that names the backends can't be used.
            return vec![Receipt::new("backends", Deletion::Failed(reason.to_string()))];
        }
        let kind = EventKind::DATA_DELETION_REQUEST;
        let event = Event::new(kind.clone(), kind.as_str());
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

/// Whether both records could be read, and the greater number of each backend.
fn merge(before: Option<Unconfirmed>, after: Option<Unconfirmed>) -> (bool, Vec<UnconfirmedEvents>) {
    let are_known = before.is_some() && after.is_some();
    let mut merged = before.unwrap_or_default();
    for (backend, number) in after.unwrap_or_default() {
        let known = merged.entry(backend).or_default();
        *known = number.max(*known);
    }
    (are_known, merged.into_iter().map(|(backend, events)| UnconfirmedEvents { backend, events }).collect())
}

fn conceal(deletion: Deletion, conceal: impl Fn(&str) -> String) -> Deletion {
    match deletion {
        Deletion::Sent(text) => Deletion::Sent(conceal(&text)),
        Deletion::Unsupported(text) => Deletion::Unsupported(conceal(&text)),
        Deletion::Failed(text) => Deletion::Failed(conceal(&text)),
    }
}
