//! Sends the events of one backend batch by batch, settles them, and notes the result in the spool.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::delivery::backends::{BackendHandle, Backends};
use crate::delivery::call_backend::{Unsent, call_backend};
use crate::delivery::configured_backend::ConfiguredBackend;
use crate::delivery::outage::OutageNews;
use crate::delivery::pass_context::PassContext;
use crate::delivery::progress::Flushes;
use crate::delivery::settle::{Decision, Settlement, settle};
use crate::error::Error;
use crate::event::batch_buffer::EventBuffer;
use crate::process::left;
use crate::spool::chunk::Chunk;
use crate::spool::reader::{Committed, Settle};

/// The greatest number of events in a batch.
pub(super) const BATCH_EVENTS: usize = 1000;
/// The greatest number of bytes of JSON in a batch of several events.
pub(super) const BATCH_BYTES: usize = 512 << 10;

/// Delivers to one backend what waits for it.
pub(super) struct BackendSender<'a> {
    pub(super) pass: &'a PassContext,
    pub(super) backends: &'a Arc<Backends>,
    pub(super) id: u64,
}

/// Why the work of a backend has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepResult {
    /// All its events are settled.
    Emptied,
    /// It failed, and is tried again after the pause.
    Failed { pause: Option<Duration> },
    /// Nothing may be sent any more, the time of the pass is over, or the backend was removed.
    Over,
}

impl BackendSender<'_> {
    /// Sends everything that waits for the backend.
    pub(super) fn run(&self) -> StepResult {
        self.update(|handle, _| handle.progress.starts());
        loop {
            let Some((target, asked)) = self.backends.next_batch(self.id) else { return StepResult::Over };
            if left(self.pass.deadline).is_zero() {
                return self.over("there was no time left for it");
            }
            // The deliverer's lock is released here, because a thread that holds the table's lock may wait for it.
            let next = self.pass.deliverer().next(&target.name, BATCH_EVENTS, BATCH_BYTES);
            let chunk = match next {
                Ok(Some(chunk)) => chunk,
                Ok(None) => {
                    self.update(|handle, _| handle.progress.empties(asked, true));
                    return StepResult::Emptied;
                }
                Err(error) => {
                    self.backends.warnings.telemetry_waits(&error.to_string());
                    return self.failed();
                }
            };
            // Checked before every batch, because the user may have withdrawn consent since the last one.
            if !self.pass.may_send() {
                return self.over("nothing may be sent any more");
            }
            let goes_on = self.send(&target, &chunk);
            self.pass.save_states(true, || self.backends.states());
            if !goes_on {
                return self.failed();
            }
            if !chunk.cut {
                // Events that have come since then belong to the next ticket.
                self.update(|handle, _| handle.progress.empties(asked, false));
            }
        }
    }

    fn over(&self, problem: &str) -> StepResult {
        let now = self.pass.now_ms();
        self.update(|handle, flushes| {
            let pause = handle.state.circuit.open_for(now);
            handle.progress.fails(flushes.asked, Some(problem.into()), pause);
        });
        StepResult::Over
    }

    fn failed(&self) -> StepResult {
        let now = self.pass.now_ms();
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

    /// Sends one chunk. Returns whether the next one may follow.
    fn send(&self, target: &ConfiguredBackend, chunk: &Chunk) -> bool {
        let mut buffer =
            EventBuffer::with_capacity(self.pass.config.fill.clone(), chunk.len(), chunk.bytes());
        let is_event = |line: &usize| buffer.push_stored(chunk.line(*line)).is_ok();
        let events: Vec<usize> = (0..chunk.len()).filter(is_event).collect();
        let was_open = target.opened().is_some();
        let attempted = call_backend(
            self.pass,
            target,
            buffer,
            &|| self.pass.lets_calls_run(),
            target.options.timeout,
            || self.pass.deliverer().commit_before_send(chunk),
        );
        if !was_open {
            // The opened file may be another one than at the beginning of the pass.
            let fingerprint = target.fingerprint();
            self.update(|handle, _| handle.state.fingerprint = fingerprint);
        }
        let now = self.pass.now_ms();
        let (attempt, committed) = match attempted {
            Ok(attempted) => attempted,
            // The backend was not asked.
            Err(Unsent::Late) => return false,
            Err(Unsent::Uncommitted(error)) => {
                self.backends.warnings.telemetry_waits(&error.to_string());
                return false;
            }
            Err(Unsent::Unopened(error)) => {
                let news =
                    self.update(|handle, _| handle.state.not_opened(&error, now, target.longest_pause()));
                self.log(news, target);
                return false;
            }
        };
        let mut settlement = settle(&attempt, self.pass.config.mode, &|text| target.reason(text));
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
                self.backends.warnings.telemetry_waits(&error.to_string());
                return false;
            }
            Err(error) => {
                // The note holds in this process. Delivery goes on, because it makes room on a full disk.
                if !self.pass.unnoted.swap(true, Ordering::Relaxed) {
                    tracing::warn!("if this process is killed now, events are delivered again: {error}");
                }
            }
        }
        attempt.to_be_noted || !settlement.not_asked
    }

    fn log(&self, news: Option<OutageNews>, target: &ConfiguredBackend) {
        if let Some(news) = news {
            let waiting = || self.pass.deliverer().waiting_bytes(&target.name);
            news.log(&target.name, self.pass.now_ms(), waiting);
        }
    }

    /// Notes the result in the spool. `events` are the indexes of the chunk's lines that are events.
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
            let rejected = events.iter().zip(&settlement.decisions).filter_map(|(line, decision)| {
                let Decision::Rejected(reason) = decision else { return None };
                Some((chunk.line(*line), &**reason))
            });
            if let Err(error) = deliverer.reject(backend, rejected) {
                // The failure of the backend tells it.
                tracing::debug!("rejected events are not put aside: {error}");
                settlement.keep_rejected(&error.to_string());
            }
        }
        let mut settled = vec![Settle::Damaged; chunk.len()];
        for (line, decision) in events.iter().zip(&settlement.decisions) {
            settled[*line] = match decision {
                Decision::Delivered | Decision::Rejected(_) | Decision::Lost => Settle::Done,
                Decision::Retry(_) | Decision::NotAsked => Settle::Keep,
            };
        }
        match committed {
            Some(committed) => deliverer.sent(chunk, committed, &settled),
            None => deliverer.commit(chunk, &settled),
        }
    }
}
