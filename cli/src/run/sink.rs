//! Puts events into the spool, and other lines into their file.

use jackfield::forward::{Forwarder, Line, Lines, PushOutcome};
use jackfield::{Error, spool::DropReason};

use crate::{leftovers::bad_lines::BadLines, log, run_state::snapshot::now_ms};

/// How many lines that are not events are kept in a file: the input never ends, a disk does.
const KEPT: u64 = 10_000;

/// What has been read so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) lines: u64,
    pub(super) events: u64,
    pub(super) bad: u64,
    pub(super) not_stored: u64,
    /// Lines without room at the end, which are still in the input. There may be more of them.
    pub(super) left: u64,
    /// While an event waits for room: why there is none, and since when, in milliseconds since 1970.
    pub(super) held: Option<(DropReason, i64)>,
}

pub(super) struct Sink {
    lines: Lines,
    taker: Taker,
    /// Whether the bytes before ended within a line.
    begun: bool,
}

/// What a line is handed to.
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

    /// Takes bytes with at most one end of a line. Gives whether there was room. If not, the event is held, and the caller
    /// calls [`again`](Self::again).
    pub(super) fn take(&mut self, piece: &[u8]) -> bool {
        let Self { lines, taker, begun } = self;
        *begun = piece.last().is_some_and(|last| *last != b'\n');
        let mut room = true;
        lines.feed(piece, |number, line| room &= taker.take(number, &line));
        room
    }

    /// As [`take`](Self::take), for a line that no line feed ends.
    pub(super) fn end_line(&mut self) -> bool {
        let Self { lines, taker, begun } = self;
        *begun = false;
        let mut room = true;
        lines.finish(|number, line| room &= taker.take(number, &line));
        room
    }

    /// Whether there is room now for what is held.
    pub(super) fn again(&mut self) -> bool {
        let pushed = self.taker.forwarder.again();
        self.taker.pushed(self.lines.count(), pushed)
    }

    /// Puts lines that are no events into their file.
    pub(super) fn flush(&mut self) {
        self.taker.bad.flush();
    }

    /// Nothing more comes.
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
                // The reason may change, the start does not.
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
