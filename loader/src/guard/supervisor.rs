//! The supervisor of one backend: it lets calls enter the plugin, waits for them, and judges how they ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jackfield_plugin_api::abi;

use super::call::{CallState, Ended, Explanation, Origin};
use super::error::{CloseFailure, OpenFailure};
use super::executor::{Entry, Job, Work};
use super::health::{Health, failure_of, or_no_message};
use super::instance::GuardedInstance;
use super::options::BackendOptions;
use super::preview::{Collected, Preview, PreviewError};
use super::report::{Failure, Report, Reported};
use super::spin::Spin;
use super::stats::{Counters, ProcessStats, Stats};
use crate::boundary::batch::Batch;
use crate::boundary::process::{self, lock};
use crate::load::tables::Function;

pub(crate) struct Supervisor {
    pub(super) entry: Box<dyn Entry>,
    name: String,
    /// Deadline of `open`, for each instance.
    timeout: Duration,
    workers: usize,
    health: Health,
    counters: Arc<Counters>,
    closed: AtomicBool,
    spin: Spin,
}

/// A call that is queued or inside the plugin, and what is needed to judge its end.
struct Ticket {
    job: Arc<Job>,
    instance: Arc<GuardedInstance>,
    started: Instant,
    deadline: Instant,
}

/// What is to be logged of a call that enters.
#[derive(Default)]
struct Seen {
    probes: bool,
    no_worker: Option<std::io::Error>,
}

pub(super) struct Answered {
    pub(super) report: Report,
    /// The explanation of a call that succeeded.
    pub(super) text: String,
    /// The preview, if the call was for one.
    pub(super) preview: Result<Preview, PreviewError>,
}

impl Supervisor {
    pub(crate) fn open(entry: Box<dyn Entry>, options: &BackendOptions) -> Result<Self, OpenFailure> {
        let counters = Arc::new(Counters::new());
        let supervisor = Self {
            entry,
            name: options.name.clone(),
            timeout: options.timeout,
            workers: options.concurrency,
            health: Health::new(&options.name, options.circuit_backoff, Arc::clone(&counters)),
            counters,
            closed: AtomicBool::new(false),
            spin: Spin::new(),
        };
        let started = Instant::now();
        let (instance, open) =
            supervisor.start_instance().map_err(|error| OpenFailure::Thread(error.to_string()))?;
        match open.call.wait(&supervisor.spin, None) {
            Ended::Finished { status: abi::STATUS_OK, .. } => {
                lock(&supervisor.health.state).current = Some(instance);
                Ok(supervisor)
            }
            Ended::Finished {
                explanation: Explanation { message, origin: Origin::Stage(stage), .. },
                ..
            } => Err(OpenFailure::Stage { stage, message }),
            Ended::Finished { status: abi::STATUS_INVALID_CONFIG, explanation, .. } => {
                Err(OpenFailure::Config {
                    key: explanation.subject,
                    message: or_no_message(explanation.message),
                })
            }
            Ended::Finished { status, explanation, .. } => Err(OpenFailure::Call(
                failure_of(status, explanation).unwrap_or(Failure::Failed { status, message: String::new() }),
            )),
            ended @ (Ended::Expired { .. } | Ended::TurnedAway) => {
                if matches!(ended, Ended::Expired { running: true, .. }) {
                    supervisor.counters.call_got_stuck();
                }
                instance.retire();
                instance.executor.kill();
                Err(OpenFailure::Call(Failure::TimedOut { after: started.elapsed() }))
            }
        }
    }

    fn job(&self, work: Work, deadline: Instant) -> Arc<Job> {
        Arc::new(Job {
            call: Arc::new(CallState::new(work.reportable(), deadline)),
            work,
            counters: Arc::clone(&self.counters),
        })
    }

    fn start_instance(&self) -> std::io::Result<(Arc<GuardedInstance>, Arc<Job>)> {
        let open = self.job(Work::Open, process::deadline(self.timeout));
        let instance =
            GuardedInstance::start(self.entry.executor(), &self.name, self.workers, Arc::clone(&open))?;
        Ok((instance, open))
    }

