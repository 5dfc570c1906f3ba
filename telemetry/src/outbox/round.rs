//! One round over all backends.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jackfield_loader::plugin_api::Outcome;

use super::{
    sending::{Sending, Share},
    state::{BackendState, Problem, States},
    target::{Target, left},
};
use crate::{
    Collection, DeliveryMode, EventBuffer, Fill,
    spool::{Chunk, Deliverer, Settle, Spool},
};

/// How many events a batch has at most.
pub(super) const BATCH_EVENTS: usize = 1000;
/// How many bytes of JSON a batch has at most, but for one event that is longer alone.
pub(super) const BATCH_BYTES: usize = 512 << 10;
/// How often a long round writes down what it has come to: a process that is killed has then noted most of it.
const NOTE: Duration = Duration::from_millis(250);

/// Asked before anything leaves: what the user consents to at this moment.
pub(crate) type MaySend = Arc<dyn Fn() -> Collection + Send + Sync>;

/// What is kept in a tool's data folder.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) spool: Spool,
    pub(crate) states: States,
    pub(crate) sending: Sending,
}

/// Delivers one spool to the configured backends.
pub(crate) struct Outbox {
    pub(super) spool: Spool,
    pub(super) states: States,
    pub(super) sending: Sending,
    pub(super) targets: Vec<Target>,
    pub(super) mode: DeliveryMode,
    pub(super) fill: Fill,
    pub(super) may_send: MaySend,
    /// What the backends were chosen by.
    pub(super) collection: Collection,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("targets", &self.targets).finish_non_exhaustive()
    }
}

/// How a round ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoundEnd {
    /// Events that backends took, each counted once for each backend.
    pub(crate) delivered: u64,
    /// Events that backends refused for good.
    pub(crate) rejected: u64,
    /// Whether everything that was in the spool at the start is settled.
    pub(crate) emptied: bool,
    /// Whether somebody else delivers at this moment.
    pub(crate) busy: bool,
    /// How soon a backend that failed is to be tried again.
    pub(crate) again_in: Option<Duration>,
}

/// What the threads of a round share.
struct Shared<'a> {
    spool: &'a Spool,
    deliverer: Mutex<Deliverer>,
    /// For the batches of all calls.
    share: Arc<Share>,
    mode: DeliveryMode,
    fill: &'a Fill,
    may_send: &'a (dyn Fn() -> bool + Sync),
    deadline: Instant,
    /// Whether it was said that a delivery could not be noted.
    unnoted: AtomicBool,
    notes: Mutex<Notes<'a>>,
}

/// The states of the backends as the round goes on.
struct Notes<'a> {
    states: BTreeMap<String, BackendState>,
    kept_in: &'a States,
    saved: Instant,
}

impl Notes<'_> {
    /// Notes the state of a backend, on the disk when the last time is long ago.
    fn note(&mut self, name: &str, state: &BackendState) {
        self.states.insert(name.to_owned(), state.clone());
        if self.saved.elapsed() >= NOTE {
            self.saved = Instant::now();
            if let Err(error) = self.kept_in.save(&self.states) {
                tracing::debug!("the state of the backends is not kept: {error}");
            }
        }
    }
}

impl Outbox {
    /// `may_send` answers `collection` as long as the backends are the right ones.
    pub(crate) fn new(
        Kept { spool, states, sending }: Kept,
        targets: Vec<Target>,
        mode: DeliveryMode,
        fill: Fill,
        collection: Collection,
        may_send: MaySend,
    ) -> Self {
        Self { spool, states, sending, targets, mode, fill, may_send, collection }
    }

    /// What the backends were chosen by.
    pub(crate) fn collection(&self) -> Collection {
        self.collection
    }

