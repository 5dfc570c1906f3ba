//! Appending events, and counting events that can't be appended.

use std::{
    io,
    sync::{Mutex, MutexGuard},
};

use crate::error::DropReason;
use crate::event::parse::MAX_LINE;
use crate::process::lock;
use crate::spool::counters::Pending;
use crate::spool::cursor::Cursors;
use crate::spool::eviction::{KnownSegments, Unbegun};
use crate::spool::fs::{FolderError, read_file};
use crate::spool::segment::{Live, Looked, Name, Torn, count_lines};
use crate::spool::store::Session;

/// The time for which nothing is tried after the folder or a new segment could not be opened.
const PAUSE_MS: u64 = 1_000;

/// The open segment of a process and its buffer. One thread at a time uses them.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) live: Option<Live>,
    /// Whole lines that are to be written.
    buffer: Vec<u8>,
    pub(crate) known: KnownSegments,
    /// The time and the reason of the last failure to open a segment.
    failed: Option<(u64, DropReason)>,
    /// The number of events in a row that the disk did not take.
    lost: u64,
}

impl Writer {
    /// Appends a line, or counts it as lost.
    pub(crate) fn append(&mut self, session: &mut Session<'_>, line: &[u8]) -> Result<(), DropReason> {
        let offered = self.offer(session, line);
        if let Err(reason) = offered {
            session.drops.add(reason, 1);
            if matches!(reason, DropReason::Damaged | DropReason::TooLong) {
                session.store.flush_drops(session.drops);
                session.notice(reason, 1);
            } else {
                // Of a row of losses only the first is logged, and at the end of the row its length.
                if self.lost == 0 {
                    session.notice(reason, 1);
                }
                self.lost += 1;
            }
        }
        offered
    }

    /// Appends a line. The caller keeps a line that is refused.
    pub(crate) fn offer(&mut self, session: &mut Session<'_>, line: &[u8]) -> Result<(), DropReason> {
        let written = self.try_append(session, line);
        if written.is_ok() && self.lost > 0 {
            let (_, reason) = self.failed.take().unwrap_or((0, DropReason::Unwritable));
            session.notice(reason, self.lost);
            self.lost = 0;
            session.store.flush_drops(session.drops);
        }
        written
    }

    fn try_append(&mut self, session: &mut Session<'_>, line: &[u8]) -> Result<(), DropReason> {
        if line.is_empty() || memchr::memchr(b'\n', line).is_some() {
            return Err(DropReason::Damaged);
        }
        let limits = &session.store.limits;
        let need = line.len() as u64 + 1;
        if line.len() > MAX_LINE || need > limits.max_bytes {
            return Err(DropReason::TooLong);
        }
        let mut rescued = 0;
        if self.live.as_ref().is_some_and(|live| live.is_full(limits, need, session.now)) {
            rescued = self.look(session);
            self.seal();
        }
        if rescued == 0 {
            self.buffer.clear();
        }
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        // The caller counts the line itself.
        self.write(session, rescued + 1).inspect_err(|_| session.drops.add(DropReason::Deleted, rescued))
    }

    /// Writes the lines in the buffer. After a failure the caller counts these `lines`.
    fn write(&mut self, session: &mut Session<'_>, lines: u64) -> Result<(), DropReason> {
        let mut buffered = lines;
        let written = self.write_buffer(session, &mut buffered);
        let more = buffered.saturating_sub(lines);
        if written.is_err() && more > 0 {
            // They were written to a segment that somebody has deleted.
            session.drops.add(DropReason::Deleted, more);
            session.notice(DropReason::Deleted, more);
        }
        written
    }

