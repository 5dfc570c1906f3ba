//! A backend's lane: who may enter the plugin, and which instance they find there.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jackfield_plugin_api::abi;

use super::{
    call::{CallState, Ended, Explanation, Said},
    instance::{Entry, Instance, Job, Phase, Source, Work},
    preview::{Collected, Preview, PreviewError},
    quarantine::{Admission, Backoff, Quarantine},
    report::{Failure, Report, Reported},
    spin::Spin,
    stats::{Counters, ProcessStats, Stats},
};
use crate::{batch::Batch, host::HostHandle};

/// How many calls of one backend may be stuck inside the plugin before it is not tried again. Each holds a thread.
const MOST_STUCK: u64 = 4;

/// How long a caller waits that can't name an `Instant` so far ahead: about 30 years.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// What a lane needs to know.
pub(crate) struct LaneConfig {
    pub(crate) name: String,
    /// Where instances come from, the first one and those after a failure.
    pub(crate) source: Source,
    /// Deadline of opening, first time and after a failure.
    pub(crate) timeout: Duration,
    pub(crate) workers: usize,
    pub(crate) backoff: Backoff,
    pub(crate) host: &'static HostHandle,
}

pub(crate) struct Lane {
    entry: Entry,
    config: LaneConfig,
    inner: Mutex<Inner>,
    counters: Arc<Counters>,
    closed: AtomicBool,
    spin: Spin,
}

struct Inner {
    /// The instance that calls enter; `None` until a call opens the next one.
    current: Option<Arc<Instance>>,
    quarantine: Quarantine,
}

impl Inner {
    fn is_current(&self, instance: &Arc<Instance>) -> bool {
        self.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, instance))
    }

    /// Lets no further call enter the current instance. The next call opens another.
    fn discard(&mut self, instance: &Arc<Instance>) {
        instance.retire();
        self.current = None;
    }
}

/// Why a backend could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenFailure {
    /// The plugin refused its configuration.
    Config {
        /// Path of the key, such as `tls.ca_file`; empty when it is no single key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// The plugin panicked, answered with a failure, or did not answer in time.
    Call(Failure),
    /// The operating system gave no thread to run it on.
    Thread(String),
    /// In the process that it was to run in, it did not get as far as being opened.
    Stage {
        /// Which stage, such as `load`.
        stage: String,
        /// Why.
        message: String,
    },
    /// It has crashed before and is left alone.
    LeftAlone(String),
}

impl fmt::Display for OpenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config { key, message } if key.is_empty() => {
                write!(f, "its configuration is refused: {message}")
            }
            Self::Config { key, message } => write!(f, "its configuration is refused: `{key}`: {message}"),
            Self::Call(failure) => failure.fmt(f),
            Self::Thread(error) => write!(f, "no thread for it: {error}"),
            Self::Stage { message, .. } | Self::LeftAlone(message) => f.write_str(message),
        }
    }
}

/// Why closing a backend was not clean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseFailure {
    /// Calls were still inside the plugin at the deadline; `close` was not called.
    InFlight,
    /// The plugin's `close` panicked, answered with a failure, or did not answer in time.
    Close(Failure),
    /// The plugin's `free` panicked.
    FreePanicked,
    /// The plugin's `free` did not return in time.
    FreeTimedOut,
}

impl fmt::Display for CloseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InFlight => f.write_str("calls were still inside the plugin at the deadline"),
            Self::Close(failure) => failure.fmt(f),
            Self::FreePanicked => f.write_str("the plugin panicked while it freed the instance"),
            Self::FreeTimedOut => f.write_str("the plugin did not free the instance in time"),
        }
    }
}

/// A call on its way, with what is needed to judge how it ended.
pub(crate) struct Ticket {
    job: Arc<Job>,
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

fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + FOR_EVER)
}

