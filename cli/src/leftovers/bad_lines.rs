//! Lines that are not events: the first are told with their reason, all are kept in a file.

use jackfield::forward::{Line, MAX_LINE};

use crate::{console, leftovers::Leftover};

/// How many are told one by one.
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
            console::error(format_args!("line {number}: {reason}"));
        }
    }

    /// Puts into the file what is not in it yet.
    pub(crate) fn flush(&mut self) {
        self.file.flush();
    }

    /// Tells how many lines were not told one by one, and makes sure that all are in the file.
    pub(crate) fn finish(&mut self) {
        if self.count > TOLD {
            console::error(format_args!("{} more lines are not events", self.count - TOLD));
        }
        self.file.flush();
    }

    pub(crate) fn file(&self) -> &Leftover {
        &self.file
    }
}
