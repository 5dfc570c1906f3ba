//! What a round hands over to each backend, and what it notes of the answers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::delivery::attempt::{Attempt, attempt_while};
use crate::delivery::backend_state::{BackendState, States};
use crate::delivery::in_flight_lock::Share;
use crate::delivery::open_backend::OpenError;
use crate::delivery::pass::RoundEnd;
use crate::delivery::plan::Plans;
use crate::delivery::progress::Standings;
use crate::delivery::settle::{Settlement, Verdict, settle};
use crate::delivery::target::Target;
use crate::event::batch_buffer::EventBuffer;
use crate::event::defaults::EventDefaults;
use crate::event::delivery_mode::DeliveryMode;
use crate::process::deadline::left;
use crate::process::reentrancy::ReentrancyGuard;
use crate::spool::chunk::Chunk;
use crate::spool::reader::{Committed, Deliverer, Settle};
use crate::spool::spool::Spool;

/// How many events a batch has at most.
pub(super) const BATCH_EVENTS: usize = 1000;
/// How many bytes of JSON a batch has at most, but for one event that is longer alone.
pub(super) const BATCH_BYTES: usize = 512 << 10;
/// How often a long round writes down what it has come to: a process that is killed has then noted most of it.
pub(super) const NOTE: Duration = Duration::from_millis(250);

/// What the threads of a round share.
pub(super) struct Shared<'a> {
    pub(super) spool: &'a Spool,
    pub(super) deliverer: Mutex<Deliverer>,
    /// For the batches of all calls.
    pub(super) share: Arc<Share>,
    pub(super) mode: DeliveryMode,
    pub(super) fill: &'a EventDefaults,
    pub(super) may_send: &'a (dyn Fn() -> bool + Sync),
    /// Whether there is the consent that a running call needs: without it, the call is cancelled.
    pub(super) consented: &'a (dyn Fn() -> bool + Sync),
    pub(super) deadline: Instant,
    /// Whether it was said that a delivery could not be noted.
    pub(super) unnoted: AtomicBool,
    /// What becomes of backends before their next batch, by name.
    pub(super) orders: Mutex<BTreeMap<String, Order>>,
    pub(super) plans: &'a Arc<Plans>,
    pub(super) standings: &'a Standings,
    pub(super) notes: Mutex<Notes<'a>>,
}

/// The states of the backends as the round goes on.
pub(super) struct Notes<'a> {
    pub(super) states: BTreeMap<String, BackendState>,
    pub(super) kept_in: &'a States,
    pub(super) plans: &'a Plans,
    pub(super) saved: Instant,
    /// Whether the disk lacks something.
    pub(super) unsaved: bool,
}

impl Notes<'_> {
    /// Notes the state of a backend, on the disk when the last time is long ago.
    fn note(&mut self, name: &str, state: &BackendState) {
        self.states.insert(name.to_owned(), state.clone());
        self.unsaved = true;
        self.save_what_is_new();
    }

    /// Writes down what is not on the disk, when the last time is long ago.
    pub(super) fn save_what_is_new(&mut self) {
        if self.unsaved && self.saved.elapsed() >= NOTE {
            (self.saved, self.unsaved) = (Instant::now(), false);
            self.plans.stamp(&mut self.states);
            if let Err(error) = self.kept_in.save(&self.states) {
                tracing::debug!("the state of the backends is not kept: {error}");
            }
        }
    }
}

/// Why a chunk was not sent.
enum Unsent {
    /// The time of the round was over, or consent withdrawn, before the backend was asked.
    Late,
    Unopened(OpenError),
    Uncommitted(crate::error::error::Error),
}

pub(super) type Done = (String, BackendState, RoundEnd);

/// What becomes of a backend between two batches.
pub(super) enum Order {
    /// This one takes its place.
    Replace(Box<Target>),
    /// It gets nothing more.
    Leave,
}

/// Why a backend has nothing to do for now.
pub(super) enum Ran {
    /// All that waited for it is settled.
    Emptied,
    /// It is to be tried again later.
    Failed,
    /// Nothing may be sent any more, or the time of the round is over.
    Over,
    /// It is configured no more.
    Leaves,
}