impl Lane {
    /// Opens the first instance and waits for it.
    pub(crate) fn open(entry: Entry, config: LaneConfig) -> Result<Self, OpenFailure> {
        let quarantine = Quarantine::new(config.backoff);
        let lane = Self {
            entry,
            config,
            inner: Mutex::new(Inner { current: None, quarantine }),
            counters: Arc::new(Counters::new()),
            closed: AtomicBool::new(false),
            spin: Spin::new(),
        };
        let started = Instant::now();
        let (instance, open) =
            lane.start_instance().map_err(|error| OpenFailure::Thread(error.to_string()))?;
        match open.call.wait(&lane.spin) {
            Ended::Finished { status: abi::STATUS_OK, .. } => {
                lane.lock().current = Some(instance);
                Ok(lane)
            }
            Ended::Finished { explanation: Explanation { subject, message, said: Said::Stage }, .. } => {
                Err(OpenFailure::Stage { stage: subject, message })
            }
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
                instance.kill();
                Err(OpenFailure::Call(Failure::TimedOut { after: started.elapsed() }))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
        let instance =
            Instance::start(&self.entry, &self.config.name, self.config.workers, Arc::clone(&open))?;
        Ok((instance, open))
    }

    /// Sends a batch and waits for the answer, at most for `timeout`.
    pub(crate) fn send(&self, batch: &Batch, timeout: Duration) -> Report {
        self.call(&Work::Send(batch.clone()), timeout).report
    }

    /// As [`send`](Self::send), for as long as `wanted` says so.
    pub(crate) fn send_while(&self, batch: &Batch, timeout: Duration, wanted: &dyn Fn() -> bool) -> Report {
        self.call_while(&Work::Send(batch.clone()), timeout, Some(wanted)).report
    }

    /// Whether the plugin has a table of diagnostics.
    pub(super) fn has_diagnostics(&self) -> bool {
        match &self.entry {
            Entry::Tables(tables) => tables.diagnostics.is_some(),
            Entry::Child(recipe) => recipe.has_diagnostics(),
        }
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
    fn enter(&self, work: &Work, started: Instant, deadline: Instant) -> Result<Ticket, Report> {
        let refuse = |failure| {
            let report = Report::new(work.events(), Reported::Nothing, Some(failure), started.elapsed());
            self.counters.count(&report);
            report.not_entered()
        };
        if self.closed.load(Ordering::Acquire) {
            return Err(refuse(Failure::Closed));
        }
        let mut inner = self.lock();
        if let Some(failure) = self.barred(&mut inner, started) {
            drop(inner);
            return Err(refuse(failure));
        }
        let job = self.job(work.clone(), deadline);
        loop {
            let instance = match &inner.current {
                Some(instance) => Arc::clone(instance),
                None => match self.start_instance() {
                    Ok((instance, _)) => Arc::clone(inner.current.insert(instance)),
                    Err(error) => {
                        inner.quarantine.probe_again(started);
                        drop(inner);
                        let message = format!("no thread for the plugin: {error}");
                        return Err(refuse(Failure::Failed { status: abi::STATUS_UNAVAILABLE, message }));
                    }
                },
            };
            if instance.submit(Arc::clone(&job)) {
                drop(inner);
                return Ok(Ticket { job, instance, started, deadline });
            }
            if let Some(failure) = opening_failed(&mut inner, &instance) {
                drop(inner);
                return Err(refuse(failure));
            }
            // It was discarded: there is another one to try.
            inner.current = None;
        }
    }

    fn barred(&self, inner: &mut Inner, now: Instant) -> Option<Failure> {
        let stuck = self.counters.stuck();
        if stuck >= MOST_STUCK {
            let reason = format!("{stuck} calls never came back from the plugin");
            return Some(Failure::Quarantined { retry_after: self.config.backoff.longest, reason });
        }
        match inner.quarantine.admit(now) {
            Admission::Pass => None,
            Admission::Probe => {
                tracing::debug!(backend = %self.config.name, "probing after quarantine");
                None
            }
            Admission::Refused { retry_after, reason } => Some(Failure::Quarantined { retry_after, reason }),
        }
    }

    /// Turns the end of a call into a report, and draws the conclusions for the lane.
    /// `None`: the instance was discarded before the call could enter it, and there is another one to try.
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
                self.returned(&ticket.instance, failure.as_ref());
                (reported, failure)
            }
            Ended::Expired { running, reported } => {
                let failure = if running && Instant::now() < ticket.deadline {
                    self.cancelled(&ticket.instance)
                } else {
                    self.expired(&ticket.instance, running, elapsed)
                };
                (reported, Some(failure))
            }
            Ended::TurnedAway => match self.turned_away(&ticket.instance) {
                Some(failure) => (Reported::Nothing, Some(failure)),
                None if Instant::now() < ticket.deadline => return None,
                None => (Reported::Nothing, Some(Failure::Busy { after: elapsed })),
            },
        };
        let (reported, preview) = match work {
            Work::Preview(batch) => (Reported::Nothing, collected.preview(reported, batch.len())),
            _ => (reported, Ok(Preview::default())),
        };
        let report = Report::new(work.events(), reported, failure, elapsed);
        self.counters.count(&report);
        let report = if entered { report } else { report.not_entered() };
        Some(Answered { report, text, preview })
    }

    fn returned(&self, instance: &Arc<Instance>, failure: Option<&Failure>) {
        let mut inner = self.lock();
        if !inner.is_current(instance) {
            // Discarded while this call was inside: it says nothing about the instance that took its place.
            return;
        }
        if let Some(failure @ Failure::Crashed { .. }) = failure {
            let now = Instant::now();
            if matches!(&self.entry, Entry::Child(recipe) if recipe.gave_up()) {
                tracing::warn!(backend = %self.config.name, "{failure}; left alone until its file changes");
                inner.quarantine.give_up(now, &failure.to_string());
            } else {
                tracing::warn!(backend = %self.config.name, "{failure}; in quarantine");
                inner.quarantine.trip(now, &failure.to_string());
            }
            inner.discard(instance);
        } else if let Some(failure @ Failure::Panicked { .. }) = failure {
            tracing::warn!(backend = %self.config.name, "{failure}; opening a fresh instance");
            inner.quarantine.failed(Instant::now(), &failure.to_string());
            inner.discard(instance);
        } else {
            // The plugin answered in time: it is well, whatever it says of its platform.
            inner.quarantine.succeeded();
        }
    }

    /// A call that was no longer wanted did not return when it was told so. That is no reason for quarantine.
    fn cancelled(&self, instance: &Arc<Instance>) -> Failure {
        self.counters.call_got_stuck();
        instance.kill();
        let mut inner = self.lock();
        inner.quarantine.probe_again(Instant::now());
        if inner.is_current(instance) {
            inner.discard(instance);
        }
        let message = "the call was cancelled, and the plugin did not return".to_owned();
        Failure::Failed { status: abi::STATUS_UNAVAILABLE, message }
    }

    fn expired(&self, instance: &Arc<Instance>, running: bool, after: Duration) -> Failure {
        // A call that still waits for `open` hangs as one inside `send` does; whoever notices first counts the thread.
        let opening = !running && instance.phase() == Phase::Opening;
        if running || (opening && instance.abandon_open()) {
            self.counters.call_got_stuck();
        }
        if running || opening {
            // In a process of its own a call can be ended; in this one it goes on.
            instance.kill();
        }
        let mut inner = self.lock();
        if !running && !opening {
            inner.quarantine.probe_again(Instant::now());
            return Failure::Busy { after };
        }
        let failure = Failure::TimedOut { after };
        if inner.is_current(instance) {
            tracing::warn!(backend = %self.config.name, "{failure}; in quarantine");
            inner.quarantine.trip(Instant::now(), &failure.to_string());
            inner.discard(instance);
        }
        failure
    }

    /// The instance that a call waited for was discarded; the failure when it never came to be.
    fn turned_away(&self, instance: &Arc<Instance>) -> Option<Failure> {
        opening_failed(&mut self.lock(), instance)
    }

    /// Lets calls finish, closes the instance and frees it, all before the deadline. A second close does nothing.
    pub(crate) fn close(&self, timeout: Duration) -> Result<(), CloseFailure> {
        let until = deadline(timeout);
        let started = Instant::now();
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.config.host.cancel();
        let Some(instance) = self.lock().current.take() else { return Ok(()) };
        instance.cancel();
        if !instance.wait_until_quiet(until) {
            instance.retire();
            instance.kill();
            return Err(CloseFailure::InFlight);
        }
        let job = self.job(Work::Close, until);
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
                instance.kill();
                return Err(CloseFailure::Close(Failure::TimedOut { after: started.elapsed() }));
            }
        }
        match instance.wait_until_gone(until) {
            Some(abi::STATUS_OK) => Ok(()),
            Some(_) => Err(CloseFailure::FreePanicked),
            None => {
                instance.kill();
                Err(CloseFailure::FreeTimedOut)
            }
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.counters.snapshot();
        if let Entry::Child(recipe) = &self.entry {
            stats.restarts = recipe.restarts();
            let instance = self.lock().current.clone();
            stats.process = instance.and_then(|instance| instance.process()).map(ProcessStats::of);
        }
        stats
    }
}

