//! One telemetry: the context that its parts share, and the scheduler of each process.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use crate::error::DropReason;
use crate::event::event::Event;
use crate::instance::context::Context;
use crate::process::{PerProcess, ReentrancyGuard};
use crate::schedule::flush_report::FlushReport;
use crate::schedule::scheduler::Scheduler;
use crate::spool::handle::Spools;

/// The content of a [`Telemetry`](crate::Telemetry).
pub(crate) struct Instance {
    pub(crate) context: Arc<Context>,
    schedulers: PerProcess<Arc<Scheduler>>,
}

impl Instance {
    pub(crate) fn new(context: Context) -> Self {
        let schedulers = PerProcess::new(context.process(), Arc::default());
        Self { context: Arc::new(context), schedulers }
    }

    /// The scheduler of this process.
    pub(crate) fn scheduler(&self) -> &Arc<Scheduler> {
        self.scheduler_of(self.context.process())
    }

    fn scheduler_of(&self, process: u32) -> &Arc<Scheduler> {
        self.schedulers.of(process, |_| Arc::default())
    }

    /// Records an event, unless consent has been withdrawn.
    pub(crate) fn record(&self, event: &Event<'_>) {
        let _quiet = ReentrancyGuard::enter();
        let context = &self.context;
        let process = context.process();
        let recording = context.recording(process);
        let Some(recorder) = recording.by else { return };
        let Some(spools) = &context.spools else {
            context.homeless.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let spool = spools.get(recording.local);
        if recorder.is_too_long(event) {
            spool.refuse_as(process, DropReason::TooLong);
            return;
        }
        match recorder.record(process, event, |line| spool.append_as(process, line)) {
            Ok(()) => self.scheduler_of(process).recorded(context),
            Err(reason) => self.scheduler_of(process).lost(context, reason),
        }
    }

    /// Puts an event from elsewhere into the spool for events that may be sent. The caller keeps an event for which there is
    /// no room; that event is not counted.
    pub(crate) fn offer(&self, line: &[u8]) -> Result<(), DropReason> {
        let context = &self.context;
        let Some(spools) = &context.spools else { return Err(DropReason::Unwritable) };
        let process = context.process();
        let offered = spools.get(false).offer_as(process, line);
        match offered {
            Ok(()) => self.scheduler_of(process).recorded(context),
            Err(reason) => self.scheduler_of(process).lost(context, reason),
        }
        offered
    }

    /// Ends delivery, and closes the segments of this process.
    pub(crate) fn close(&self) -> FlushReport {
        // A forked child has nothing to close: the threads and backends belong to its parent.
        let Some(scheduler) = self.schedulers.get(self.context.process()) else {
            return FlushReport { emptied: true, ..FlushReport::default() };
        };
        let _quiet = ReentrancyGuard::enter();
        let context = &self.context;
        let flushed = scheduler.close(context, Instant::now() + context.settings.deliver.within());
        for spool in context.spools.iter().flat_map(Spools::both) {
            spool.seal();
        }
        flushed
    }
}
