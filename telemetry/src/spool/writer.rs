//! Appending, and what becomes of events that can't be.

use std::{
    io,
    sync::{Mutex, MutexGuard},
};

use crate::error::DropReason;
use crate::event::parse::MAX_LINE;
use crate::process::lock;
use crate::spool::counters::{Notice, Pending};
use crate::spool::cursor::Cursors;
use crate::spool::eviction::{KnownSegments, Unbegun};
use crate::spool::fs::{FolderError, read_file};
use crate::spool::open_segment::{Live, Looked, Torn};
use crate::spool::segment::Name;
use crate::spool::store::Store;

/// How long nothing is tried after the folder or a new segment could not be had.
const PAUSE_MS: u64 = 1_000;

/// What one thread at a time has: the open segment and its buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) live: Option<Live>,
    /// The line with its line feed.
    buffer: Vec<u8>,
    pub(crate) known: KnownSegments,
    /// When no segment could be had, and why.
    failed: Option<(u64, DropReason)>,
    /// Events lost to the disk in a row.
    lost: u64,
}

impl Writer {
    /// Appends a line. What is lost by it is counted here.
    pub(crate) fn append(
        &mut self,
        store: &Store,
        drops: &Pending,
        line: &[u8],
        notices: &mut Vec<Notice>,
    ) -> Result<(), DropReason> {
        let offered = self.offer(store, drops, line, notices);
        if let Err(reason) = offered {
            drops.add(reason, 1);
            if matches!(reason, DropReason::Damaged | DropReason::TooLong) {
                store.flush_drops(drops);
                notices.push(Notice { reason, number: 1 });
            } else {
                if self.lost == 0 {
                    // The first of a row that would else flood the log; the end of the row tells its length.
                    notices.push(Notice { reason, number: 1 });
                }
                self.lost += 1;
            }
        }
        offered
    }

    /// Appends a line that is still the caller's when it finds no place.
    pub(crate) fn offer(
        &mut self,
        store: &Store,
        drops: &Pending,
        line: &[u8],
        notices: &mut Vec<Notice>,
    ) -> Result<(), DropReason> {
        let now = store.fs.now_ms();
        let written = self.try_append(store, drops, line, now, notices);
        if written.is_ok() && self.lost > 0 {
            let (_, reason) = self.failed.take().unwrap_or((0, DropReason::Unwritable));
            notices.push(Notice { reason, number: self.lost });
            self.lost = 0;
            store.flush_drops(drops);
        }
        written
    }

    fn try_append(
        &mut self,
        store: &Store,
        drops: &Pending,
        line: &[u8],
        now: u64,
        notices: &mut Vec<Notice>,
    ) -> Result<(), DropReason> {
        if line.is_empty() || memchr::memchr(b'\n', line).is_some() {
            return Err(DropReason::Damaged);
        }
        let need = line.len() as u64 + 1;
        if line.len() > MAX_LINE || need > store.limits.max_bytes {
            return Err(DropReason::TooLong);
        }
        let mut rescued = 0;
        if self.live.as_ref().is_some_and(|live| live.is_full(&store.limits, need, now)) {
            rescued = self.look(drops, now, notices);
            self.seal();
        }
        if rescued == 0 {
            self.buffer.clear();
        }
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        let lines = rescued + 1;
        self.write(store, drops, lines, now, notices).inspect_err(|_| {
            // The caller counts the line.
            drops.add(DropReason::Deleted, rescued);
        })
    }