#[cfg(feature = "tokio")]
impl Lane {
    /// The asynchronous form of [`send`](Self::send). Dropping the future abandons the call.
    pub(crate) async fn send_async(&self, batch: &Batch, timeout: Duration) -> Report {
        let (started, deadline) = (Instant::now(), deadline(timeout));
        let work = Work::Send(batch.clone());
        loop {
            let ticket = match self.enter(&work, started, deadline) {
                Ok(ticket) => ticket,
                Err(report) => return report,
            };
            let waiting = Waiting { lane: self, ticket: &ticket };
            let finished = std::future::poll_fn(|context| ticket.job.call.poll(context));
            let ended = tokio::time::timeout_at(deadline.into(), finished).await;
            std::mem::forget(waiting);
            let ended = ended.unwrap_or_else(|_| ticket.job.call.abandon());
            if let Some(answered) = self.judge(&ticket, ended) {
                return answered.report;
            }
        }
    }
}

/// Stands for a future that waits for a call; its drop is that future's.
#[cfg(feature = "tokio")]
struct Waiting<'a> {
    lane: &'a Lane,
    ticket: &'a Ticket,
}

#[cfg(feature = "tokio")]
impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Nobody waits, and no deadline was missed: the plugin is told that the call is cancelled, and not judged by it.
        if let Ended::Expired { running: true, .. } = self.ticket.job.call.abandon() {
            self.lane.counters.call_got_stuck();
        }
        self.lane.lock().quarantine.probe_again(Instant::now());
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.config.host.cancel();
        if let Some(instance) = self.lock().current.take() {
            instance.cancel();
            instance.retire();
        }
    }
}