    /// Sends a batch and waits for the answer, at most for `timeout` and while `wanted` returns `true`.
    pub(crate) fn send(&self, batch: &Batch, timeout: Duration, wanted: Option<&dyn Fn() -> bool>) -> Report {
        self.call(&Work::with_batch(Function::Send, batch), timeout, wanted).report
    }

    /// The asynchronous form of [`send`](Self::send). Dropping the future abandons the call.
    #[cfg(feature = "tokio")]
    pub(crate) async fn send_async(&self, batch: &Batch, timeout: Duration) -> Report {
        let (started, deadline) = (Instant::now(), process::deadline(timeout));
        let work = Work::with_batch(Function::Send, batch);
        loop {
            let ticket = match self.enter(&work, started, deadline) {
                Ok(ticket) => ticket,
                Err(report) => return report,
            };
            let waiting = Waiting { supervisor: self, ticket: &ticket };
            let finished = std::future::poll_fn(|context| ticket.job.call.poll(context));
            let ended = tokio::time::timeout_at(deadline.into(), finished).await;
            std::mem::forget(waiting);
            let ended = ended.unwrap_or_else(|_| ticket.job.call.abandon());
            if let Some(answered) = self.judge(&ticket, ended) {
                return answered.report;
            }
        }
    }

    /// Does work inside the plugin, at most for `timeout` and while `wanted` returns `true`.
    pub(super) fn call(&self, work: &Work, timeout: Duration, wanted: Option<&dyn Fn() -> bool>) -> Answered {
        let (started, deadline) = (Instant::now(), process::deadline(timeout));
        loop {
            let ticket = match self.enter(work, started, deadline) {
                Ok(ticket) => ticket,
                Err(report) => {
                    return Answered { report, text: String::new(), preview: Ok(Preview::default()) };
                }
            };
            let ended = ticket.job.call.wait(&self.spin, wanted);
            if let Some(answered) = self.judge(&ticket, ended) {
                return answered;
            }
        }
    }

    /// Queues work for the plugin, or reports why that is not possible.
    fn enter(&self, work: &Work, started: Instant, deadline: Instant) -> Result<Ticket, Report> {
        let mut seen = Seen::default();
        let entered = self.try_enter(work, started, deadline, &mut seen);
        // Not under the lock of the health: a subscriber may call this backend.
        if seen.probes {
            tracing::debug!(backend = %self.name, "circuit half-open: this call is the probe");
        }
        if let Some(error) = seen.no_worker {
            tracing::warn!(%error, "no thread for another worker of {}", self.name);
        }
        entered.map_err(|failure| {
            let report = Report::new(work.events(), Reported::Nothing, Some(failure), started.elapsed());
            self.counters.count(&report);
            report.not_entered()
        })
    }

    fn try_enter(
        &self,
        work: &Work,
        started: Instant,
        deadline: Instant,
        seen: &mut Seen,
    ) -> Result<Ticket, Failure> {
        let mut state = lock(&self.health.state);
        // `close` sets the flag before it takes the instance out of the locked state.
        if self.closed.load(Ordering::Acquire) {
            return Err(Failure::Closed);
        }
        seen.probes = self.health.admit(&mut state, started)?;
        let job = self.job(work.clone(), deadline);
        loop {
            let instance = match &state.current {
                Some(instance) => Arc::clone(instance),
                None => match self.start_instance() {
                    Ok((instance, _)) => Arc::clone(state.current.insert(instance)),
                    Err(error) => {
                        state.breaker.probe_again(started);
                        let message = format!("no thread for the plugin: {error}");
                        return Err(Failure::Failed { status: abi::STATUS_UNAVAILABLE, message });
                    }
                },
            };
            if instance.submit(Arc::clone(&job), &mut seen.no_worker) {
                return Ok(Ticket { job, instance, started, deadline });
            }
            if let Some(failure) = state.opening_failed(&instance) {
                return Err(failure);
            }
            // It was discarded. The next round starts another one.
            state.current = None;
        }
    }

