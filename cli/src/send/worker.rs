//! One configured backend of a run, and the thread that delivers to it.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use jackfield::forward::{CancellationToken, Delivery, DeliveryOptions, EventOutcome, open_backend};
use jackfield::{BackendConfig, Config};
use jackfield_loader::{Backend, Batch, ForeignText, count, show_path};
use serde::Serialize;

use crate::{
    exit::{Exit, UnusableBackend},
    leftovers::{Leftover, Leftovers},
    settings,
};

/// The number of batches that can wait for a backend. Reading stops while a backend has this number.
const QUEUE: usize = 4;

/// The number of reasons of one backend that are counted separately. Further ones are counted together.
const MOST_REASONS: usize = 100;

/// A backend of the configuration, open or not.
pub(super) struct OpenedBackend {
    config: BackendConfig,
    pub(super) backend: Result<Backend, UnusableBackend>,
    /// Name of the plugin, if it is open.
    pub(super) plugin: Option<ForeignText>,
}

impl OpenedBackend {
    /// Opens a backend for the one thread that sends.
    pub(super) fn open(config: &Config, backend: BackendConfig) -> Self {
        let (opened, plugin) =
            match open_backend(config, &backend, &settings::backend_options(config, &backend)) {
                Ok((opened, plugin)) => (Ok(opened), Some(plugin)),
                Err(error) => (Err(UnusableBackend::new(&backend.name, &error)), None),
            };
        Self { config: backend, backend: opened, plugin }
    }
}

/// The results of one backend.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct BackendSummary {
    pub(super) name: String,
    pub(super) plugin: Option<ForeignText>,
    /// Why it could not be opened.
    pub(super) error: Option<String>,
    /// The exit of a backend that could not be opened.
    #[serde(skip)]
    pub(super) exit: Option<Exit>,
    pub(super) delivered: u64,
    /// Attempts after the first, counted for each event.
    pub(super) retried: u64,
    pub(super) rejected: u64,
    pub(super) undelivered: u64,
    /// Rejected or undelivered, and in no file.
    pub(super) lost: u64,
    /// The most frequent first.
    pub(super) reasons: Vec<Reason>,
    pub(super) close_error: Option<String>,
    pub(super) rejected_file: Option<String>,
    pub(super) undelivered_file: Option<String>,
    /// Why events are lost, or their outcomes unknown.
    #[serde(skip)]
    pub(super) errors: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Reason {
    /// `rejected` or `undelivered`.
    pub(super) outcome: &'static str,
    pub(super) reason: String,
    pub(super) events: u64,
}

/// The settings that all workers of a run share.
#[derive(Clone)]
pub(super) struct SendSettings {
    pub(super) give_up_after: Duration,
    pub(super) leftovers: Leftovers,
    /// Ends the deliveries: the user has interrupted the run, or leftovers can't be written.
    pub(super) stop: CancellationToken,
}

/// The thread that delivers to one backend.
pub(super) struct Worker {
    batches: Option<SyncSender<Batch>>,
    thread: JoinHandle<BackendSummary>,
    /// The summary without the results of events.
    blank: BackendSummary,
}

impl Worker {
    /// Starts the thread of a backend. The events of one that could not be opened go to its file.
    pub(super) fn start(opened: OpenedBackend, settings: &SendSettings) -> io::Result<Self> {
        let OpenedBackend { config, backend, plugin } = opened;
        let unusable = backend.as_ref().err();
        let blank = BackendSummary {
            name: config.name.clone(),
            plugin,
            error: unusable.map(|unusable| unusable.reason.clone()),
            exit: unusable.map(|unusable| unusable.exit),
            ..BackendSummary::default()
        };
        let (sender, receiver) = sync_channel(QUEUE);
        let (settings, summary) = (settings.clone(), blank.clone());
        let thread = thread::Builder::new()
            .name(format!("send-{}", config.name))
            .spawn(move || deliver(&config, backend.ok(), summary, &settings, &receiver))?;
        Ok(Self { batches: Some(sender), thread, blank })
    }

    /// Passes a batch on; waits while the queue is full.
    pub(super) fn send(&self, batch: &Batch) {
        if let Some(batches) = &self.batches {
            // The receiver ends only with a panic, which `finish` reports.
            drop(batches.send(batch.clone()));
        }
    }

    /// Says that no further batch comes.
    pub(super) fn end(&mut self) {
        self.batches = None;
    }