/// What a plugin said, for a sentence that ends with it.
fn or_no_message(message: String) -> String {
    if message.is_empty() { "(no message)".to_owned() } else { message }
}

fn failure_of(status: abi::Status, explanation: Explanation) -> Option<Failure> {
    let Explanation { subject, message, said } = explanation;
    match status {
        abi::STATUS_OK => None,
        _ if said == Said::Crash => Some(Failure::Crashed { how: message }),
        abi::STATUS_PANIC => Some(Failure::Panicked { message: or_no_message(message), position: subject }),
        _ => Some(Failure::Failed { status, message }),
    }
}

/// The failure of an instance that never came to be, counted by whoever notices it first.
fn opening_failed(inner: &mut Inner, instance: &Arc<Instance>) -> Option<Failure> {
    let (status, explanation) = instance.open_failure()?;
    let mut failure = failure_of(status, explanation)?;
    let text = failure.to_string();
    if let Failure::Failed { message, .. } = &mut failure {
        *message = format!("a fresh instance could not be opened: {text}");
    } else if let Failure::Panicked { message, .. } = &mut failure {
        message.insert_str(0, "a fresh instance could not be opened: ");
    }
    if inner.is_current(instance) {
        inner.quarantine.failed(Instant::now(), &failure.to_string());
        inner.discard(instance);
    }
    Some(failure)
}