    /// Turns the end of a call into a report, and updates the health of the backend. `None` when the instance
    /// was discarded before the call could enter it, so that the call is to be repeated.
    fn judge(&self, ticket: &Ticket, ended: Ended) -> Option<Answered> {
        let elapsed = ticket.started.elapsed();
        let (mut text, mut collected) = (String::new(), Collected::default());
        let work = &ticket.job.work;
        let entered = matches!(ended, Ended::Finished { .. } | Ended::Expired { running: true, .. });
        let (reported, failure) = match ended {
            Ended::Finished { status, reported, explanation, collected: handed_over } => {
                collected = handed_over;
                if status == abi::STATUS_OK {
                    text.clone_from(&explanation.message);
                }
                let failure = failure_of(status, explanation);
                self.health.returned(&ticket.instance, failure.as_ref(), self.entry.gave_up());
                (reported, failure)
            }
            Ended::Expired { running, reported } => {
                let failure = match (Instant::now() < ticket.deadline, running) {
                    (true, true) => self.health.cancelled(&ticket.instance),
                    (true, false) => self.health.left_the_queue(elapsed),
                    (false, _) => self.health.expired(&ticket.instance, running, elapsed),
                };
                (reported, Some(failure))
            }
            Ended::TurnedAway => {
                let failed = lock(&self.health.state).opening_failed(&ticket.instance);
                match failed {
                    Some(failure) => (Reported::Nothing, Some(failure)),
                    None if Instant::now() < ticket.deadline => return None,
                    None => (Reported::Nothing, Some(Failure::Busy { after: elapsed })),
                }
            }
        };
        let (reported, preview) = match work {
            Work::Call { function: Function::Preview, .. } => {
                (Reported::Nothing, collected.preview(reported, work.reportable()))
            }
            _ => (reported, Ok(Preview::default())),
        };
        let report = Report::new(work.events(), reported, failure, elapsed);
        self.counters.count(&report);
        let report = if entered { report } else { report.not_entered() };
        Some(Answered { report, text, preview })
    }

    /// Lets calls finish, closes and frees the instance, all within `timeout`. A second close does nothing.
    pub(crate) fn close(&self, timeout: Duration) -> Result<(), CloseFailure> {
        let until = process::deadline(timeout);
        let started = Instant::now();
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.entry.cancel();
        let Some(instance) = lock(&self.health.state).current.take() else { return Ok(()) };
        instance.executor.cancel();
        if !instance.wait_until_quiet(until) {
            instance.retire();
            instance.executor.kill();
            return Err(CloseFailure::InFlight);
        }
        let job = self.job(Work::of(Function::Close), until);
        if !instance.submit(Arc::clone(&job), &mut None) {
            return Ok(());
        }
        let failure = match job.call.wait(&self.spin, None) {
            Ended::Finished { status, explanation, .. } => failure_of(status, explanation),
            Ended::TurnedAway => None,
            Ended::Expired { running, .. } => {
                if running {
                    self.counters.call_got_stuck();
                }
                instance.executor.kill();
                Some(Failure::TimedOut { after: started.elapsed() })
            }
        };
        if let Some(failure) = failure {
            instance.retire();
            return Err(CloseFailure::Close(failure));
        }
        instance.await_free();
        instance.retire();
        match instance.wait_until_gone(until) {
            Some(freed) => freed,
            None => {
                instance.executor.kill();
                Err(CloseFailure::FreeTimedOut)
            }
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.counters.snapshot();
        stats.restarts = self.entry.restarts();
        let instance = lock(&self.health.state).current.clone();
        let process = instance.and_then(|instance| instance.executor.process_id());
        stats.process = process.map(ProcessStats::of);
        stats
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.entry.cancel();
        let instance = lock(&self.health.state).current.take();
        if let Some(instance) = instance {
            instance.executor.cancel();
            instance.retire();
        }
    }
}

/// A future that waits for a call. Dropping this value is dropping the future.
#[cfg(feature = "tokio")]
struct Waiting<'a> {
    supervisor: &'a Supervisor,
    ticket: &'a Ticket,
}

#[cfg(feature = "tokio")]
impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // A cancelled call did not miss its deadline, so that it says nothing about the plugin's health.
        if let Ended::Expired { running: true, .. } = self.ticket.job.call.abandon() {
            self.supervisor.counters.call_got_stuck();
        }
        lock(&self.supervisor.health.state).breaker.probe_again(Instant::now());
    }
}
