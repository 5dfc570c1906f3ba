//! Segments: their names, the list of them, and their lines.

use std::{fmt, io};

use jackfield_loader::files::write_counted;

use crate::event::parse::MAX_LINE;
use crate::spool::fs::{File, Folder};
use crate::spool::store::Limits;

/// `MMMMMMMMMMMM-PPPPPPPP-RRRRRRRR.v1.jsonl`, all hexadecimal: milliseconds since 1970 at its creation, the process that
/// made it, a random number. Names sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    pub(crate) created_ms: u64,
    pub(crate) process: u32,
    pub(crate) random: u32,
}

const SUFFIX: &str = ".v1.jsonl";
const MAX_MS: u64 = (1 << 48) - 1;

impl Name {
    pub(crate) fn new(created_ms: u64, process: u32, random: u32) -> Self {
        Self { created_ms: created_ms.min(MAX_MS), process, random }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(SUFFIX)?.split('-');
        let mut part = |digits: usize| {
            let part = parts.next()?;
            let hex = part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            hex.then(|| u64::from_str_radix(part, 16).ok()).flatten()
        };
        let (created_ms, process, random) = (part(12)?, part(8)?, part(8)?);
        let name =
            Self { created_ms, process: u32::try_from(process).ok()?, random: u32::try_from(random).ok()? };
        parts.next().is_none().then_some(name)
    }

    /// The age in milliseconds; 0 when the clock was set back.
    pub(crate) fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.created_ms)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}-{:08x}-{:08x}{SUFFIX}", self.created_ms, self.process, self.random)
    }
}

/// A segment in the folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed {
    pub(crate) name: Name,
    pub(crate) len: u64,
}

/// The files of a spool.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The oldest first.
    pub(crate) segments: Vec<Listed>,
    /// Files of another version of the format.
    pub(crate) foreign: Vec<String>,
}

pub(crate) fn list(folder: &dyn Folder) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for entry in folder.list()? {
        if let Some(name) = Name::parse(&entry.name) {
            listing.segments.push(Listed { name, len: entry.len });
        } else if is_foreign(&entry.name) {
            listing.foreign.push(entry.name);
        }
    }
    listing.segments.sort_unstable_by_key(|listed| listed.name);
    listing.foreign.sort_unstable();
    Ok(listing)
}

/// Whether the part before the extension is a version other than ours.
fn is_foreign(name: &str) -> bool {
    let version = name.rsplit('.').nth(1).and_then(|part| part.strip_prefix('v'));
    version.is_some_and(|version| {
        version != "1" && !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The number of whole lines.
pub(crate) fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// A result of [`Lines::next`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A line that starts at `offset`, without its line feed.
    Line { offset: u64, line: &'a [u8] },
    /// A line with more bytes than are read, from `offset` to `end`, its line feed included.
    TooLong { offset: u64, end: u64 },
    /// No line feed follows. An incomplete line is from `offset` to `end`.
    End { offset: u64, end: u64 },
}

/// Reads a segment line by line, a block at a time.
pub(crate) struct Lines<'a> {
    file: &'a dyn File,
    buffer: &'a mut Vec<u8>,
    /// The offset of the buffer in the file.
    base: u64,
    /// The start of the next line in the buffer.
    start: usize,
    /// The greatest length of a line, in bytes.
    longest: usize,
}

const BLOCK: usize = 64 << 10;

impl<'a> Lines<'a> {
    /// Starts at `offset`, the start of a line. The memory of `buffer` is used again.
    pub(crate) fn new(file: &'a dyn File, offset: u64, buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        Self { file, buffer, base: offset, start: 0, longest: MAX_LINE }
    }

    /// Reads lines of up to `longest` bytes.
    pub(crate) fn up_to(self, longest: usize) -> Self {
        Self { longest, ..self }
    }

    /// The offset of the next line.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Continues at `offset`, the start of a line.
    pub(crate) fn skip_to(&mut self, offset: u64) {
        match offset.checked_sub(self.base).map(usize::try_from) {
            Some(Ok(start)) if start <= self.buffer.len() => self.start = start,
            _ => {
                self.buffer.clear();
                (self.base, self.start) = (offset, 0);
            }
        }
    }

    pub(crate) fn next(&mut self) -> io::Result<Found<'_>> {
        let mut searched = self.start;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                let (from, to) = (self.start, searched + at);
                self.start = to + 1;
                let offset = self.base + from as u64;
                if to - from > self.longest {
                    return Ok(Found::TooLong { offset, end: self.offset() });
                }
                return Ok(Found::Line { offset, line: &self.buffer[from..to] });
            }
            if self.buffer.len() - self.start > self.longest {
                return self.skip_long();
            }
            self.buffer.drain(..self.start);
            self.base += self.start as u64;
            self.start = 0;
            searched = self.buffer.len();
            if self.fill()? == 0 {
                return Ok(Found::End { offset: self.base, end: self.base + searched as u64 });
            }
        }
    }

    /// Reads another block. Returns its length.
    fn fill(&mut self) -> io::Result<usize> {
        let len = self.buffer.len();
        self.buffer.resize(len + BLOCK, 0);
        let read = loop {
            match self.file.read_at(self.base + len as u64, &mut self.buffer[len..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(len + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Skips a line that is too long, without keeping it in memory.
    fn skip_long(&mut self) -> io::Result<Found<'_>> {
        let offset = self.offset();
        loop {
            self.base += self.buffer.len() as u64;
            self.buffer.clear();
            self.start = 0;
            if self.fill()? == 0 {
                let end = self.base;
                // The next call finds the same.
                self.base = offset;
                return Ok(Found::End { offset, end });
            }
            if let Some(at) = memchr::memchr(b'\n', self.buffer) {
                self.start = at + 1;
                return Ok(Found::TooLong { offset, end: self.offset() });
            }
        }
    }
}

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
        // The length is read, because another process may have emptied the file.
        let len = self.file.facts().map(|facts| facts.len.checked_sub(torn));
        len.is_ok_and(|len| len.is_some_and(|len| self.file.truncate(len).is_ok()))
    }
}
