//! Makes batches of the events that are read, and passes each batch to every backend.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use jackfield::forward::{CancellationToken, EventBuffer, EventDefaults, Line, Lines};
use jackfield_loader::count;

use super::worker::Worker;
use crate::{
    leftovers::BadLines,
    settings::{TOOL, VERSION},
};

/// A batch of this size is sent, even if more events are allowed in a batch.
const BATCH_BYTES: usize = 512 * 1024;

/// A batch that is not full is sent when no event has come for this time.
const IDLE: Duration = Duration::from_millis(200);

/// A batch is sent when its first event has waited for this time.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The wait for the next block after a request to end. A reader that notices the request ends earlier.
const LAST_BLOCKS: Duration = Duration::from_secs(1);

/// Makes batches from blocks of the input.
pub(super) struct Batcher {
    pub(super) lines: Lines,
    events: EventBuffer,
    /// When the first event of the buffer has come.
    since: Option<Instant>,
    pub(super) bad: BadLines,
    batch_events: usize,
    /// Events so far.
    pub(super) count: u64,
    pub(super) workers: Vec<Worker>,
    bar: ProgressBar,
}

impl Batcher {
    pub(super) fn new(batch_events: usize, bad: BadLines, workers: Vec<Worker>, bar: ProgressBar) -> Self {
        Self {
            lines: Lines::new(),
            events: EventBuffer::new(EventDefaults::new(TOOL, VERSION)),
            since: None,
            bad,
            batch_events,
            count: 0,
            workers,
            bar,
        }
    }

    /// Runs until the input ends, can't be read, or `stop` is set.
    pub(super) fn run(
        &mut self,
        blocks: &Receiver<io::Result<Vec<u8>>>,
        stop: &CancellationToken,
        regular_file: bool,
    ) -> io::Result<()> {
        let mut result = Ok(());
        loop {
            let stopped = stop.is_set();
            match blocks.recv_timeout(self.patience(stopped)) {
                Ok(Ok(block)) => self.block(&block),
                Ok(Err(error)) => {
                    result = Err(error);
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => break,
                // The reader hangs in a read, so all blocks that were read have come.
                Err(RecvTimeoutError::Timeout) if stopped => break,
                Err(RecvTimeoutError::Timeout) => {
                    if self.since.is_some() {
                        self.flush();
                    }
                }
            }
        }
        // A regular file can be read again, so its incomplete line is ignored. The rest of a pipe is lost, so
        // its incomplete line is used if it is an event.
        let stopped = stop.is_set();
        if !(stopped && regular_file) {
            let Self { lines, events, bad, .. } = self;
            lines.finish(|number, line| match line {
                Line::Whole(bytes) if stopped => {
                    if events.push_line(bytes).is_err() {
                        bad.bad(number, bytes, &"cut off by the request to end");
                    }
                }
                line => take(events, bad, number, &line),
            });
        }
        self.flush();
        result
    }

    /// The time to wait for the next block.
    fn patience(&self, stopped: bool) -> Duration {
        if stopped {
            return LAST_BLOCKS;
        }
        // Without events to send the wait is limited, too, because nothing but polling notices the flag.
        self.since.map_or(IDLE, |since| LONGEST_WAIT.saturating_sub(since.elapsed()).min(IDLE))
    }

    fn block(&mut self, block: &[u8]) {
        let Self { lines, events, bad, batch_events, count: sent, workers, since, .. } = self;
        lines.feed(block, |number, line| {
            take(events, bad, number, &line);
            if events.len() >= *batch_events || events.bytes() >= BATCH_BYTES {
                *sent += dispatch(events, workers);
                *since = None;
            }
        });
        self.bar.inc(block.len() as u64);
        self.bar.set_message(count(self.count, "event"));
        if self.events.is_empty() {
            self.since = None;
        } else if self.since.get_or_insert_with(Instant::now).elapsed() >= LONGEST_WAIT {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.since = None;
        self.count += dispatch(&mut self.events, &self.workers);
    }
}

fn take(events: &mut EventBuffer, bad: &mut BadLines, number: u64, line: &Line<'_>) {
    match line {
        Line::Whole(bytes) => {
            if let Err(reason) = events.push_line(bytes) {
                bad.bad(number, bytes, &reason);
            }
        }
        piece => bad.piece(number, piece),
    }
}

/// Passes the events to every backend. Gives their number.
fn dispatch(events: &mut EventBuffer, workers: &[Worker]) -> u64 {
    if events.is_empty() {
        return 0;
    }
    let batch = events.take();
    for worker in workers {
        worker.send(&batch);
    }
    batch.len() as u64
}

#[cfg(test)]
mod tests;
