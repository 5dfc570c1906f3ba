//! Calls for hosts with an async runtime: a helper thread does the work, and wakes the task at its end.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use crate::api::telemetry::Telemetry;
use crate::process::lock;
use crate::schedule::flush_report::FlushReport;

impl Telemetry {
    /// [`flush`](Self::flush) for an async host: a helper thread waits for the backends, and not the thread of the runtime.
    /// It needs no certain runtime. The work begins with the first poll.
    ///
    /// A drop of the future ends the wait alone: the thread goes on until `within` is over or every backend has answered,
    /// and no event is lost or sent twice.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let (telemetry, _) = jackfield::Telemetry::for_tests();
    /// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
    /// telemetry.track("job.done", "import", &[]);
    /// let report = telemetry.flush_async(Duration::from_secs(2)).await;
    /// assert!(report.emptied);
    /// # });
    /// ```
    pub fn flush_async(&self, within: Duration) -> impl Future<Output = FlushReport> + Send + Unpin + use<> {
        // The core and no clone: the end of the tool does not wait for a future that nobody polls.
        let core = Arc::clone(self.core());
        OnThread::new(move || core.flush(within))
    }

    /// [`close`](Self::close) for an async host, as [`flush_async`](Self::flush_async) is `flush` for one. After a drop of the
    /// future the thread goes on, and the drop of the last clone waits for it as long as `close` may take.
    pub fn close_async(&self) -> impl Future<Output = FlushReport> + Send + Unpin + use<> {
        let core = Arc::clone(self.core());
        OnThread::new(move || core.close())
    }
}

type Work = Arc<dyn Fn() -> FlushReport + Send + Sync>;

/// A report that a helper thread makes.
struct OnThread {
    /// What makes it; `None` once the thread has started.
    work: Option<Work>,
    answer: Arc<Mutex<Answer>>,
}

#[derive(Default)]
struct Answer {
    report: Option<FlushReport>,
    waker: Option<Waker>,
}

impl OnThread {
    fn new(work: impl Fn() -> FlushReport + Send + Sync + 'static) -> Self {
        Self { work: Some(Arc::new(work)), answer: Arc::default() }
    }
}

impl Future for OnThread {
    type Output = FlushReport;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<FlushReport> {
        let mut answer = lock(&self.answer);
        if let Some(report) = answer.report.take() {
            return Poll::Ready(report);
        }
        answer.waker = Some(task.waker().clone());
        drop(answer);
        let Some(work) = self.work.take() else { return Poll::Pending };
        let (of_thread, answer) = (Arc::clone(&work), Arc::clone(&self.answer));
        let started = thread::Builder::new().name("telemetry-async".to_owned()).spawn(move || {
            // A task that waits is woken in any case.
            let report = catch_unwind(AssertUnwindSafe(|| of_thread())).unwrap_or_default();
            let mut answer = lock(&answer);
            answer.report = Some(report);
            let waker = answer.waker.take();
            drop(answer);
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        // Without a thread the task waits itself, because a report is promised.
        if started.is_ok() { Poll::Pending } else { Poll::Ready(work()) }
    }
}
