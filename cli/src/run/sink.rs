//! Appends events to the spool, and other lines to their file.

use jackfield::forward::{Forwarder, Line, Lines, PushOutcome};
use jackfield::{Error, spool::DropReason};

use crate::{leftovers::BadLines, log, run_state::now_ms};

/// The number of bad lines that are kept in a file. There is a limit, because the input of a run never ends.
const KEPT: u64 = 10_000;

/// The lines that were read so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) lines: u64,
    pub(super) events: u64,
    pub(super) bad: u64,
    pub(super) not_stored: u64,
    /// Lines without room at the end of the run, which are still in the input. There may be more.
    pub(super) left: u64,
    /// While an event waits for room: why there is none, and since when, in milliseconds since 1970.
    pub(super) held: Option<(DropReason, i64)>,
}

pub(super) struct Sink {
    lines: Lines,
    taker: Taker,
    /// Whether the last line is incomplete.
    begun: bool,
}

/// The part of a sink that gets the lines.
struct Taker {
    forwarder: Forwarder,
    bad: BadLines,
    counts: Counts,
}

impl Sink {
    pub(super) fn new(forwarder: Forwarder, bad: BadLines) -> Self {
        let taker = Taker { forwarder, bad, counts: Counts::default() };
        Self { lines: Lines::new(), taker, begun: false }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { lines: self.lines.count(), bad: self.taker.bad.count, ..self.taker.counts }
    }

    pub(super) fn counts_mut(&mut self) -> &mut Counts {
        &mut self.taker.counts
    }

    /// Whether the last line is incomplete.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Takes bytes with at most one end of a line. Gives whether there was room. Without room the event is
    /// held, and the caller calls [`again`](Self::again).
    pub(super) fn take(&mut self, piece: &[u8]) -> bool {
        let Self { lines, taker, begun } = self;
        *begun = piece.last().is_some_and(|last| *last != b'\n');
        let mut room = true;
        lines.feed(piece, |number, line| room &= taker.take(number, &line));
        room
    }

    /// As [`take`](Self::take), for the end of a line without a line feed.
    pub(super) fn end_line(&mut self) -> bool {
        let Self { lines, taker, begun } = self;
        *begun = false;
        let mut room = true;
        lines.finish(|number, line| room &= taker.take(number, &line));
        room
    }

    /// Tries to store the event that is held. Gives whether there was room.
    pub(super) fn again(&mut self) -> bool {
        let pushed = self.taker.forwarder.again();
        self.taker.pushed(self.lines.count(), pushed)
    }

    /// Writes bad lines to their file.
    pub(super) fn flush(&mut self) {
        self.taker.bad.flush();
    }

    /// Ends the input.
    pub(super) fn finish(&mut self) {
        self.taker.bad.finish();
    }
}

impl Taker {
    fn take(&mut self, number: u64, line: &Line<'_>) -> bool {
        let Self { forwarder, bad, .. } = self;
        let Line::Whole(bytes) = line else {
            if bad.count < KEPT {
                bad.piece(number, line);
            } else if matches!(line, Line::TooLong(_)) {
                bad.count += 1;
            }
            return true;
        };
        match forwarder.push(bytes) {
            Err(Error::Event { .. }) if bad.count >= KEPT => bad.count += 1,
            Err(reason @ Error::Event { .. }) => bad.bad(number, bytes, &reason),
            pushed => return self.pushed(number, pushed),
        }
        true
    }

    fn pushed(&mut self, number: u64, pushed: Result<PushOutcome, Error>) -> bool {
        let Counts { events, not_stored, held, .. } = &mut self.counts;
        match pushed {
            Ok(PushOutcome::Held(reason)) => {
                // The reason may change, but the start does not.
                *held = Some((reason, held.map_or_else(now_ms, |(_, since)| since)));
                return false;
            }
            Ok(PushOutcome::Stored) => *events += 1,
            Ok(PushOutcome::Blank) => {}
            Err(error) => {
                *not_stored += 1;
                if *not_stored == 1 {
                    log::error(format_args!("line {number}: {error}; further ones are counted"));
                }
            }
        }
        *held = None;
        true
    }
}
