//! Appending: the segment that this process writes to.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{
    Inner,
    counters::Pending,
    fs::{Facts, File, FolderError, read_file},
    limits::DropReason,
    segment::Name,
};
use crate::event::MAX_LINE;

/// How long nothing is tried after the folder or a new segment could not be had.
const PAUSE_MS: u64 = 1_000;

/// What belongs to one process. A forked child finds its parent's slot, whose mutex a thread may have held that the
/// child has not got; so the child makes the next slot its own and never waits for another.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) process: u32,
    writer: Mutex<Writer>,
    /// Losses that are not in the file yet.
    pub(crate) drops: Pending,
    next: OnceLock<Box<Slot>>,
}

impl Slot {
    pub(crate) fn new(process: u32) -> Self {
        Self { process, writer: Mutex::default(), drops: Pending::default(), next: OnceLock::new() }
    }

    /// This process's own.
    pub(crate) fn of(&self, process: u32) -> &Self {
        let mut slot = self;
        while slot.process != process {
            slot = slot.next.get_or_init(|| {
                if let Ok(mut inherited) = slot.writer.try_lock() {
                    // Closed without a word, the lock stays the parent's.
                    inherited.live = None;
                }
                Box::new(Self::new(process))
            });
        }
        slot
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of a slot that one thread has at a time.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    live: Option<Live>,
    /// The line with its line feed.
    buffer: Vec<u8>,
    /// Numbers of lines of segments that nobody writes to any more.
    pub(crate) counts: HashMap<Name, u64>,
    /// The newest segment that it wrote to, behind which its later events have to come.
    pub(crate) newest: Option<Name>,
    /// When no segment could be had, and why.
    failed: Option<(u64, DropReason)>,
    /// Events lost to the disk in a row.
    lost: u64,
}

/// The segment that is written to. Its lock says so to other processes.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) name: Name,
    pub(crate) file: Box<dyn File>,
    pub(crate) len: u64,
    pub(crate) lines: u64,
}

/// What is to be said once no lock is held: a subscriber may turn it into an event of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notice {
    pub(crate) reason: DropReason,
    pub(crate) number: u64,
}

impl Notice {
    pub(crate) fn warn(self) {
        tracing::warn!(events = self.number, reason = %self.reason, "telemetry spool: events dropped");
    }
}

impl Writer {
    /// Appends a line. What is lost by it is counted here.
    pub(crate) fn append(
        &mut self,
        inner: &Inner,
        slot: &Slot,
        line: &[u8],
        notices: &mut Vec<Notice>,
    ) -> Result<(), DropReason> {
        let now = inner.fs.now_ms();
        let written = self.try_append(inner, slot, line, now, notices);
        match written {
            Ok(()) if self.lost > 0 => {
                let (_, reason) = self.failed.take().unwrap_or((0, DropReason::Unwritable));
                notices.push(Notice { reason, number: self.lost });
                self.lost = 0;
                inner.flush_drops(slot);
            }
            Ok(()) => {}
            Err(reason) => {
                slot.drops.add(reason, 1);
                if matches!(reason, DropReason::Damaged | DropReason::TooLong) {
                    inner.flush_drops(slot);
                    notices.push(Notice { reason, number: 1 });
                } else {
                    if self.lost == 0 {
                        // The first of a row that would else flood the log; the end of the row tells its length.
                        notices.push(Notice { reason, number: 1 });
                    }
                    self.lost += 1;
                }
            }
        }
        written
    }

    fn try_append(
        &mut self,
        inner: &Inner,
        slot: &Slot,
        line: &[u8],
        now: u64,
        notices: &mut Vec<Notice>,
    ) -> Result<(), DropReason> {
        if line.is_empty() || memchr::memchr(b'\n', line).is_some() {
            return Err(DropReason::Damaged);
        }
        let need = line.len() as u64 + 1;
        if line.len() > MAX_LINE || need > inner.limits.max_bytes {
            return Err(DropReason::TooLong);
        }
        if self.live.as_ref().is_some_and(|live| live.is_full(inner, need, now)) {
            self.seal();
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        // A segment that somebody deletes between its creation and the write is replaced; whoever does that for ever
        // gets his will.
        for _ in 0..3 {
            if self.live.is_none() {
                self.begin(inner, slot, need, now, notices)?;
            }
            let Some(live) = &mut self.live else { break };
            match live.write(&self.buffer) {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    // The line that was just written goes to the next one.
                    let lost = live.lines_in_file().saturating_sub(1);
                    if lost > 0 {
                        slot.drops.add(DropReason::Deleted, lost);
                        notices.push(Notice { reason: DropReason::Deleted, number: lost });
                    }
                    self.live = None;
                }
                Err(Torn(error, whole)) => {
                    if !whole {
                        // Readers drop the torn tail of a segment that nobody writes to.
                        self.seal();
                    }
                    let reason = reason_of(&error);
                    self.failed = Some((0, reason));
                    return Err(reason);
                }
            }
        }
        Err(DropReason::Deleted)
    }

