//! The next lines of the spool for one backend, with their positions in the segments.

use std::{fmt, io, sync::Arc};

use crate::spool::cursor::Place;
use crate::spool::fs::File;
use crate::spool::segment::{Found, Lines, Name};

/// Whole lines for one backend, the oldest segment first, in order within a segment.
#[derive(Clone)]
pub struct Chunk {
    pub(crate) backend: Arc<str>,
    text: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) parts: Vec<Part>,
    /// Whether the segments have more lines than the chunk may hold.
    pub(crate) cut: bool,
    max_events: usize,
    max_bytes: usize,
}

#[derive(Clone)]
pub(crate) struct Line {
    /// The start and the end of the line in the text.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The start of the line in the segment.
    pub(crate) offset: u64,
}

/// The part of one segment that was read.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) name: Name,
    /// The index behind its last line.
    pub(crate) lines_end: usize,
    /// Byte ranges without an event, and whether each counts as damage. An empty line does not.
    pub(crate) junk: Vec<(u64, u64, bool)>,
    /// The end of the part that was read.
    pub(crate) scanned: u64,
}

impl Chunk {
    /// An empty chunk for at most `max_events` lines of `max_bytes`, or one longer line.
    pub(crate) fn new(backend: &str, max_events: usize, max_bytes: usize) -> Self {
        let (text, lines, parts, cut) = Default::default();
        Self { backend: backend.into(), text, lines, parts, cut, max_events, max_bytes }
    }

    /// The backend that gets the lines.
    #[must_use]
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// The number of lines; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// The bytes of all lines.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Reserves memory for `bytes` of lines, as far as the chunk may hold them.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.text.reserve(bytes.min(self.max_bytes.saturating_sub(self.text.len())));
    }

    /// One line. Panics when there is none with that index.
    #[must_use]
    pub fn line(&self, index: usize) -> &str {
        let line = &self.lines[index];
        &self.text[line.start..line.end]
    }

    /// The lines in order.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &str> {
        self.lines.iter().map(|line| &self.text[line.start..line.end])
    }

    /// Reads the lines of a segment that are not settled.
    pub(crate) fn take(
        &mut self,
        part: &mut Part,
        mut lines: Lines<'_>,
        place: &Place,
        file: &dyn File,
    ) -> io::Result<()> {
        let mut dead = false;
        loop {
            if let Some(end) = place.settled_until(lines.offset()) {
                lines.skip_to(end);
                continue;
            }
            match lines.next()? {
                Found::Line { offset, line } => {
                    let end = offset + line.len() as u64 + 1;
                    match event_text(line) {
                        Some(text) => {
                            if self.is_full(text.len()) {
                                self.cut = true;
                                return Ok(());
                            }
                            let start = self.text.len();
                            self.text.push_str(text);
                            self.lines.push(Line { start, end: self.text.len(), offset });
                        }
                        None => part.junk.push((offset, end, !line.is_empty())),
                    }
                    part.scanned = end;
                }
                Found::TooLong { offset, end } => {
                    part.junk.push((offset, end, true));
                    part.scanned = end;
                }
                Found::End { offset, end } if offset == end => return Ok(()),
                Found::End { offset, end } if dead => {
                    part.junk.push((offset, end, true));
                    part.scanned = end;
                    return Ok(());
                }
                // Without a writer, the line is torn. It is read once more, because it may have been completed before
                // the lock was taken.
                Found::End { .. } if file.try_lock()? => dead = true,
                Found::End { .. } => return Ok(()),
            }
        }
    }

    /// Whether a line of `more` bytes has no room.
    pub(crate) fn is_full(&self, more: usize) -> bool {
        let too_large = self.text.len() + more > self.max_bytes;
        !self.lines.is_empty() && (self.lines.len() >= self.max_events || too_large)
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk").field("backend", &self.backend).field("len", &self.len()).finish()
    }
}

/// The line as text, when it may be a JSON object.
fn event_text(line: &[u8]) -> Option<&str> {
    let is_object = line.first() == Some(&b'{') && line.last() == Some(&b'}');
    is_object.then(|| std::str::from_utf8(line).ok()).flatten()
}
