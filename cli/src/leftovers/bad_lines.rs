//! Lines that are not events: the first ones are printed with their reason, all of them are kept in a file.

use jackfield::forward::{Line, MAX_LINE};

use crate::{leftovers::Leftover, log};

/// How many are printed one by one.
const TOLD: u64 = 20;

/// The bad lines of a run.
pub(crate) struct BadLines {
    file: Leftover,
    pub(crate) count: u64,
}

impl BadLines {
    pub(crate) fn new(file: Leftover) -> Self {
        Self { file, count: 0 }
    }

    /// Notes a line that is not an event.
    pub(crate) fn bad(&mut self, number: u64, line: &[u8], reason: &dyn std::fmt::Display) {
        self.tell(number, reason);
        self.file.line(line);
    }

    /// Notes a piece of a line that is too long.
    pub(crate) fn piece(&mut self, number: u64, line: &Line<'_>) {
        match line {
            Line::TooLong(bytes) => {
                self.tell(number, &format_args!("line too long: limit {MAX_LINE} bytes"));
                self.file.part(bytes);
            }
            Line::Whole(bytes) | Line::More(bytes, false) => self.file.part(bytes),
            Line::More(bytes, true) => {
                self.file.part(bytes);
                self.file.end_line();
            }
        }
    }

    fn tell(&mut self, number: u64, reason: &dyn std::fmt::Display) {
        self.count += 1;
        if self.count <= TOLD {
            log::error(format_args!("line {number}: {reason}"));
        }
    }

    /// Writes the buffered lines to the file.
    pub(crate) fn flush(&mut self) {
        self.file.flush();
    }

    /// Prints how many lines were not printed one by one, and writes the buffered lines to the file.
    pub(crate) fn finish(&mut self) {
        if self.count > TOLD {
            log::error(format_args!("{} more lines are not events", self.count - TOLD));
        }
        self.file.flush();
    }

    pub(crate) fn file(&self) -> &Leftover {
        &self.file
    }
}
