//! The supervisor of one backend: lets calls enter its plugin, waits for them, and judges how they ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jackfield_plugin_api::abi;

use super::{
    call::{CallState, Ended, Explanation, Origin},
    error::{CloseFailure, OpenFailure},
    executor::Entry,
    health::{Health, failure_of, or_no_message},
    instance::Instance,
    preview::{Collected, Preview, PreviewError},
    report::{Failure, Report, Reported},
    spin::Spin,
    stats::{Counters, ProcessStats, Stats},
    work::{Job, Source, Work},
};
use crate::{
    boundary::{backoff::Backoff, batch::Batch, host_services::HostHandle},
    load::tables::{Function, OptionalTable},
};

/// How long a caller waits that can't name an `Instant` so far ahead: about 30 years.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// What a supervisor needs to know.
pub(crate) struct SupervisorConfig {
    pub(crate) name: String,
    /// Where instances come from, the first one and those after a failure.
    pub(crate) source: Source,
    /// Deadline of opening, first time and after a failure.
    pub(crate) timeout: Duration,
    pub(crate) workers: usize,
    pub(crate) backoff: Backoff,
    pub(crate) host: &'static HostHandle,
}

pub(crate) struct Supervisor {
    entry: Box<dyn Entry>,
    config: SupervisorConfig,
    pub(super) health: Health,
    pub(super) counters: Arc<Counters>,
    closed: AtomicBool,
    spin: Spin,
}

/// A call on its way, with what is needed to judge how it ended.
pub(super) struct Ticket {
    pub(super) job: Arc<Job>,
    instance: Arc<Instance>,
    started: Instant,
    deadline: Instant,
}

/// How a ticket ended.
pub(super) struct Answered {
    pub(super) report: Report,
    /// What the plugin explained of a call that did what it is for.
    pub(super) text: String,
    /// What a preview has brought.
    pub(super) preview: Result<Preview, PreviewError>,
}

pub(super) fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + FOR_EVER)
}