/// Each backend on a thread of its own, the last one on this.
pub(super) fn run_side_by_side(shared: &Shared<'_>, mut due: Vec<(&mut Target, BackendState)>) -> Vec<Done> {
    let last = due.pop();
    std::thread::scope(|scope| {
        let mut inline = Vec::new();
        let mut threads = Vec::new();
        for (target, state) in due {
            if jackfield_loader::hanging_load().is_some() {
                inline.push((target, state));
                continue;
            }
            let thread = std::thread::Builder::new().name(format!("jackfield-{}-out", target.name));
            let cell = Arc::new(Mutex::new(Some((target, state))));
            let work = Arc::clone(&cell);
            let run = move || {
                let _quiet = ReentrancyGuard::enter();
                work.lock().unwrap_or_else(PoisonError::into_inner).take().map(|(t, s)| shared.once(t, s))
            };
            match thread.spawn_scoped(scope, run) {
                Ok(thread) => threads.push(thread),
                // No thread to be had: one after the other, then.
                Err(_) => inline.extend(cell.lock().unwrap_or_else(PoisonError::into_inner).take()),
            }
        }
        let mut done: Vec<Done> =
            inline.into_iter().chain(last).map(|(target, state)| shared.once(target, state)).collect();
        done.extend(threads.into_iter().filter_map(|thread| thread.join().ok().flatten()));
        done
    })
}

impl<'a> Shared<'a> {
    pub(super) fn deliverer(&self) -> std::sync::MutexGuard<'_, Deliverer> {
        self.deliverer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn notes(&self) -> std::sync::MutexGuard<'_, Notes<'a>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn orders(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn once(&self, target: &mut Target, mut state: BackendState) -> Done {
        let mut end = RoundEnd::default();
        self.run(target, &mut state, &mut end);
        (target.name.clone(), state, end)
    }

    /// All that waits for one backend.
    pub(super) fn run(&self, target: &mut Target, state: &mut BackendState, end: &mut RoundEnd) -> Ran {
        self.standings.begins(&target.name);
        let ran = self.batches(target, state, end);
        let problem = match ran {
            Ran::Emptied => return ran,
            Ran::Leaves => {
                self.standings.forget(&target.name);
                return ran;
            }
            Ran::Failed => state.last_problem.as_ref().map(|problem| problem.reason.clone()),
            Ran::Over if left(self.deadline).is_zero() => Some("there was no time left for it".to_owned()),
            Ran::Over => Some("nothing may be sent any more".to_owned()),
        };
        self.standings.failed(&target.name, problem, state.circuit.open_for(self.spool.now_ms()));
        ran
    }

    fn batches(&self, target: &mut Target, state: &mut BackendState, end: &mut RoundEnd) -> Ran {
        loop {
            match self.orders().remove(&target.name) {
                Some(Order::Replace(new)) => self.plans.swap(target, *new, state),
                Some(Order::Leave) => return Ran::Leaves,
                None => {}
            }
            if left(self.deadline).is_zero() {
                return Ran::Over;
            }
            let asked = self.standings.asked();
            let chunk = match self.deliverer().next(&target.name, BATCH_EVENTS, BATCH_BYTES) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => {
                    end.emptied = true;
                    self.standings.emptied(&target.name, asked, true);
                    return Ran::Emptied;
                }
                Err(error) => {
                    tracing::warn!("telemetry waits: {error}");
                    return Ran::Failed;
                }
            };
            // Read again before every batch: the user may have said no since the last one.
            if !(self.may_send)() {
                return Ran::Over;
            }
            let before = *end;
            let go_on = self.deliver(target, &chunk, state, end);
            self.notes().note(&target.name, state);
            let (delivered, rejected) = (end.delivered - before.delivered, end.rejected - before.rejected);
            self.standings.count(&target.name, delivered, rejected);
            if !go_on {
                return Ran::Failed;
            }
            if !chunk.cut {
                // What came meanwhile is for the next question.
                self.standings.emptied(&target.name, asked, false);
            }
        }
    }