    /// Gets a segment to write to, unless that failed a moment ago.
    fn begin(
        &mut self,
        inner: &Inner,
        slot: &Slot,
        need: u64,
        now: u64,
        notices: &mut Vec<Notice>,
    ) -> Result<(), DropReason> {
        if let Some((since, reason)) = self.failed
            && now.checked_sub(since).is_some_and(|passed| passed < PAUSE_MS)
        {
            return Err(reason);
        }
        let begun = match inner.fs.folder(&inner.path, true) {
            Ok(folder) => {
                slot.drops.flush(&*inner.fs, &*folder);
                self.begin_in(inner, &*folder, need, now, notices).map_err(|error| reason_of(&error))
            }
            Err(FolderError::Io(error)) => Err(reason_of(&error)),
            Err(FolderError::Missing) => Err(DropReason::Deleted),
            Err(FolderError::Refused(_)) => Err(DropReason::FolderRefused),
        };
        match begun {
            Ok(live) => {
                self.newest = self.newest.max(Some(live.name));
                self.live = Some(live);
                Ok(())
            }
            Err(reason) => {
                self.failed = Some((now, reason));
                Err(reason)
            }
        }
    }

    /// Leaves the segment to the readers.
    pub(crate) fn seal(&mut self) {
        if let Some(live) = self.live.take() {
            // Also for the copies of the handle in forked children.
            _ = live.file.unlock();
            self.counts.insert(live.name, live.lines);
        }
    }

    /// Leaves the segment to the readers if it is that one and has not grown beyond `len`.
    pub(crate) fn seal_at(&mut self, name: Name, len: u64) {
        if self.live.as_ref().is_some_and(|live| live.name == name && live.len == len) {
            self.seal();
        }
    }

    /// Leaves the segment to the readers if it takes no more events.
    pub(crate) fn seal_if_old(&mut self, inner: &Inner, now: u64) {
        if self.live.as_ref().is_some_and(|live| live.is_full(inner, 0, now)) {
            self.seal();
        }
    }

    /// Forgets the segment, which this process itself has deleted.
    pub(crate) fn forget(&mut self) {
        self.live = None;
        self.counts.clear();
    }
}

/// A write failed; whether the segment still ends with a whole line.
struct Torn(io::Error, bool);

impl Live {
    fn is_full(&self, inner: &Inner, need: u64, now: u64) -> bool {
        let limits = &inner.limits;
        self.len > 0
            && (self.len + need > limits.segment_bytes()
                || self.lines >= limits.segment_events()
                || self.name.age_ms(now) > limits.span_ms())
    }

    /// Appends. Gives whether the file still has a name.
    fn write(&mut self, line: &[u8]) -> Result<bool, Torn> {
        let mut done = 0;
        while done < line.len() {
            match self.file.append(&line[done..]) {
                Ok(n) if n > 0 => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => {
                    let error = other.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into());
                    return Err(Torn(error, done == 0 || self.take_back(done as u64)));
                }
            }
        }
        self.len += done as u64;
        self.lines += 1;
        // Asked behind the write: what was written to a file that has no name any more can be written again.
        Ok(self.file.facts().is_ok_and(|Facts { linked, .. }| linked))
    }

    /// Cuts the first `torn` bytes of a line off again.
    fn take_back(&self, torn: u64) -> bool {
        // The length is asked for because another process may have emptied the file.
        let len = self.file.facts().map(|facts| facts.len.checked_sub(torn));
        len.is_ok_and(|len| len.is_some_and(|len| self.file.truncate(len).is_ok()))
    }

    /// The lines in the file, which is less than were written when somebody emptied it on purpose.
    fn lines_in_file(&self) -> u64 {
        read_file(&*self.file, usize::MAX).map_or(0, |bytes| memchr::memchr_iter(b'\n', &bytes).count() as u64)
    }
}

/// The reason that fits a failure of the file system.
fn reason_of(error: &io::Error) -> DropReason {
    match error.kind() {
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::FileTooLarge
        | io::ErrorKind::WriteZero => DropReason::DiskFull,
        _ => DropReason::Unwritable,
    }
}
