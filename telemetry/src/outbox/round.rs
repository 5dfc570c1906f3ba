//! One round over all backends.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jackfield_loader::plugin_api::{Deletion, Outcome};

use super::{
    state::{BackendState, Problem, States, now_ms},
    target::{Target, left},
};
use crate::{
    DeliveryMode, EventBuffer, Fill,
    spool::{Chunk, Deliverer, Settle, Spool},
};

/// How many events a batch has at most.
const BATCH_EVENTS: usize = 500;
/// How many bytes of JSON a batch has at most, but for one event that is longer alone.
const BATCH_BYTES: usize = 512 << 10;

/// Asked before anything leaves: whether the user consents at this moment.
pub(crate) type MaySend = Arc<dyn Fn() -> bool + Send + Sync>;

/// Delivers one spool to the configured backends.
pub(crate) struct Outbox {
    spool: Spool,
    states: States,
    targets: Vec<Target>,
    mode: DeliveryMode,
    fill: Fill,
    may_send: MaySend,
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
}

/// What the threads of a round share.
struct Shared<'a> {
    deliverer: Mutex<Deliverer>,
    mode: DeliveryMode,
    fill: &'a Fill,
    may_send: &'a MaySend,
    deadline: Instant,
}

impl Outbox {
    pub(crate) fn new(
        spool: Spool,
        states: States,
        targets: Vec<Target>,
        mode: DeliveryMode,
        fill: Fill,
        may_send: MaySend,
    ) -> Self {
        Self { spool, states, targets, mode, fill, may_send }
    }

    /// Gives each backend what waits for it, until nothing does or `deadline` comes.
    pub(crate) fn round(&mut self, deadline: Instant) -> RoundEnd {
        let mut end = RoundEnd::default();
        if self.targets.is_empty() || !(self.may_send)() {
            return end;
        }
        let names: Vec<&str> = self.targets.iter().map(|target| target.name.as_str()).collect();
        let deliverer = match self.spool.try_claim(&names) {
            Ok(Some(deliverer)) => deliverer,
            // Another process delivers, or there is nothing yet.
            Ok(None) => return end,
            Err(error) => {
                tracing::warn!("telemetry waits: {error}");
                return end;
            }
        };
        let mut states = self.states.load();
        let shared = Shared {
            deliverer: Mutex::new(deliverer),
            mode: self.mode,
            fill: &self.fill,
            may_send: &self.may_send,
            deadline,
        };
        let mut due: Vec<(&mut Target, BackendState)> = Vec::new();
        let mut waiting = false;
        for target in &mut self.targets {
            let state = states.get(&target.name).cloned().unwrap_or_default();
            if state.circuit.open_for(now_ms()).is_some() {
                waiting = true;
            } else {
                due.push((target, state));
            }
        }
        let results = run_side_by_side(&shared, due);
        end.emptied = !waiting;
        for (name, state, result) in results {
            end.delivered += result.delivered;
            end.rejected += result.rejected;
            end.emptied &= result.emptied;
            states.insert(name, state);
        }
        states.retain(|name, _| self.targets.iter().any(|target| target.name == *name));
        if let Err(error) = self.states.save(&states) {
            tracing::debug!("the state of the backends is not kept: {error}");
        }
        end
    }

    /// Asks every backend's platform to forget a machine.
    pub(crate) fn request_deletion(
        &mut self,
        machine_id: &str,
        event: &[u8],
        limit: Duration,
    ) -> Vec<(String, Deletion)> {
        let mut buffer = EventBuffer::new(self.fill.clone());
        let pushed = buffer.push_line(event);
        let batch = buffer.take();
        self.targets
            .iter_mut()
            .map(|target| {
                let deletion = match &pushed {
                    Ok(()) => target.request_deletion(machine_id, &batch, limit),
                    Err(error) => Deletion::Failed(error.to_string()),
                };
                (target.name.clone(), deletion)
            })
            .collect()
    }

    /// Closes every backend.
    pub(crate) fn close(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        for target in &mut self.targets {
            target.close(left(deadline));
        }
    }

    pub(crate) fn targets(&mut self) -> &mut [Target] {
        &mut self.targets
    }

    pub(crate) fn states(&self) -> BTreeMap<String, BackendState> {
        self.states.load()
    }
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
            let run = move || work.lock().unwrap_or_else(PoisonError::into_inner).take().map(|(t, s)| shared.run(t, s));
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
        }
        (target.name.clone(), state, end)
    }

    /// One chunk; whether to go on with the next one.
    fn deliver(&self, target: &mut Target, chunk: &Chunk, state: &mut BackendState, end: &mut RoundEnd) -> bool {
        let mut buffer = EventBuffer::new(self.fill.clone());
        let valid: Vec<bool> = chunk.lines().map(|line| buffer.push_line(line.as_bytes()).is_ok()).collect();
        if self.mode == DeliveryMode::AtMostOnce
            && let Err(error) = self.deliverer().commit_before_send(chunk)
        {
            tracing::warn!("telemetry waits: {error}");
            return false;
        }
        let outcomes = if buffer.len() == 0 { Vec::new() } else { target.attempt(&buffer.take(), self.deadline) };

        let mut outcomes = outcomes.into_iter();
        let mut rejected: Vec<(&str, String)> = Vec::new();
        let mut retry: Option<(Option<Duration>, String)> = None;
        let mut delivered = 0;
        let settled: Vec<Settle> = valid
            .iter()
            .enumerate()
            .map(|(index, valid)| {
                if !valid {
                    return Settle::Damaged;
                }
                match outcomes.next() {
                    Some(Outcome::Delivered) => {
                        delivered += 1;
                        Settle::Done
                    }
                    Some(Outcome::Rejected { reason }) => {
                        rejected.push((chunk.line(index), reason.into_owned()));
                        Settle::Done
                    }
                    Some(Outcome::Retry { after, reason } ) => {
                        let longest = retry.as_ref().and_then(|(after, _)| *after).max(after);
                        retry = Some((longest, reason.into_owned()));
                        Settle::Keep
                    }
                    Some(Outcome::TooLarge { .. }) | None => Settle::Keep,
                }
            })
            .collect();

        let mut deliverer = self.deliverer();
        let kept = rejected.is_empty()
            || deliverer
                .reject(&target.name, rejected.iter().map(|(line, reason)| (*line, reason.as_str())))
                .inspect_err(|error| tracing::warn!("rejected events are lost: {error}"))
                .is_ok();
        let _ = kept;
        let noted = match self.mode {
            DeliveryMode::AtLeastOnce => deliverer.commit(chunk, &settled),
            DeliveryMode::AtMostOnce => Ok(()),
        };
        drop(deliverer);

        let now = now_ms();
        end.delivered += delivered;
        end.rejected += rejected.len() as u64;
        state.delivered += delivered;
        state.rejected += rejected.len() as u64;
        if delivered > 0 {
            state.last_delivery_ms = Some(now);
        }
        if let Some((_, reason)) = rejected.last() {
            state.last_problem = Some(Problem { at_ms: now, reason: format!("rejected: {reason}") });
        }
        let progress = delivered > 0 || !rejected.is_empty();
        if let Some((after, reason)) = retry {
            state.last_problem = Some(Problem { at_ms: now, reason });
            state.circuit.failed(now, after);
            return false;
        }
        if progress {
            state.circuit.succeeded();
            if rejected.is_empty() {
                state.last_problem = None;
            }
        }
        if let Err(error) = noted {
            // Going on would send the same events again and again in this very round.
            tracing::warn!("telemetry waits: {error}");
            return false;
        }
        true
    }
}