    /// Sends what is in the buffer, which comes from the chunk. With *at most once* the backend is noted as done with all of
    /// it before.
    fn attempt(
        &self,
        target: &mut Target,
        chunk: &Chunk,
        buffer: EventBuffer,
    ) -> Result<(Attempt, Option<Committed>), Unsent> {
        if buffer.is_empty() {
            return Ok((Attempt::default(), None));
        }
        // Without time, opening would seem to take too long.
        if left(self.deadline).is_zero() {
            return Err(Unsent::Late);
        }
        let was_open = target.opened().is_some();
        let backend = target.open(left(self.deadline)).map_err(Unsent::Unopened)?;
        if left(self.deadline).is_zero() || !(was_open || (self.consented)()) {
            return Err(Unsent::Late);
        }
        let committed = match self.mode {
            // What can't be sent at all has been kept until here.
            DeliveryMode::AtMostOnce => {
                Some(self.deliverer().commit_before_send(chunk).map_err(Unsent::Uncommitted)?)
            }
            DeliveryMode::AtLeastOnce => None,
        };
        let batch = buffer.into_batch(Arc::clone(&self.share));
        let timeout = target.options.timeout;
        Ok((attempt_while(&backend, &batch, timeout, self.deadline, &self.consented), committed))
    }

    /// One chunk; whether to go on with the next one.
    fn deliver(
        &self,
        target: &mut Target,
        chunk: &Chunk,
        state: &mut BackendState,
        end: &mut RoundEnd,
    ) -> bool {
        let mut buffer = EventBuffer::with_capacity(self.fill.clone(), chunk.len(), chunk.bytes());
        let is_event = |line: &usize| buffer.push_stored(chunk.line(*line)).is_ok();
        let events: Vec<usize> = (0..chunk.len()).filter(is_event).collect();
        state.fingerprint = target.fingerprint();
        let (attempt, committed) = match self.attempt(target, chunk, buffer) {
            Ok(attempted) => attempted,
            // That says nothing of the backend, which was not asked.
            Err(Unsent::Late) => return false,
            Err(Unsent::Uncommitted(error)) => {
                tracing::warn!("telemetry waits: {error}");
                return false;
            }
            Err(Unsent::Unopened(error)) => {
                tracing::warn!("telemetry for {} waits: {error}", target.name);
                state.not_opened(&error, self.spool.now_ms());
                return false;
            }
        };
        let mut settlement = settle(&attempt, self.mode, &|text| target.conceal(text));
        let noted = self.note(&target.name, chunk, &events, &mut settlement, committed);
        end.delivered += settlement.delivered;
        end.rejected += settlement.rejected;
        state.delivered += settlement.delivered;
        state.rejected += settlement.rejected;
        state.lost += settlement.lost;
        state.settled(&settlement, self.spool.now_ms());
        match noted {
            _ if settlement.failure.is_some() => return false,
            Ok(()) => {}
            Err(error @ crate::error::error::Error::ClaimLost { .. }) => {
                tracing::warn!("telemetry waits: {error}");
                return false;
            }
            Err(error) => {
                // The note holds in this process, and on a full disk delivery is what makes room.
                if !self.unnoted.swap(true, Ordering::Relaxed) {
                    tracing::warn!("if this process is killed now, events are delivered again: {error}");
                }
            }
        }
        !settlement.not_asked
    }

    /// Notes in the spool what becomes of the lines of a chunk, of which those at `events` are events.
    fn note(
        &self,
        backend: &str,
        chunk: &Chunk,
        events: &[usize],
        settlement: &mut Settlement,
        committed: Option<Committed>,
    ) -> Result<(), crate::error::error::Error> {
        let mut deliverer = self.deliverer();
        if settlement.rejected > 0 {
            let rejected = events.iter().zip(&settlement.verdicts).filter_map(|(line, verdict)| {
                let Verdict::Rejected(reason) = verdict else { return None };
                Some((chunk.line(*line), &**reason))
            });
            if let Err(error) = deliverer.reject(backend, rejected) {
                tracing::warn!("rejected events are not put aside: {error}");
                settlement.keep_rejected(&error.to_string());
            }
        }
        let mut settled = vec![Settle::Damaged; chunk.len()];
        for (line, verdict) in events.iter().zip(&settlement.verdicts) {
            settled[*line] = match verdict {
                Verdict::Delivered | Verdict::Rejected(_) | Verdict::Lost => Settle::Done,
                Verdict::Retry(_) | Verdict::NotAsked => Settle::Keep,
            };
        }
        match committed {
            Some(committed) => deliverer.sent(chunk, committed, &settled),
            None => deliverer.commit(chunk, &settled),
        }
    }
}
