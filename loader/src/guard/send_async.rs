//! The form of `send` for tasks of a tokio runtime.

use std::time::{Duration, Instant};

use super::{
    call::Ended,
    report::Report,
    supervisor::{Supervisor, Ticket, deadline},
    work::Work,
};
use crate::{boundary::batch::Batch, load::tables::Function};

impl Supervisor {
    /// The asynchronous form of [`send`](Self::send). Dropping the future abandons the call.
    pub(crate) async fn send_async(&self, batch: &Batch, timeout: Duration) -> Report {
        let (started, deadline) = (Instant::now(), deadline(timeout));
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
}

/// Stands for a future that waits for a call; its drop is that future's.
struct Waiting<'a> {
    supervisor: &'a Supervisor,
    ticket: &'a Ticket,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // The caller waits no longer, and no deadline was missed: the plugin is told that the call is cancelled, and is not judged.
        if let Ended::Expired { running: true, .. } = self.ticket.job.call.abandon() {
            self.supervisor.counters.call_got_stuck();
        }
        self.supervisor.health.lock().breaker.probe_again(Instant::now());
    }
}
