//! One configured backend in a run: opened or not, and the thread that delivers to it.

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

use jackfield::forward::{
    BackendConfig, CancellationToken, Delivery, DeliveryOptions, EventOutcome, open_backend,
};
use jackfield::{Config, OpenError};
use jackfield_loader::{Backend, Batch, ForeignText, show_path};

use crate::{
    exit::Exit,
    leftovers::{Leftover, Leftovers},
    settings,
};

/// Batches that wait for a backend. Reading stops while a backend has as many.
const QUEUE: usize = 4;

/// Reasons of one backend that are told apart; further ones are counted together.
const MOST_REASONS: usize = 100;

/// Why a backend can't be used.
#[derive(Debug, Clone)]
pub(super) struct Unusable {
    /// What a command ends with for it: [`Exit::Config`] when it is what ops wrote, whoever found that out.
    pub(super) exit: Exit,
    /// One line.
    pub(super) reason: String,
}

/// A backend that is ready, or why not.
pub(super) struct Target {
    pub(super) config: BackendConfig,
    pub(super) backend: Result<Backend, Unusable>,
    /// Name of the plugin, if it is open.
    pub(super) plugin: Option<ForeignText>,
}

impl Target {
    /// Opens a backend of the configuration for the one thread that sends.
    pub(super) fn open(config: &Config, backend: BackendConfig) -> Self {
        let unusable =
            |error: OpenError| Unusable { exit: (&error).into(), reason: error.line(&backend.name) };
        let (opened, plugin) =
            match open_backend(config, &backend, &settings::backend_options(config, &backend)) {
                Ok((opened, plugin)) => (Ok(opened), Some(plugin)),
                Err(error) => (Err(unusable(error)), None),
            };
        Self { config: backend, backend: opened, plugin }
    }
}

/// What became of the events of one backend.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) delivered: u64,
    /// Attempts after the first, counted for each event.
    pub(super) retried: u64,
    pub(super) rejected: u64,
    pub(super) undelivered: u64,
    /// Rejected or undelivered, and in no file.
    pub(super) lost: u64,
    /// By outcome (`rejected`, `undelivered`) and reason.
    pub(super) reasons: BTreeMap<(&'static str, Arc<str>), u64>,
    pub(super) close_error: Option<String>,
    pub(super) rejected_file: Option<String>,
    pub(super) undelivered_file: Option<String>,
    /// Why a file could not be written, with how many events are not in it.
    pub(super) file_errors: Vec<String>,
}

impl Tally {
    fn reason(&mut self, outcome: &'static str, reason: &Arc<str>) {
        if let Some(count) = self.reasons.get_mut(&(outcome, Arc::clone(reason))) {
            *count += 1;
            return;
        }
        let reason =
            if self.reasons.len() < MOST_REASONS { Arc::clone(reason) } else { Arc::from("other reasons") };
        *self.reasons.entry((outcome, reason)).or_default() += 1;
    }
}

/// The thread that delivers to one backend.
pub(super) struct Worker {
    batches: Option<SyncSender<Batch>>,
    thread: JoinHandle<Tally>,
}

/// What every worker of a run shares.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) give_up_after: Duration,
    pub(super) leftovers: Leftovers,
    /// Ends deliveries: the user interrupted, or leftovers can't be kept.
    pub(super) stop: CancellationToken,
}

impl Worker {
    /// Starts the thread of a backend. One that could not be opened gets its events too: they go to its file.
    pub(super) fn start(target: Target, run: &Run) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let run = run.clone();
        let thread = thread::Builder::new()
            .name(format!("jackfield-{}", target.config.name))
            .spawn(move || deliver(target, &run, &receiver))?;
        Ok(Self { batches: Some(sender), thread })
    }

    /// Hands over a batch; waits while the queue is full.
    pub(super) fn send(&self, batch: &Batch) {
        if let Some(batches) = &self.batches {
            // The receiver ends only by a panic, which `finish` tells.
            drop(batches.send(batch.clone()));
        }
    }

    /// No further batch comes.
    pub(super) fn end(&mut self) {
        self.batches = None;
    }

    /// Waits until all batches are settled and the backend is closed. `None` when the thread panicked.
    pub(super) fn finish(mut self) -> Option<Tally> {
        self.end();
        self.thread.join().ok()
    }
}

fn deliver(target: Target, run: &Run, batches: &Receiver<Batch>) -> Tally {
    let Target { config, backend, .. } = target;
    let mut files = Files {
        rejected: run.leftovers.file(&format!("{}.rejected.jsonl", config.name)),
        undelivered: run.leftovers.file(&format!("{}.undelivered.jsonl", config.name)),
    };
    let mut tally = Tally::default();
    match backend {
        Ok(backend) => {
            let mut options = DeliveryOptions::default();
            options.give_up_after = run.give_up_after;
            let mut delivery = Delivery::new(backend, options, run.stop.clone());
            for batch in batches {
                let fates = delivery.deliver(&batch);
                files.keep(&batch, &fates, &mut tally, &run.stop);
            }
            tally.retried = delivery.retried();
            let closed = delivery.backend().close(config.timeout);
            tally.close_error = closed.err().map(|error| config.conceal(&error.to_string()));
        }
        Err(_) => {
            let reason: Arc<str> = Arc::from("the backend could not be opened");
            for batch in batches {
                let fates = vec![EventOutcome::Undelivered(Arc::clone(&reason)); batch.len()];
                files.keep(&batch, &fates, &mut tally, &run.stop);
            }
        }
    }
    files.finish(&mut tally);
    let reasons = std::mem::take(&mut tally.reasons);
    for ((outcome, reason), events) in reasons {
        *tally.reasons.entry((outcome, config.conceal(&reason).into())).or_default() += events;
    }
    tally
}

/// The files of one backend.
struct Files {
    rejected: Leftover,
    undelivered: Leftover,
}

impl Files {
    /// Counts what became of a batch, and keeps what was not delivered.
    fn keep(&mut self, batch: &Batch, fates: &[EventOutcome], tally: &mut Tally, stop: &CancellationToken) {
        for (event, fate) in batch.view().iter().zip(fates) {
            match fate {
                EventOutcome::Delivered => tally.delivered += 1,
                EventOutcome::Rejected(reason) => {
                    tally.rejected += 1;
                    tally.reason("rejected", reason);
                    self.rejected.line(event.json().as_bytes());
                }
                EventOutcome::Undelivered(reason) => {
                    tally.undelivered += 1;
                    tally.reason("undelivered", reason);
                    self.undelivered.line(event.json().as_bytes());
                }
            }
        }
        let kept = self.rejected.flush() & self.undelivered.flush();
        if !kept {
            // Whatever is read from now on might be lost too.
            stop.set();
        }
    }

    fn finish(self, tally: &mut Tally) {
        let path = |file: &Leftover| file.path().map(|path| show_path(path).to_string());
        tally.rejected_file = path(&self.rejected);
        tally.undelivered_file = path(&self.undelivered);
        for (lost, why) in [self.rejected.failure(), self.undelivered.failure()].into_iter().flatten() {
            tally.lost += lost;
            tally.file_errors.push(format!("{why}; {lost} events are lost"));
        }
    }
}
