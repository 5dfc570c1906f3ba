//! The segment that this process writes to.

use std::io;

use jackfield_loader::files::write_counted;

use crate::spool::fs::File;
use crate::spool::segment::Name;
use crate::spool::store::Limits;

/// The time and the number of lines after which the writer checks that its segment still has a name. A check costs a
/// third of a write.
const LOOK_MS: u64 = 50;
const LOOK_LINES: u64 = 64;

/// The segment that is written to. Its lock shows other processes that it has a writer.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) name: Name,
    pub(crate) file: Box<dyn File>,
    pub(crate) len: u64,
    pub(crate) lines: u64,
    pub(crate) looked: Looked,
}

/// The time of the last check that the segment had a name, and its size at that time.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) ms: u64,
    pub(crate) len: u64,
    pub(crate) lines: u64,
}

/// A failed write, and whether the segment still ends with a whole line.
pub(crate) struct Torn(pub(crate) io::Error, pub(crate) bool);

impl Live {
    pub(crate) fn new(name: Name, file: Box<dyn File>, len: u64, lines: u64, now: u64) -> Self {
        Self { name, file, len, lines, looked: Looked { ms: now, len, lines } }
    }

    pub(crate) fn is_full(&self, limits: &Limits, need: u64, now: u64) -> bool {
        self.len > 0
            && (self.len + need > limits.segment_bytes()
                || self.lines >= limits.segment_events()
                || self.name.age_ms(now) > limits.span_ms())
    }

    /// Whether the next check of the name is due.
    pub(crate) fn is_look_due(&self, now: u64) -> bool {
        now.abs_diff(self.looked.ms) >= LOOK_MS || self.lines - self.looked.lines >= LOOK_LINES
    }

    /// Appends whole lines.
    pub(crate) fn write(&mut self, text: &[u8], lines: u64) -> Result<(), Torn> {
        let (done, written) = write_counted(text, |rest| self.file.append(rest));
        written.map_err(|error| Torn(error, done == 0 || self.take_back(done as u64)))?;
        self.len += done as u64;
        self.lines += lines;
        Ok(())
    }

    /// Removes the first `torn` bytes of a line.
    fn take_back(&self, torn: u64) -> bool {
        // The length is asked for because another process may have emptied the file.
        let len = self.file.facts().map(|facts| facts.len.checked_sub(torn));
        len.is_ok_and(|len| len.is_some_and(|len| self.file.truncate(len).is_ok()))
    }
}