    /// Gives each backend what waits for it, until nothing does, `stop` is set or `deadline` comes.
    pub(crate) fn round(&mut self, deadline: Instant, stop: &AtomicBool) -> RoundEnd {
        let mut end = RoundEnd::default();
        let (collection, asked) = (self.collection, Arc::clone(&self.may_send));
        let may_send =
            move || !stop.load(Ordering::Relaxed) && collection != Collection::Off && asked() == collection;
        if self.targets.is_empty() || !may_send() {
            return end;
        }
        let pauses = self.pauses(&self.known());
        // While all are down, a look at their states is all that it costs.
        if pauses.iter().all(Option::is_some) {
            return RoundEnd { again_in: pauses.into_iter().flatten().min(), ..end };
        }
        // Somebody may have deleted the folder since the last event.
        self.spool.rescue();
        let names: Vec<&str> = self.targets.iter().map(|target| target.name.as_str()).collect();
        let deliverer = match self.spool.try_claim(&names) {
            Ok(Some(deliverer)) => deliverer,
            // Another process delivers, or there is nothing yet.
            Ok(None) => {
                end.emptied = !self.spool.folder().exists();
                end.busy = !end.emptied;
                return end;
            }
            Err(error) => {
                tracing::warn!("telemetry waits: {error}");
                return end;
            }
        };
        let share = match self.sending.share() {
            Ok(Some(share)) => share,
            Ok(None) => return RoundEnd { busy: true, ..end },
            Err(error) => {
                // Who opts out could not be told that a call is under way.
                tracing::warn!("telemetry waits: sending.lock: {error}");
                return end;
            }
        };
        // Who delivered until a moment ago may have learned that a backend is down.
        let mut states = self.known();
        let pauses = self.pauses(&states);
        let soonest = pauses.iter().flatten().min().copied();
        let shared = Shared {
            spool: &self.spool,
            deliverer: Mutex::new(deliverer),
            share,
            mode: self.mode,
            fill: &self.fill,
            may_send: &may_send,
            deadline,
            unnoted: AtomicBool::new(false),
            notes: Mutex::new(Notes { states: states.clone(), kept_in: &self.states, saved: Instant::now() }),
        };
        let due: Vec<(&mut Target, BackendState)> = self
            .targets
            .iter_mut()
            .zip(&pauses)
            .filter(|(_, pause)| pause.is_none())
            .map(|(target, _)| {
                let state = states.get(&target.name).cloned().unwrap_or_default();
                (target, state)
            })
            .collect();
        let before = states.clone();
        end.emptied = soonest.is_none();
        end.again_in = soonest;
        for (name, state, result) in run_side_by_side(&shared, due) {
            end.delivered += result.delivered;
            end.rejected += result.rejected;
            end.emptied &= result.emptied;
            if let Some(pause) = state.circuit.open_for(self.spool.now_ms()) {
                end.again_in = Some(end.again_in.map_or(pause, |known| known.min(pause)));
            }
            states.insert(name, state);
        }
        states.retain(|name, _| self.targets.iter().any(|target| target.name == *name));
        if states != before
            && let Err(error) = self.states.save(&states)
        {
            tracing::debug!("the state of the backends is not kept: {error}");
        }
        end
    }

    /// What is known of the backends.
    pub(super) fn known(&self) -> BTreeMap<String, BackendState> {
        let mut states = self.states.load();
        for target in &self.targets {
            // Another configuration deserves another try.
            if let Some(state) = states.get_mut(&target.name)
                && state.fingerprint != target.fingerprint()
            {
                state.circuit.succeeded();
            }
        }
        states
    }

    /// How long each backend is left alone yet.
    fn pauses(&self, states: &BTreeMap<String, BackendState>) -> Vec<Option<Duration>> {
        let now = self.spool.now_ms();
        let pause = |target: &Target| states.get(&target.name)?.circuit.open_for(now);
        self.targets.iter().map(pause).collect()
    }

    /// Closes every backend.
    pub(crate) fn close(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        for target in &mut self.targets {
            target.close(left(deadline));
        }
    }
}

/// Why a chunk was not sent.
enum Attempt {
    /// The time of the round was over before the backend was asked.
    Late,
    Unopened(jackfield_loader::Error),
    Uncommitted(crate::Error),
}

type Done = (String, BackendState, RoundEnd);

/// Each backend on a thread of its own, the last one on this.
fn run_side_by_side(shared: &Shared<'_>, mut due: Vec<(&mut Target, BackendState)>) -> Vec<Done> {
    let last = due.pop();
    std::thread::scope(|scope| {
        let mut inline = Vec::new();
        let mut threads = Vec::new();
        for (target, state) in due {
            let thread = std::thread::Builder::new().name(format!("jackfield-{}-out", target.name));
            let cell = Arc::new(Mutex::new(Some((target, state))));
            let work = Arc::clone(&cell);
            let run = move || {
                work.lock().unwrap_or_else(PoisonError::into_inner).take().map(|(t, s)| shared.run(t, s))
            };
            match thread.spawn_scoped(scope, run) {
                Ok(thread) => threads.push(thread),
                // No thread to be had: one after the other, then.
                Err(_) => inline.extend(cell.lock().unwrap_or_else(PoisonError::into_inner).take()),
            }
        }
        let mut done: Vec<Done> =
            inline.into_iter().chain(last).map(|(target, state)| shared.run(target, state)).collect();
        done.extend(threads.into_iter().filter_map(|thread| thread.join().ok().flatten()));
        done
    })
}

