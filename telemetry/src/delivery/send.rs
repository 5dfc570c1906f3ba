//! What waits in the spool for one backend, batch by batch: sent, settled and noted.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::delivery::attempt::{Attempt, attempt_while};
use crate::delivery::backend_handle::BackendHandle;
use crate::delivery::backends::Backends;
use crate::delivery::open_backend::OpenError;
use crate::delivery::outage::OutageNews;
use crate::delivery::pass_context::PassContext;
use crate::delivery::progress::Flushes;
use crate::delivery::settle::{DeliveryMode, Settlement, Verdict, settle};
use crate::delivery::target::Target;
use crate::error::Error;
use crate::event::batch_buffer::EventBuffer;
use crate::process::left;
use crate::spool::chunk::Chunk;
use crate::spool::reader::{Committed, Settle};

/// How many events a batch has at most.
pub(super) const BATCH_EVENTS: usize = 1000;
/// How many bytes of JSON a batch has at most, but for one event that is longer alone.
pub(super) const BATCH_BYTES: usize = 512 << 10;
/// Gives one backend what waits for it.
pub(super) struct BackendSender<'a> {
    pub(super) pass: &'a PassContext,
    pub(super) backends: &'a Arc<Backends>,
    pub(super) id: u64,
}

/// Why a backend has nothing to do for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepResult {
    /// All that waited for it is settled.
    Emptied,
    /// It is to be tried again later, after the pause if there is one.
    Failed { pause: Option<Duration> },
    /// Nothing may be sent any more, the time of the pass is over, or the backend is configured no more.
    Over,
}

/// Why a chunk was not sent.
enum Unsent {
    /// The time of the pass was over, or consent withdrawn, before the backend was asked.
    Late,
    Unopened(OpenError),
    Uncommitted(Error),
}