impl Supervisor {
    /// Opens the first instance and waits for it.
    pub(crate) fn open(entry: Box<dyn Entry>, config: SupervisorConfig) -> Result<Self, OpenFailure> {
        let counters = Arc::new(Counters::new());
        let supervisor = Self {
            health: Health::new(&config.name, config.backoff, Arc::clone(&counters)),
            entry,
            config,
            counters,
            closed: AtomicBool::new(false),
            spin: Spin::new(),
        };
        let started = Instant::now();
        let (instance, open) =
            supervisor.start_instance().map_err(|error| OpenFailure::Thread(error.to_string()))?;
        match open.call.wait(&supervisor.spin) {
            Ended::Finished { status: abi::STATUS_OK, .. } => {
                supervisor.health.lock().current = Some(instance);
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
            Ended::Expired { .. } | Ended::TurnedAway => {
                instance.retire();
                instance.executor().kill();
                Err(OpenFailure::Call(Failure::TimedOut { after: started.elapsed() }))
            }
        }
    }

    fn job(&self, work: Work, deadline: Instant) -> Arc<Job> {
        let counters = Arc::clone(&self.counters);
        Arc::new(Job {
            call: Arc::new(CallState::new(work.reportable(), deadline)),
            work,
            returned_late: Box::new(move || counters.stuck_call_returned()),
        })
    }

    fn start_instance(&self) -> std::io::Result<(Arc<Instance>, Arc<Job>)> {
        let work = Work::Open { source: self.config.source.clone(), host: self.config.host };
        let open = self.job(work, deadline(self.config.timeout));
        let instance = Instance::start(
            self.entry.executor(),
            &self.config.name,
            self.config.workers,
            Arc::clone(&open),
        )?;
        Ok((instance, open))
    }

    /// Sends a batch and waits for the answer, at most for `timeout`.
    pub(crate) fn send(&self, batch: &Batch, timeout: Duration) -> Report {
        self.call(&Work::with_batch(Function::Send, batch), timeout).report
    }

    /// As [`send`](Self::send), for as long as `wanted` says so.
    pub(crate) fn send_while(&self, batch: &Batch, timeout: Duration, wanted: &dyn Fn() -> bool) -> Report {
        self.call_while(&Work::with_batch(Function::Send, batch), timeout, Some(wanted)).report
    }

    /// Whether the plugin has an optional table.
    pub(super) fn has(&self, table: OptionalTable) -> bool {
        self.entry.abilities().has(table)
    }

    pub(super) fn call(&self, work: &Work, timeout: Duration) -> Answered {
        self.call_while(work, timeout, None)
    }

    fn call_while(&self, work: &Work, timeout: Duration, wanted: Option<&dyn Fn() -> bool>) -> Answered {
        let (started, deadline) = (Instant::now(), deadline(timeout));
        loop {
            let ticket = match self.enter(work, started, deadline) {
                Ok(ticket) => ticket,
                Err(report) => {
                    return Answered { report, text: String::new(), preview: Ok(Preview::default()) };
                }
            };
            let ended = ticket.job.call.wait_while(&self.spin, wanted);
            if let Some(answered) = self.judge(&ticket, ended) {
                return answered;
            }
        }
    }

    /// Queues work for the plugin, or says why not.
    pub(super) fn enter(&self, work: &Work, started: Instant, deadline: Instant) -> Result<Ticket, Report> {
        let refuse = |failure| {
            let report = Report::new(work.events(), Reported::Nothing, Some(failure), started.elapsed());
            self.counters.count(&report);
            report.not_entered()
        };
        if self.closed.load(Ordering::Acquire) {
            return Err(refuse(Failure::Closed));
        }
        let mut state = self.health.lock();
        if let Some(failure) = self.health.barred(&mut state, started) {
            drop(state);
            return Err(refuse(failure));
        }
        let job = self.job(work.clone(), deadline);
        loop {
            let instance = match &state.current {
                Some(instance) => Arc::clone(instance),
                None => match self.start_instance() {
                    Ok((instance, _)) => Arc::clone(state.current.insert(instance)),
                    Err(error) => {
                        state.breaker.probe_again(started);
                        drop(state);
                        let message = format!("no thread for the plugin: {error}");
                        return Err(refuse(Failure::Failed { status: abi::STATUS_UNAVAILABLE, message }));
                    }
                },
            };
            if instance.submit(Arc::clone(&job)) {
                drop(state);
                return Ok(Ticket { job, instance, started, deadline });
            }
            if let Some(failure) = state.opening_failed(&instance) {
                drop(state);
                return Err(refuse(failure));
            }
            // It was discarded: there is another one to try.
            state.current = None;
        }
    }

    /// Turns the end of a call into a report, and draws the conclusions for the next ones.
    /// `None`: the instance was discarded before the call could enter it, and there is another one to try.
    pub(super) fn judge(&self, ticket: &Ticket, ended: Ended) -> Option<Answered> {
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
                let failure = if running && Instant::now() < ticket.deadline {
                    self.health.cancelled(&ticket.instance)
                } else {
                    self.health.expired(&ticket.instance, running, elapsed)
                };
                (reported, Some(failure))
            }
            Ended::TurnedAway => {
                let failed = self.health.lock().opening_failed(&ticket.instance);
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

    /// Lets calls finish, closes the instance and frees it, all before the deadline. A second close does nothing.
    pub(crate) fn close(&self, timeout: Duration) -> Result<(), CloseFailure> {
        let until = deadline(timeout);
        let started = Instant::now();
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.config.host.cancel();
        let Some(instance) = self.health.lock().current.take() else { return Ok(()) };
        instance.executor().cancel();
        if !instance.wait_until_quiet(until) {
            instance.retire();
            instance.executor().kill();
            return Err(CloseFailure::InFlight);
        }
        let job = self.job(Work::of(Function::Close), until);
        if !instance.submit(Arc::clone(&job)) {
            return Ok(());
        }
        let ended = job.call.wait(&self.spin);
        instance.retire();
        match ended {
            Ended::Finished { status, explanation, .. } => {
                if let Some(failure) = failure_of(status, explanation) {
                    return Err(CloseFailure::Close(failure));
                }
            }
            Ended::TurnedAway => {}
            Ended::Expired { .. } => {
                self.counters.call_got_stuck();
                instance.executor().kill();
                return Err(CloseFailure::Close(Failure::TimedOut { after: started.elapsed() }));
            }
        }
        match instance.wait_until_gone(until) {
            Some(abi::STATUS_OK) => Ok(()),
            Some(_) => Err(CloseFailure::FreePanicked),
            None => {
                instance.executor().kill();
                Err(CloseFailure::FreeTimedOut)
            }
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.counters.snapshot();
        stats.restarts = self.entry.restarts();
        let instance = self.health.lock().current.clone();
        let process = instance.and_then(|instance| instance.executor().process_id());
        stats.process = process.map(ProcessStats::of);
        stats
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.config.host.cancel();
        let instance = self.health.lock().current.take();
        if let Some(instance) = instance {
            instance.executor().cancel();
            instance.retire();
        }
    }
}