    /// Waits until all batches are settled and the backend is closed.
    pub(super) fn finish(mut self) -> BackendSummary {
        self.end();
        let errors = vec!["its thread panicked, and the outcomes of its events are unknown".to_owned()];
        self.thread.join().unwrap_or(BackendSummary { errors, ..self.blank })
    }
}

fn deliver(
    config: &BackendConfig,
    backend: Option<Backend>,
    summary: BackendSummary,
    settings: &SendSettings,
    batches: &Receiver<Batch>,
) -> BackendSummary {
    let file = |kind: &str| settings.leftovers.file(&format!("{}.{kind}.jsonl", config.name));
    let mut ledger = Ledger {
        rejected: file("rejected"),
        undelivered: file("undelivered"),
        reasons: BTreeMap::new(),
        summary,
    };
    let mut options = DeliveryOptions::default();
    options.give_up_after = settings.give_up_after;
    let mut delivery = backend.map(|backend| Delivery::new(backend, options, settings.stop.clone()));
    let unopened = EventOutcome::Undelivered(Arc::from("the backend could not be opened"));
    for batch in batches {
        let outcomes = match &mut delivery {
            Some(delivery) => delivery.deliver(&batch),
            None => vec![unopened.clone(); batch.len()],
        };
        ledger.settle(&batch, &outcomes, &settings.stop);
    }
    if let Some(delivery) = delivery {
        ledger.summary.retried = delivery.retried();
        let closed = delivery.backend().close(config.timeout);
        ledger.summary.close_error = closed.err().map(|error| config.conceal(&error.to_string()));
    }
    ledger.finish(config)
}

/// The number of events by outcome and reason.
pub(super) type ReasonCounts = BTreeMap<(&'static str, Arc<str>), u64>;

/// The reasons, the most frequent first. Reasons that are equal after `conceal` become one.
pub(super) fn sorted(counts: ReasonCounts, conceal: impl Fn(&str) -> String) -> Vec<Reason> {
    let mut concealed = BTreeMap::<_, u64>::new();
    for ((outcome, reason), events) in counts {
        *concealed.entry((outcome, conceal(&reason))).or_default() += events;
    }
    let reason = |((outcome, reason), events)| Reason { outcome, reason, events };
    let mut reasons: Vec<_> = concealed.into_iter().map(reason).collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.events));
    reasons
}

/// The counts and the files of one backend.
struct Ledger {
    rejected: Leftover,
    undelivered: Leftover,
    reasons: ReasonCounts,
    summary: BackendSummary,
}

impl Ledger {
    /// Counts the outcomes of a batch, and writes the events that were not delivered to their files.
    fn settle(&mut self, batch: &Batch, outcomes: &[EventOutcome], stop: &CancellationToken) {
        for (event, outcome) in batch.view().iter().zip(outcomes) {
            match outcome {
                EventOutcome::Delivered => self.summary.delivered += 1,
                EventOutcome::Rejected(reason) => {
                    self.summary.rejected += 1;
                    self.count("rejected", reason);
                    self.rejected.line(event.json().as_bytes());
                }
                EventOutcome::Undelivered(reason) => {
                    self.summary.undelivered += 1;
                    self.count("undelivered", reason);
                    self.undelivered.line(event.json().as_bytes());
                }
            }
        }
        let written = self.rejected.flush() & self.undelivered.flush();
        if !written {
            // Lines that are read from now on might be lost, too.
            stop.set();
        }
    }

    fn count(&mut self, outcome: &'static str, reason: &Arc<str>) {
        if let Some(events) = self.reasons.get_mut(&(outcome, Arc::clone(reason))) {
            *events += 1;
            return;
        }
        let reason =
            if self.reasons.len() < MOST_REASONS { Arc::clone(reason) } else { Arc::from("other reasons") };
        *self.reasons.entry((outcome, reason)).or_default() += 1;
    }

    fn finish(self, config: &BackendConfig) -> BackendSummary {
        let mut summary = self.summary;
        summary.reasons = sorted(self.reasons, |reason| config.reason(reason));
        let path = |file: &Leftover| file.path().map(|path| show_path(path).to_string());
        summary.rejected_file = path(&self.rejected);
        summary.undelivered_file = path(&self.undelivered);
        for (lost, why) in [self.rejected.failure(), self.undelivered.failure()].into_iter().flatten() {
            summary.lost += lost;
            summary.errors.push(format!("{why}; reading was stopped; lost: {}", count(lost, "event")));
        }
        summary
    }
}
