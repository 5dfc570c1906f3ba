//! One telemetry: what its parts share, and what delivers in this process.

use std::sync::{Arc, atomic::Ordering};
use std::time::Instant;

use crate::error::drop_reason::DropReason;
use crate::event::event::Event;
use crate::instance::context::Context;
use crate::process::per_process::PerProcess;
use crate::process::reentrancy::Quiet;
use crate::schedule::flush_report::Flushed;
use crate::schedule::scheduler::Scheduler;
use crate::spool::pair::Spools;

/// What a [`Telemetry`](crate::Telemetry) is made of.
pub(crate) struct Instance {
    pub(crate) context: Arc<Context>,
    schedulers: PerProcess<Arc<Scheduler>>,
}

impl Instance {
    pub(crate) fn new(context: Context) -> Self {
        let schedulers = PerProcess::new(context.process(), Arc::default());
        Self { context: Arc::new(context), schedulers }
    }

    /// What delivers in this process.
    pub(crate) fn scheduler(&self) -> &Arc<Scheduler> {
        self.scheduler_of(self.context.process())
    }

    fn scheduler_of(&self, process: u32) -> &Arc<Scheduler> {
        self.schedulers.of(process, |_| Arc::default())
    }

    /// Records an event, unless consent has been withdrawn meanwhile.
    pub(crate) fn record(&self, event: &Event<'_>) {
        let _quiet = Quiet::enter();
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

    /// Puts the event of another into the spool for events that may be sent. One that finds no place there is not
    /// counted: it is still the caller's.
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

    /// Ends delivery, and leaves the segments of this process to the readers.
    pub(crate) fn close(&self) -> Flushed {
        // What another process has, a forked child leaves alone.
        let Some(scheduler) = self.schedulers.get(self.context.process()) else {
            return Flushed { emptied: true, ..Flushed::default() };
        };
        let _quiet = Quiet::enter();
        let context = &self.context;
        let flushed = scheduler.close(context, Instant::now() + context.settings.deliver.within());
        for spool in context.spools.iter().flat_map(Spools::both) {
            spool.seal();
        }
        flushed
    }
}
