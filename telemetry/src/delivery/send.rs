//! What a round hands over to each backend, and what it notes of the answers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jackfield_loader::plugin_api::Outcome;

use crate::delivery::backend_state::{BackendState, Problem, States};
use crate::delivery::in_flight_lock::Share;
use crate::delivery::open_backend::OpenError;
use crate::delivery::pass::RoundEnd;
use crate::delivery::plan::Plans;
use crate::delivery::progress::Standings;
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
enum Attempt {
    /// The time of the round was over, or consent withdrawn, before the backend was asked.
    Late,
    Unopened(OpenError),
    Uncommitted(crate::error::error::Error),
}

/// What came of a chunk that was sent.
#[derive(Default)]
struct Attempted {
    outcomes: Vec<Option<Outcome>>,
    /// Whether the plugin was handed each event.
    handed_over: Vec<bool>,
    /// With *at most once*: the backend is noted as done with all of it.
    committed: Option<Committed>,
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

    /// Sends what is in the buffer, which comes from the chunk.
    fn attempt(&self, target: &mut Target, chunk: &Chunk, buffer: EventBuffer) -> Result<Attempted, Attempt> {
        if buffer.is_empty() {
            return Ok(Attempted::default());
        }
        // Without time, opening would seem to take too long.
        if left(self.deadline).is_zero() {
            return Err(Attempt::Late);
        }
        target.open(left(self.deadline)).map_err(Attempt::Unopened)?;
        if left(self.deadline).is_zero() || !(self.consented)() {
            return Err(Attempt::Late);
        }
        let mut committed = None;
        if self.mode == DeliveryMode::AtMostOnce {
            // What can't be sent at all has been kept until here.
            committed = Some(self.deliverer().commit_before_send(chunk).map_err(Attempt::Uncommitted)?);
        }
        let batch = buffer.into_batch(Arc::clone(&self.share));
        match target.attempt(&batch, self.deadline, &self.consented) {
            Ok((outcomes, handed_over)) => Ok(Attempted { outcomes, handed_over, committed }),
            Err(error) => {
                if let Some(committed) = committed
                    && let Err(error) = self.deliverer().sent(chunk, committed, &[])
                {
                    tracing::warn!("telemetry waits: {error}");
                }
                Err(Attempt::Unopened(error))
            }
        }
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
        let valid: Vec<bool> = chunk.lines().map(|line| buffer.push_stored(line).is_ok()).collect();
        state.fingerprint = target.fingerprint();
        let Attempted { outcomes, handed_over, committed } = match self.attempt(target, chunk, buffer) {
            Ok(attempted) => attempted,
            // That says nothing of the backend, which was not asked.
            Err(Attempt::Late) => return false,
            Err(Attempt::Uncommitted(error)) => {
                tracing::warn!("telemetry waits: {error}");
                return false;
            }
            Err(Attempt::Unopened(error)) => {
                let reason = error.to_string();
                tracing::warn!("telemetry for {} waits: {reason}", target.name);
                state.last_problem = Some(Problem { at_ms: self.spool.now_ms(), reason });
                // A file that is not there or not right costs little to look for; what opens or hangs may cost a lot.
                if error.costs_time() {
                    state.circuit.failed(self.spool.now_ms(), None);
                }
                return false;
            }
        };

        let mut outcomes = outcomes.into_iter();
        let mut rejected: Vec<(usize, &str, String)> = Vec::new();
        let mut retry: Option<(Option<Duration>, String)> = None;
        let mut delivered = 0;
        // Our own time was over: that says nothing of the backend.
        let mut unasked = false;
        let mut settled: Vec<Settle> = valid
            .iter()
            .enumerate()
            .map(|(index, valid)| {
                if !valid {
                    return Settle::Damaged;
                }
                match outcomes.next() {
                    Some(None) => {
                        unasked = true;
                        Settle::Keep
                    }
                    Some(Some(Outcome::Delivered)) => {
                        delivered += 1;
                        Settle::Done
                    }
                    Some(Some(Outcome::Rejected { reason })) => {
                        rejected.push((index, chunk.line(index), target.conceal(&reason)));
                        Settle::Done
                    }
                    Some(Some(Outcome::Retry { after, reason })) => {
                        let longest = retry.as_ref().and_then(|(after, _)| *after).max(after);
                        retry = Some((longest, target.conceal(&reason)));
                        Settle::Keep
                    }
                    Some(Some(Outcome::TooLarge { .. })) | None => {
                        retry = retry.take().or(Some((None, "nothing was said of it".to_owned())));
                        Settle::Keep
                    }
                }
            })
            .collect();

        let mut deliverer = self.deliverer();
        if !rejected.is_empty()
            && let Err(error) = deliverer
                .reject(&target.name, rejected.iter().map(|(_, line, reason)| (*line, reason.as_str())))
        {
            tracing::warn!("rejected events are not put aside: {error}");
            // They come again, then, rather than be lost.
            for (index, ..) in rejected.drain(..) {
                settled[index] = Settle::Keep;
                retry = retry.or(Some((None, error.to_string())));
            }
        }
        let mut lost = 0;
        let noted = match committed {
            Some(committed) => {
                let mut handed_over = handed_over.into_iter();
                for (settle, valid) in settled.iter_mut().zip(&valid) {
                    // It may have arrived.
                    if *valid && handed_over.next() == Some(true) && *settle == Settle::Keep {
                        *settle = Settle::Done;
                        lost += 1;
                    }
                }
                deliverer.sent(chunk, committed, &settled)
            }
            None => deliverer.commit(chunk, &settled),
        };
        drop(deliverer);

        let now = self.spool.now_ms();
        end.delivered += delivered;
        end.rejected += rejected.len() as u64;
        state.delivered += delivered;
        state.rejected += rejected.len() as u64;
        if delivered > 0 {
            state.last_delivery_ms = Some(now);
        }
        state.lost += lost;
        if let Some((.., reason)) = rejected.last() {
            state.last_problem = Some(Problem { at_ms: now, reason: format!("rejected: {reason}") });
        }
        let progress = delivered > 0 || !rejected.is_empty();
        if progress {
            state.circuit.succeeded();
        }
        if let Some((after, reason)) = retry {
            state.last_problem = Some(Problem { at_ms: now, reason });
            state.circuit.failed(now, after);
            return false;
        }
        if progress && rejected.is_empty() {
            state.last_problem = None;
        }
        match noted {
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
        !unasked
    }
}
