//! Events on disk, from the moment they are tracked until every backend is done with them.
//!
//! # Format, version 1
//! A folder of one user and one tool, mode 0700. A folder that belongs to somebody else or that others can write to is
//! refused. In it:
//!
//! | file | holds |
//! | --- | --- |
//! | `MMMMMMMMMMMM-PPPPPPPP-RRRRRRRR.v1.jsonl` | a *segment*: one JSON object a line, each ended by a line feed, nothing else. The name is hexadecimal: milliseconds since 1970 at its creation, process, random number |
//! | `claim.v1.lock` | nothing; its lock is held by the one process that delivers |
//! | `cursors.v1.json` | what each backend is done with, byte offsets a segment; a second line with a check sum |
//! | `counters.v1.json` | events lost, by reason; a second line with a check sum; written under the lock of `counters.v1.lock` |
//! | `quarantine.v1.jsonl` | rejected events, one object a line: backend, reason, `rejected_at` in milliseconds since 1970, the event |
//!
//! `*.v1.tmp` are files that are about to take the place of another. **Every file of any version has `.v<number>.` before
//! its extension.** Files of another version than 1 are left alone: reported, never read, never deleted.
//!
//! # Writers
//! A process writes to a segment of its own, each event with one `write(2)`, so that nothing is in memory when
//! [`Spool::append`] returns: a kill loses nothing that was appended. There is no fsync: the system losing power may lose
//! the last seconds. The exclusive advisory lock on a segment says that its writer lives. A writer goes on with a segment
//! that has no writer, ends with a whole line and is young, so that a tool of short runs leaves one file and not
//! thousands. A segment ends at 1 MiB, a quarter of [`Limits::max_events`] and a thirtieth of
//! [`Limits::max_age`]; before the next one is begun, whole segments that nobody writes to leave, the oldest first, until
//! all limits hold. At least every 50 ms of writing, every 64 events and at its end the writer looks whether its file still
//! has a name; if not, what it wrote since the last look goes to a new one, and what was there before is counted.
//!
//! # Readers
//! A line counts once its line feed is there. A tail without one is torn when the segment has no writer: it is dropped
//! and counted, alone. So is a line that is no event. One process delivers at a time, see [`Deliverer`].
//!
//! # Limits
//! Cursors that can't be written down hold in their process, and are written once there is room; a delivery *at most once*
//! sends nothing meanwhile. A line has at most 1 MiB. Counters and cursors that are missing or damaged begin again at nothing: events are then
//! delivered again rather than lost. Events that are appended while the folder or the disk can't be written to are lost,
//! counted, and no error to the tool.

mod chunk;
mod claim;
mod counters;
mod cursor;
mod deliverer;
mod disk;
mod fs;
mod limits;
mod live;
mod quarantine;
mod room;
mod segment;
mod slot;
mod stats;
mod waiting;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use self::{
    chunk::Chunk,
    deliverer::{Committed, Deliverer, Settle},
    disk::Disk,
    fs::{Entry, Facts, File, Folder, FolderError, Fs},
    limits::{DropReason, Limits},
    quarantine::Rejected,
    stats::{BackendStats, SpoolStats},
};
use self::{slot::Slot, writer::Notice};
use crate::{Error, per_process::PerProcess};

/// A spool. Clones share it; several instances and processes may have the same folder.
#[derive(Debug, Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    limits: Limits,
    fs: Arc<dyn Fs>,
    slots: PerProcess<Slot>,
}

impl Spool {
    /// The spool in `folder`. Nothing is touched before the first event; a folder that can't be had costs the events,
    /// which are counted, and shows in [`stats`](Self::stats).
    #[must_use]
    pub fn open(folder: impl Into<PathBuf>, limits: Limits, fs: Arc<dyn Fs>) -> Self {
        let slots = PerProcess::new(fs.process(), Slot::default());
        Self { inner: Arc::new(Inner { path: folder.into(), limits, fs, slots }) }
    }

    /// The spool in `folder` on the machine's file system.
    #[must_use]
    pub fn on_disk(folder: impl Into<PathBuf>, limits: Limits) -> Self {
        Self::open(folder, limits, Arc::new(Disk))
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.inner.path
    }

    /// What its file system's clock says.
    pub(crate) fn now_ms(&self) -> u64 {
        self.inner.fs.now_ms()
    }

    /// Appends one event, a JSON object on one line without its line feed. It is with the operating system when this
    /// returns. Otherwise the event is lost, and counted under the reason that is given back.
    pub fn append(&self, line: &[u8]) -> Result<(), DropReason> {
        self.append_as(self.inner.fs.process(), line)
    }

    /// [`append`](Self::append) for who knows the number of this process already: asking the system for it costs a tenth
    /// of the whole.
    pub(crate) fn append_as(&self, process: u32, line: &[u8]) -> Result<(), DropReason> {
        let slot = self.inner.slots.of(process, Slot::after);
        // Without a notice it takes no memory.
        let mut notices = Vec::new();
        let appended = slot.writer().append(&self.inner, slot, line, &mut notices);
        notices.into_iter().for_each(Notice::warn);
        appended
    }

    /// [`append_as`](Self::append_as) for who keeps what finds no place, to offer it again: nothing is counted.
    pub(crate) fn offer_as(&self, process: u32, line: &[u8]) -> Result<(), DropReason> {
        let slot = self.inner.slots.of(process, Slot::after);
        let mut notices = Vec::new();
        let offered = slot.writer().offer(&self.inner, slot, line, &mut notices);
        notices.into_iter().for_each(Notice::warn);
        offered
    }

