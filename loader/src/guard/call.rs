//! One call: the state that the waiting thread and the worker thread share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use jackfield_plugin_api::Outcome;
use jackfield_plugin_api::abi::{self, Status};

use super::{error::Stage, preview::Collected, report::Reported, spin::Spin};
use crate::boundary::process::lock;

/// The interval of the checks whether a call is still wanted. No event reports that.
const LOOK: Duration = Duration::from_millis(100);
/// The time that the plugin has to return from a call that is no longer wanted.
const GRACE: Duration = Duration::from_millis(250);

/// Why a call failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Explanation {
    /// A key of the configuration, the position of a panic, or empty.
    pub(crate) subject: String,
    pub(crate) message: String,
    pub(crate) origin: Origin,
}

impl Explanation {
    pub(crate) fn of(origin: Origin, message: impl Into<String>) -> Self {
        Self { subject: String::new(), message: message.into(), origin }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The plugin.
    #[default]
    Plugin,
    /// The host: it describes how the plugin's process ended.
    Crash,
    /// The host: a plugin in a child process failed at this stage.
    Stage(Stage),
}

#[derive(Debug)]
pub(crate) enum Ended {
    Finished {
        status: Status,
        reported: Reported,
        explanation: Explanation,
        collected: Collected,
    },
    /// The instance was retired before the call could enter it.
    TurnedAway,
    /// The deadline passed while the call was inside the plugin (`running`) or in the queue.
    Expired {
        running: bool,
        reported: Reported,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CallPhase {
    #[default]
    Queued,
    Running,
    Finished(Status),
    TurnedAway,
    Abandoned,
}

#[derive(Default)]
struct Progress {
    phase: CallPhase,
    reported: Reported,
    explanation: Option<Explanation>,
    collected: Collected,
    waker: Option<Waker>,
    on_cancel: Option<Arc<dyn Fn() + Send + Sync>>,
}

pub(crate) struct CallState {
    /// Number of events in the batch.
    len: usize,
    deadline: Instant,
    cancelled: AtomicBool,
    /// Whether the call has ended. Only for [`Spin`]: `progress` is decisive.
    ended: AtomicBool,
    progress: Mutex<Progress>,
    finished: Condvar,
}

impl CallState {
    pub(crate) fn new(len: usize, deadline: Instant) -> Self {
        Self {
            len,
            deadline,
            cancelled: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            progress: Mutex::default(),
            finished: Condvar::new(),
        }
    }

    /// Waits until the call has finished, or abandons it at its deadline. Once `wanted` returns `false`, the
    /// call is cancelled, and the plugin has a moment to return.
    pub(super) fn wait(&self, spin: &Spin, wanted: Option<&dyn Fn() -> bool>) -> Ended {
        spin.until(|| self.ended.load(Ordering::Acquire));
        let mut deadline = self.deadline;
        let mut watch = wanted.map(|wanted| (wanted, Instant::now() + LOOK));
        let mut progress = lock(&self.progress);
        loop {
            if let Some(ended) = Self::take(&mut progress) {
                return ended;
            }
            let now = Instant::now();
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                return self.abandon_locked(progress);
            }
            if let Some((wanted, at)) = watch
                && at <= now
            {
                // Not under the lock, because it may read a file and the plugin reports meanwhile.
                drop(progress);
                if wanted() {
                    watch = Some((wanted, Instant::now() + LOOK));
                } else {
                    self.cancel(&mut lock(&self.progress));
                    (watch, deadline) = (None, deadline.min(Instant::now() + GRACE));
                }
                progress = lock(&self.progress);
                continue;
            }
            let pause = watch.map_or(left, |(_, at)| left.min(at.saturating_duration_since(now)));
            (progress, _) =
                self.finished.wait_timeout(progress, pause).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The non-blocking form of [`wait`](Self::wait), without the deadline.
    #[cfg(feature = "tokio")]
    pub(super) fn poll(&self, context: &std::task::Context<'_>) -> std::task::Poll<Ended> {
        let mut progress = lock(&self.progress);
        if let Some(ended) = Self::take(&mut progress) {
            return std::task::Poll::Ready(ended);
        }
        progress.waker = Some(context.waker().clone());
        std::task::Poll::Pending
    }

    pub(crate) fn abandon(&self) -> Ended {
        let mut progress = lock(&self.progress);
        match Self::take(&mut progress) {
            Some(ended) => ended,
            None => self.abandon_locked(progress),
        }
    }

    /// The failure of the call, for a thread that did not wait for it; `None` if there is none yet.
    pub(super) fn failure(&self) -> Option<(Status, Explanation)> {
        let progress = lock(&self.progress);
        match progress.phase {
            CallPhase::Finished(status) if status != abi::STATUS_OK => {
                Some((status, progress.explanation.clone().unwrap_or_default()))
            }
            _ => None,
        }
    }

    fn take(progress: &mut Progress) -> Option<Ended> {
        match progress.phase {
            CallPhase::Finished(status) => Some(Ended::Finished {
                status,
                reported: std::mem::take(&mut progress.reported),
                explanation: progress.explanation.take().unwrap_or_default(),
                collected: std::mem::take(&mut progress.collected),
            }),
            CallPhase::TurnedAway => Some(Ended::TurnedAway),
            CallPhase::Queued | CallPhase::Running | CallPhase::Abandoned => None,
        }
    }

    fn abandon_locked(&self, mut progress: MutexGuard<'_, Progress>) -> Ended {
        self.cancel(&mut progress);
        let running = progress.phase == CallPhase::Running;
        progress.phase = CallPhase::Abandoned;
        Ended::Expired { running, reported: std::mem::take(&mut progress.reported) }
    }

    /// Notes that the caller stops waiting, now or in a moment.
    fn cancel(&self, progress: &mut Progress) {
        self.cancelled.store(true, Ordering::Release);
        if let Some(on_cancel) = progress.on_cancel.take() {
            on_cancel();
        }
    }

    /// Calls `on_cancel` when the call is cancelled, or now if it is already. `on_cancel` must not wait.
    pub(crate) fn on_cancel(&self, on_cancel: Arc<dyn Fn() + Send + Sync>) {
        let mut progress = lock(&self.progress);
        if self.is_cancelled() {
            drop(progress);
            on_cancel();
        } else {
            progress.on_cancel = Some(on_cancel);
        }
    }

    /// Takes the call out of the queue; `false` if its caller has stopped waiting.
    pub(crate) fn start(&self) -> bool {
        let mut progress = lock(&self.progress);
        let queued = progress.phase == CallPhase::Queued;
        if queued {
            progress.phase = CallPhase::Running;
        }
        queued
    }

    /// Notes that the plugin's function has returned; `false` if the caller has stopped waiting.
    pub(crate) fn finish(&self, status: Status) -> bool {
        self.end(CallPhase::Finished(status))
    }

    /// Notes that the call will not enter the instance, which is retired.
    pub(super) fn turn_away(&self) {
        self.end(CallPhase::TurnedAway);
    }

    fn end(&self, phase: CallPhase) -> bool {
        let mut progress = lock(&self.progress);
        if progress.phase == CallPhase::Abandoned {
            return false;
        }
        progress.phase = phase;
        let waker = progress.waker.take();
        self.ended.store(true, Ordering::Release);
        drop(progress);
        self.finished.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the caller stops waiting, now or in a moment.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Stores an outcome that the plugin reports, if the call still runs.
    pub(crate) fn note(&self, first: u64, count: u64, outcome: Outcome) {
        let mut progress = lock(&self.progress);
        if progress.phase == CallPhase::Running {
            progress.reported.note(self.len, first, count, outcome);
        }
    }

    /// Stores messages of a preview, if the call still runs.
    pub(crate) fn collect(&self, take: impl FnOnce(&mut Collected)) {
        let mut progress = lock(&self.progress);
        if progress.phase == CallPhase::Running {
            take(&mut progress.collected);
        }
    }

    /// Stores why the call is about to fail, if it still runs.
    pub(crate) fn explain(&self, explanation: Explanation) {
        let mut progress = lock(&self.progress);
        if progress.phase == CallPhase::Running {
            progress.explanation = Some(explanation);
        }
    }
}