    /// Writes the whole lines in the buffer.
    fn write(
        &mut self,
        store: &Store,
        drops: &Pending,
        mut lines: u64,
        now: u64,
        notices: &mut Vec<Notice>,
    ) -> Result<(), DropReason> {
        // A segment that somebody deletes as soon as it is there is replaced; whoever does that for ever gets his will.
        for _ in 0..3 {
            if self.live.is_none() {
                self.begin(store, drops, self.buffer.len() as u64, now, notices)?;
            }
            let Some(live) = &mut self.live else { break };
            match live.write(&self.buffer, lines) {
                Ok(()) if !live.is_look_due(now) => return Ok(()),
                Ok(()) => {
                    lines = self.look(drops, now, notices);
                    if lines == 0 {
                        return Ok(());
                    }
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

    /// Looks whether the segment still has a name. If not, it is left, and the lines that were written since the last
    /// look are in the buffer, to be written again. Gives how many.
    fn look(&mut self, drops: &Pending, now: u64, notices: &mut Vec<Notice>) -> u64 {
        let Some(live) = &mut self.live else { return 0 };
        if live.file.facts().is_ok_and(|facts| facts.linked) {
            live.looked = Looked { ms: now, len: live.len, lines: live.lines };
            return 0;
        }
        let bytes = read_file(&*live.file, usize::MAX).unwrap_or_default();
        // Who empties it on purpose does not miss what was in it; what is there came after.
        let emptied = bytes.len() as u64 != live.len;
        let from = if emptied { 0 } else { usize::try_from(live.looked.len).unwrap_or(0) };
        let count = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count() as u64;
        let lost = count(&bytes[..from]);
        if lost > 0 {
            drops.add(DropReason::Deleted, lost);
            notices.push(Notice { reason: DropReason::Deleted, number: lost });
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(&bytes[from..]);
        self.live = None;
        count(&self.buffer)
    }

    /// Looks now, and writes what was in a file without a name to one that readers find.
    pub(crate) fn rescue(&mut self, store: &Store, drops: &Pending, notices: &mut Vec<Notice>) {
        let now = store.fs.now_ms();
        let lines = self.look(drops, now, notices);
        if lines > 0 && self.write(store, drops, lines, now, notices).is_err() {
            drops.add(DropReason::Deleted, lines);
        }
    }

    /// Leaves the segment to the readers, after a last look.
    pub(crate) fn finish(&mut self, store: &Store, drops: &Pending, notices: &mut Vec<Notice>) {
        self.rescue(store, drops, notices);
        self.seal();
    }

    /// Gets a segment to write to, unless that failed a moment ago.
    fn begin(
        &mut self,
        store: &Store,
        drops: &Pending,
        need: u64,
        now: u64,
        notices: &mut Vec<Notice>,
    ) -> Result<(), DropReason> {
        if let Some((since, reason)) = self.failed
            && now.checked_sub(since).is_some_and(|passed| passed < PAUSE_MS)
        {
            return Err(reason);
        }
        let begun = match store.fs.folder(&store.path, true) {
            Ok(folder) => {
                drops.flush(&*store.fs, &*folder);
                self.known.begin(store, &*folder, need, now, notices).map_err(|unbegun| match unbegun {
                    Unbegun::Full(reason) => reason,
                    Unbegun::Io(error) => reason_of(&error),
                })
            }
            Err(FolderError::Io(error)) => Err(reason_of(&error)),
            Err(FolderError::Missing) => Err(DropReason::Deleted),
            Err(FolderError::Refused(_)) => Err(DropReason::FolderRefused),
        };
        match begun {
            Ok(live) => {
                self.known.newest = self.known.newest.max(Some(live.name));
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
            self.known.counts.insert(live.name, live.lines);
        }
    }

    /// Leaves the segment to the readers if it is that one and has not grown beyond `len`.
    pub(crate) fn seal_at(&mut self, name: Name, len: u64) {
        if self.live.as_ref().is_some_and(|live| live.name == name && live.len == len) {
            self.seal();
        }
    }

    /// Leaves the segment to the readers if it takes no more events.
    pub(crate) fn seal_if_old(&mut self, store: &Store, now: u64) {
        if self.live.as_ref().is_some_and(|live| live.is_full(&store.limits, 0, now)) {
            self.seal();
        }
    }

    /// Forgets the segment, which this process itself has deleted.
    pub(crate) fn forget(&mut self) {
        self.live = None;
        self.known.counts.clear();
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

/// The writer, the counters and the unsaved cursors of one process.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    writer: Mutex<Writer>,
    /// Losses that are not in the file of counters yet.
    pub(crate) drops: Pending,
    /// Cursors of a delivery of this process that could not be written.
    unsaved: Mutex<Option<Cursors>>,
}

impl Slot {
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