    /// Counts an event that can't be appended, without a line of it.
    pub(crate) fn refuse_as(&self, process: u32, reason: DropReason) {
        let slot = self.inner.slots.of(process, Slot::after);
        slot.drops.add(reason, 1);
        self.inner.flush_drops(slot);
        Notice { reason, number: 1 }.warn();
    }

    /// Looks whether this process's segment still has a name, which it does now and then while it writes: what was appended
    /// before this is found by who delivers next.
    pub(crate) fn rescue(&self) {
        let slot = self.inner.slot();
        let mut notices = Vec::new();
        slot.writer().rescue(&self.inner, slot, &mut notices);
        notices.into_iter().for_each(Notice::warn);
    }

    /// Ends this process's segment, so that others may finish it, and writes the counters down. The next event begins
    /// another one.
    pub fn seal(&self) {
        self.inner.finish(self.inner.slot());
    }

    /// Drops what is over the limits, what is too old in particular. Writers do so when they begin a segment, and
    /// [`try_claim`](Self::try_claim) does; a service that has seldom an event calls it now and then.
    pub fn enforce_limits(&self) -> Result<(), Error> {
        let Some(folder) = self.inner.folder("read")? else { return Ok(()) };
        let slot = self.inner.slot();
        let mut notices = Vec::new();
        let done = {
            let mut writer = slot.writer();
            let now = self.inner.fs.now_ms();
            writer.seal_if_old(&self.inner, now);
            segment::list(&*folder).and_then(|mut listing| {
                let segments = &mut listing.segments;
                writer.make_room(&self.inner, &*folder, segments, None, now, &mut notices).map(drop)
            })
        };
        notices.into_iter().for_each(Notice::warn);
        slot.drops.flush(&*self.inner.fs, &*folder);
        done.map_err(|source| self.inner.error("enforce the limits of", source))
    }

    /// Finds out whether events can be stored: makes the folder when it is missing, and writes and removes a small file.
    pub(crate) fn try_to_write(&self) -> Result<(), Error> {
        let failed = |source| self.inner.error("write to", source);
        let folder = match self.inner.fs.folder(&self.inner.path, true) {
            Ok(folder) => folder,
            Err(FolderError::Missing) => return Err(failed(std::io::ErrorKind::NotFound.into())),
            Err(FolderError::Refused(reason)) => {
                return Err(Error::SpoolFolder { folder: self.inner.path.clone(), reason });
            }
            Err(FolderError::Io(source)) => return Err(failed(source)),
        };
        fs::try_to_write(&*folder).map_err(failed)
    }

    /// Forgets every event, those of other processes too, and the quarantine. Writers elsewhere notice within
    /// 50 ms or 64 events. Gives how many files went. Files of other versions stay.
    ///
    /// A delivery under way in another process may hold events in memory; hold the claim to know that there is none.
    pub fn drop_pending(&self) -> Result<usize, Error> {
        let Some(folder) = self.inner.folder("empty")? else { return Ok(0) };
        let slot = self.inner.slot();
        let mut writer = slot.writer();
        writer.forget();
        let removed = segment::list(&*folder).and_then(|listing| {
            let names = listing.segments.iter().map(|listed| listed.name.to_string());
            let mut removed = 0;
            for name in names.chain([quarantine::FILE.to_owned()]) {
                let emptied = folder.open(&name).and_then(|file| {
                    // Emptied first: its writer then knows that nothing in it is missed.
                    file.truncate(0)?;
                    folder.remove(&name)
                });
                match emptied {
                    Ok(()) => removed += 1,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(removed)
        });
        removed.map_err(|source| self.inner.error("empty", source))
    }
}

impl Inner {
    /// What belongs to this process.
    fn slot(&self) -> &Slot {
        self.slots.of(self.fs.process(), Slot::after)
    }

    /// The folder, or `None` when there is none.
    fn folder(&self, doing: &'static str) -> Result<Option<Arc<dyn Folder>>, Error> {
        match self.fs.folder(&self.path, false) {
            Ok(folder) => Ok(Some(folder)),
            Err(FolderError::Missing) => Ok(None),
            Err(FolderError::Refused(reason)) => {
                Err(Error::SpoolFolder { folder: self.path.clone(), reason })
            }
            Err(FolderError::Io(source)) => Err(self.error(doing, source)),
        }
    }

    /// Ends the segment of this process.
    fn finish(&self, slot: &Slot) {
        let mut notices = Vec::new();
        slot.writer().finish(self, slot, &mut notices);
        notices.into_iter().for_each(Notice::warn);
        self.flush_drops(slot);
    }

    fn flush_drops(&self, slot: &Slot) {
        if slot.drops.is_empty() {
            return;
        }
        if let Ok(folder) = self.fs.folder(&self.path, false) {
            slot.drops.flush(&*self.fs, &*folder);
        }
    }

    fn error(&self, doing: &'static str, source: std::io::Error) -> Error {
        Error::Spool { doing, folder: self.path.clone(), source }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // In a forked child that never appended, the segment is its parent's.
        if let Some(slot) = self.slots.get(self.fs.process()) {
            self.finish(slot);
        }
    }
}

#[cfg(test)]
mod tests;