impl BackendSender<'_> {
    /// All that waits for one backend.
    pub(super) fn run(&self) -> StepResult {
        self.update(|handle, _| handle.progress.starts());
        loop {
            let Some((target, asked)) = self.backends.next_batch(self.id) else { return StepResult::Over };
            if left(self.pass.deadline).is_zero() {
                return self.over("there was no time left for it");
            }
            // The deliverer's lock is given back here: whoever holds the table's may wait for it.
            let next = self.pass.deliverer().next(&target.name, BATCH_EVENTS, BATCH_BYTES);
            let chunk = match next {
                Ok(Some(chunk)) => chunk,
                Ok(None) => {
                    self.update(|handle, _| handle.progress.empties(asked, true));
                    return StepResult::Emptied;
                }
                Err(error) => {
                    tracing::warn!("telemetry waits: {error}");
                    return self.failed();
                }
            };
            // Read again before every batch: the user may have said no since the last one.
            if !(self.pass.may_send)() {
                return self.over("nothing may be sent any more");
            }
            let goes_on = self.send(&target, &chunk);
            self.pass.save_states(true, || self.backends.states());
            if !goes_on {
                return self.failed();
            }
            if !chunk.cut {
                // What came meanwhile is for the next ticket.
                self.update(|handle, _| handle.progress.empties(asked, false));
            }
        }
    }

    fn over(&self, problem: &str) -> StepResult {
        let now = self.pass.spool.now_ms();
        self.update(|handle, flushes| {
            let pause = handle.state.circuit.open_for(now);
            handle.progress.fails(flushes.asked, Some(problem.to_owned()), pause);
        });
        StepResult::Over
    }

    fn failed(&self) -> StepResult {
        let now = self.pass.spool.now_ms();
        let pause = self.update(|handle, flushes| {
            let pause = handle.state.circuit.open_for(now);
            let problem = handle.state.last_problem.as_ref().map(|problem| problem.reason.clone());
            handle.progress.fails(flushes.asked, problem, pause);
            pause
        });
        StepResult::Failed { pause: pause.flatten() }
    }

    fn update<T>(&self, update: impl FnOnce(&mut BackendHandle, &mut Flushes) -> T) -> Option<T> {
        self.backends.update(self.id, update)
    }

    /// Opens the backend if need be, and sends what is in the buffer, which comes from the chunk. With *at most once* the
    /// backend is noted as done with all of the chunk before.
    fn attempt(
        &self,
        target: &Target,
        chunk: &Chunk,
        buffer: EventBuffer,
    ) -> Result<(Attempt, Option<Committed>), Unsent> {
        if buffer.is_empty() {
            return Ok((Attempt::default(), None));
        }
        // Without time, opening would seem to take too long.
        if left(self.pass.deadline).is_zero() {
            return Err(Unsent::Late);
        }
        let was_open = target.opened().is_some();
        let backend = target.open(left(self.pass.deadline)).map_err(Unsent::Unopened)?;
        if left(self.pass.deadline).is_zero() || !(was_open || (self.pass.consented)()) {
            return Err(Unsent::Late);
        }
        let committed = match self.pass.mode {
            // What can't be sent at all has been kept until here.
            DeliveryMode::AtMostOnce => {
                Some(self.pass.deliverer().commit_before_send(chunk).map_err(Unsent::Uncommitted)?)
            }
            DeliveryMode::AtLeastOnce => None,
        };
        let batch = buffer.into_batch(Arc::clone(&self.pass.slot));
        let timeout = target.options.timeout;
        Ok((attempt_while(&backend, &batch, timeout, self.pass.deadline, &self.pass.consented), committed))
    }

    /// Sends one chunk. Gives whether to go on with the next one.
    fn send(&self, target: &Target, chunk: &Chunk) -> bool {
        let mut buffer = EventBuffer::with_capacity(self.pass.fill.clone(), chunk.len(), chunk.bytes());
        let is_event = |line: &usize| buffer.push_stored(chunk.line(*line)).is_ok();
        let events: Vec<usize> = (0..chunk.len()).filter(is_event).collect();
        let was_open = target.opened().is_some();
        let attempted = self.attempt(target, chunk, buffer);
        if !was_open {
            // What was opened may be another file than the pass has found.
            let fingerprint = target.fingerprint();
            self.update(|handle, _| handle.state.fingerprint = fingerprint);
        }
        let now = self.pass.spool.now_ms();
        let (attempt, committed) = match attempted {
            Ok(attempted) => attempted,
            // That says nothing of the backend, which was not asked.
            Err(Unsent::Late) => return false,
            Err(Unsent::Uncommitted(error)) => {
                tracing::warn!("telemetry waits: {error}");
                return false;
            }
            Err(Unsent::Unopened(error)) => {
                self.log(
                    self.update(|handle, _| handle.state.not_opened(&error, now, target.longest_pause())),
                    target,
                );
                return false;
            }
        };
        let mut settlement = settle(&attempt, self.pass.mode, &|text| target.conceal(text));
        let noted = self.note(&target.name, chunk, &events, &mut settlement, committed);
        let news = self.update(|handle, flushes| {
            handle.state.delivered += settlement.delivered;
            handle.state.rejected += settlement.rejected;
            handle.state.lost += settlement.lost;
            flushes.delivered += settlement.delivered;
            flushes.rejected += settlement.rejected;
            if settlement.is_progress() {
                handle.progress.advances();
            }
            handle.state.settled(&settlement, now, target.longest_pause())
        });
        self.log(news, target);
        match noted {
            _ if settlement.failure.is_some() => return false,
            Ok(()) => {}
            Err(error @ Error::ClaimLost { .. }) => {
                tracing::warn!("telemetry waits: {error}");
                return false;
            }
            Err(error) => {
                // The note holds in this process, and on a full disk delivery is what makes room.
                if !self.pass.unnoted.swap(true, Ordering::Relaxed) {
                    tracing::warn!("if this process is killed now, events are delivered again: {error}");
                }
            }
        }
        !settlement.not_asked
    }

    fn log(&self, news: Option<OutageNews>, target: &Target) {
        if let Some(news) = news {
            let waiting = || self.pass.deliverer().waiting_bytes(&target.name);
            news.log(&target.name, self.pass.spool.now_ms(), waiting);
        }
    }

    /// Notes in the spool what becomes of the lines of a chunk, of which those at `events` are events.
    fn note(
        &self,
        backend: &str,
        chunk: &Chunk,
        events: &[usize],
        settlement: &mut Settlement,
        committed: Option<Committed>,
    ) -> Result<(), Error> {
        let mut deliverer = self.pass.deliverer();
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