impl Shared<'_> {
    fn deliverer(&self) -> std::sync::MutexGuard<'_, Deliverer> {
        self.deliverer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that waits for one backend.
    fn run(&self, target: &mut Target, mut state: BackendState) -> Done {
        let mut end = RoundEnd::default();
        loop {
            if left(self.deadline).is_zero() {
                break;
            }
            let chunk = match self.deliverer().next(&target.name, BATCH_EVENTS, BATCH_BYTES) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => {
                    end.emptied = true;
                    break;
                }
                Err(error) => {
                    tracing::warn!("telemetry waits: {error}");
                    break;
                }
            };
            // Read again before every batch: the user may have said no since the last one.
            if !(self.may_send)() {
                break;
            }
            if !self.deliver(target, &chunk, &mut state, &mut end) {
                break;
            }
            self.notes.lock().unwrap_or_else(PoisonError::into_inner).note(&target.name, &state);
        }
        (target.name.clone(), state, end)
    }

    /// Sends what is in the buffer, which comes from the chunk.
    fn attempt(
        &self,
        target: &mut Target,
        chunk: &Chunk,
        buffer: EventBuffer,
    ) -> Result<Vec<Option<Outcome>>, Attempt> {
        if buffer.is_empty() {
            return Ok(Vec::new());
        }
        // Without time, opening would seem to take too long.
        if left(self.deadline).is_zero() {
            return Err(Attempt::Late);
        }
        target.open(left(self.deadline)).map_err(Attempt::Unopened)?;
        if left(self.deadline).is_zero() {
            return Err(Attempt::Late);
        }
        if self.mode == DeliveryMode::AtMostOnce {
            // What can't be sent at all has been kept until here.
            self.deliverer().commit_before_send(chunk).map_err(Attempt::Uncommitted)?;
        }
        target.attempt(&buffer.into_batch(Arc::clone(&self.share)), self.deadline).map_err(Attempt::Unopened)
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
        let outcomes = match self.attempt(target, chunk, buffer) {
            Ok(outcomes) => outcomes,
            // That says nothing of the backend, which was not asked.
            Err(Attempt::Late) => return false,
            Err(Attempt::Uncommitted(error)) => {
                tracing::warn!("telemetry waits: {error}");
                return false;
            }
            Err(Attempt::Unopened(error)) => {
                let reason = target.conceal(&error.to_string());
                tracing::warn!("telemetry for {} waits: {reason}", target.name);
                state.last_problem = Some(Problem { at_ms: self.spool.now_ms(), reason });
                // A file that is not there or not right costs little to look for; what opens and fails may cost a lot.
                if matches!(error, jackfield_loader::Error::Open(_)) {
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
        let at_least_once = self.mode == DeliveryMode::AtLeastOnce;
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
        let noted = if at_least_once { deliverer.commit(chunk, &settled) } else { Ok(()) };
        drop(deliverer);

        let now = self.spool.now_ms();
        end.delivered += delivered;
        end.rejected += rejected.len() as u64;
        state.delivered += delivered;
        state.rejected += rejected.len() as u64;
        if delivered > 0 {
            state.last_delivery_ms = Some(now);
        }
        if !at_least_once {
            state.lost += settled.iter().filter(|settle| **settle == Settle::Keep).count() as u64;
        }
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
            Err(error @ crate::Error::ClaimLost { .. }) => {
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

#[cfg(test)]
mod tests {
    use jackfield_loader::{Backend, BackendOptions};

    use super::*;
    use crate::{MemoryBackend, outbox::Source, spool::Limits};

    #[test]
    fn events_that_a_backend_was_not_asked_about_wait_and_are_no_failure_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let memory = MemoryBackend::new();
        let spool = Spool::on_disk(folder.join("spool"), Limits::default());
        spool.append(br#"{"type":"a","name":"b"}"#).expect("room");
        let outbox = |timeout: Duration| {
            let memory = memory.clone();
            // It opens whatever time a call has.
            let open = move |options: &BackendOptions| {
                let options = options.clone().timeout(Duration::from_secs(60));
                Backend::open_with(&options, memory.maker())
            };
            let options = BackendOptions::new("memory").timeout(timeout);
            let target = Target::new(Source::Static(Arc::new(open)), options);
            let kept =
                Kept { spool: spool.clone(), states: States::new(folder), sending: Sending::new(folder) };
            let may_send = Arc::new(|| Collection::On);
            let fill = Fill::new("tool", "1");
            Outbox::new(kept, vec![target], DeliveryMode::AtLeastOnce, fill, Collection::On, may_send)
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        let go_on = AtomicBool::new(false);
        // Without any time for a call.
        let end = outbox(Duration::ZERO).round(deadline, &go_on);
        assert_eq!(end, RoundEnd::default());
        let state = States::new(folder).load().remove("memory").unwrap_or_default();
        assert_eq!((state.circuit.open_for(spool.now_ms()), state.last_problem), (None, None));
        let end = outbox(Duration::from_secs(60)).round(deadline, &go_on);
        assert_eq!((end.delivered, end.emptied), (1, true));
        assert_eq!(memory.events().len(), 1);
    }
}