    /// Writes the buffer, and keeps the number of its lines in `lines`.
    fn write_buffer(&mut self, session: &mut Session<'_>, lines: &mut u64) -> Result<(), DropReason> {
        // A segment that somebody deletes is replaced, but not for ever.
        for _ in 0..3 {
            if self.live.is_none() {
                self.begin(session)?;
            }
            let Some(live) = &mut self.live else { break };
            match live.write(&self.buffer, *lines) {
                Ok(()) if !live.is_look_due(session.now) => return Ok(()),
                Ok(()) => {
                    let rescued = self.look(session);
                    if rescued == 0 {
                        return Ok(());
                    }
                    *lines = rescued;
                }
                Err(Torn(error, whole)) => {
                    if !whole {
                        // Readers drop the torn tail of a segment without a writer.
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

    /// Checks that the segment still has a name. If not, the segment is left, and the lines since the last check are put into
    /// the buffer. Returns the number of these lines.
    fn look(&mut self, session: &mut Session<'_>) -> u64 {
        let Some(live) = &mut self.live else { return 0 };
        if live.file.facts().is_ok_and(|facts| facts.linked) {
            live.looked = Looked { ms: session.now, len: live.len, lines: live.lines };
            return 0;
        }
        let bytes = read_file(&*live.file, usize::MAX).unwrap_or_default();
        // A file that was emptied before its removal holds later lines only.
        let emptied = bytes.len() as u64 != live.len;
        let from = if emptied { 0 } else { usize::try_from(live.looked.len).unwrap_or(0) };
        let lost = count_lines(&bytes[..from]);
        if lost > 0 {
            session.drops.add(DropReason::Deleted, lost);
            session.notice(DropReason::Deleted, lost);
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(&bytes[from..]);
        self.live = None;
        count_lines(&self.buffer)
    }

    /// Checks the segment's name now, and writes the lines of a file without a name to a new segment.
    pub(crate) fn rescue(&mut self, session: &mut Session<'_>) {
        let lines = self.look(session);
        if lines > 0 && self.write(session, lines).is_err() {
            session.drops.add(DropReason::Deleted, lines);
        }
    }

    /// Ends the segment, after a last check of its name.
    pub(crate) fn finish(&mut self, session: &mut Session<'_>) {
        self.rescue(session);
        self.seal();
    }

    /// Opens a segment for the lines in the buffer, unless that failed a moment ago.
    fn begin(&mut self, session: &mut Session<'_>) -> Result<(), DropReason> {
        if let Some((since, reason)) = self.failed
            && session.now.checked_sub(since).is_some_and(|passed| passed < PAUSE_MS)
        {
            return Err(reason);
        }
        let begun = match session.store.open(true) {
            Ok(folder) => {
                session.drops.flush(&*session.store.fs, &*folder);
                let need = self.buffer.len() as u64;
                self.known.begin(session, &*folder, need).map_err(|unbegun| match unbegun {
                    Unbegun::Full(reason) => reason,
                    Unbegun::Io(error) => reason_of(&error),
                })
            }
            Err(FolderError::Io(error)) => Err(reason_of(&error)),
            Err(FolderError::Missing) => Err(DropReason::Deleted),
            Err(FolderError::Refused(_)) => Err(DropReason::FolderRefused),
        };
        let live = begun.inspect_err(|reason| self.failed = Some((session.now, *reason)))?;
        self.known.newest = self.known.newest.max(Some(live.name));
        self.live = Some(live);
        Ok(())
    }

    /// Ends the segment.
    pub(crate) fn seal(&mut self) {
        if let Some(live) = self.live.take() {
            // Unlocks also the copies of the handle in forked children.
            _ = live.file.unlock();
            self.known.counts.insert(live.name, live.lines);
        }
    }

    /// Ends the segment if it has this name and this length.
    pub(crate) fn seal_at(&mut self, name: Name, len: u64) {
        if self.live.as_ref().is_some_and(|live| live.name == name && live.len == len) {
            self.seal();
        }
    }

    /// Ends the segment if it takes no more events.
    pub(crate) fn seal_if_old(&mut self, session: &Session<'_>) {
        if self.live.as_ref().is_some_and(|live| live.is_full(&session.store.limits, 0, session.now)) {
            self.seal();
        }
    }

    /// Forgets the segment, which this process itself deletes.
    pub(crate) fn forget(&mut self) {
        self.live = None;
        self.known.counts.clear();
    }
}

/// The reason for a failure of the file system.
fn reason_of(error: &io::Error) -> DropReason {
    match error.kind() {
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::FileTooLarge
        | io::ErrorKind::WriteZero => DropReason::DiskFull,
        _ => DropReason::Unwritable,
    }
}

/// The part of a spool that belongs to one process.
#[derive(Debug, Default)]
pub(crate) struct ProcessSlot {
    writer: Mutex<Writer>,
    /// Losses that are not in the file of counters yet.
    pub(crate) drops: Pending,
    /// Cursors of a delivery of this process that could not be written.
    unsaved: Mutex<Option<Cursors>>,
}

impl ProcessSlot {
    /// The slot of a forked child whose parent has `inherited`.
    pub(crate) fn after(inherited: &Self) -> Self {
        if let Ok(mut writer) = inherited.writer.try_lock() {
            // Closing the copy of the handle leaves the parent's lock in force.
            writer.live = None;
        }
        Self::default()
    }

    pub(crate) fn unsaved(&self) -> MutexGuard<'_, Option<Cursors>> {
        lock(&self.unsaved)
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        lock(&self.writer)
    }
}
