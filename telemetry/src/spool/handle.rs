//! A spool, the pair of spools of a data folder, and the claim on a spool.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::error::{DropReason, Error};
use crate::process::{PerProcess, left};
use crate::spool::counters::Notice;
use crate::spool::dead_letters::{self, DeadLetters, Rejected};
use crate::spool::disk::Disk;
use crate::spool::fs::{File, Folder, Fs};
use crate::spool::store::{Limits, Session, Store};
use crate::spool::writer::{ProcessSlot, Writer};
use crate::spool::{fs, segment};

/// The pause between two attempts to take the claim. The system does not report that another process has released a lock.
const CLAIM_POLL: Duration = Duration::from_millis(5);

/// A spool. Clones share it; several instances and processes may have the same folder.
#[derive(Debug, Clone)]
pub struct Spool {
    pub(super) shared: Arc<Shared>,
}

/// The content of a spool that its clones share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store,
    slots: PerProcess<ProcessSlot>,
}

impl Spool {
    /// The spool in `folder`. Nothing is opened before the first event. When the folder can't be used, events are lost and
    /// counted, and [`stats`](Self::stats) has the reason.
    #[must_use]
    pub fn open(folder: impl Into<PathBuf>, limits: Limits, fs: Arc<dyn Fs>) -> Self {
        Self::of(Store { path: folder.into(), data: None, limits, fs })
    }

    fn of(store: Store) -> Self {
        let slots = PerProcess::new(store.fs.process(), ProcessSlot::default());
        Self { shared: Arc::new(Shared { store, slots }) }
    }

    /// The spool in `folder` on the machine's file system.
    #[must_use]
    pub fn on_disk(folder: impl Into<PathBuf>, limits: Limits) -> Self {
        Self::open(folder, limits, Arc::new(Disk))
    }

    /// The folder of the spool.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.shared.store.path
    }

    /// Whether the caller of [`offer_as`](Self::offer_as) keeps an event for which there is no room.
    pub(crate) fn refuses_when_full(&self) -> bool {
        self.shared.store.limits.refuse_when_full
    }

    /// The time of the file system's clock.
    pub(crate) fn now_ms(&self) -> u64 {
        self.shared.store.fs.now_ms()
    }

    /// Appends one event: a JSON object on one line, without its line feed. The operating system has the event when this
    /// returns.
    ///
    /// # Errors
    /// The event is lost, and counted under this reason.
    pub fn append(&self, line: &[u8]) -> Result<(), DropReason> {
        self.append_as(self.shared.store.fs.process(), line)
    }

    /// [`append`](Self::append) with the number of this process. To ask the system for the number takes a tenth of the time.
    pub(crate) fn append_as(&self, process: u32, line: &[u8]) -> Result<(), DropReason> {
        let slot = self.shared.slot_of(process);
        self.shared.write(slot, |writer, session| writer.append(session, line))
    }

    /// [`append_as`](Self::append_as) for a caller that keeps a refused event. The event is not counted.
    pub(crate) fn offer_as(&self, process: u32, line: &[u8]) -> Result<(), DropReason> {
        let slot = self.shared.slot_of(process);
        self.shared.write(slot, |writer, session| writer.offer(session, line))
    }

    /// Counts an event that can't be appended.
    pub(crate) fn refuse_as(&self, process: u32, reason: DropReason) {
        let slot = self.shared.slot_of(process);
        slot.drops.add(reason, 1);
        self.shared.store.flush_drops(&slot.drops);
        Notice { reason, number: 1 }.warn();
    }

    /// The events that this process has lost since the last call, by reason.
    pub(crate) fn take_losses(&self) -> impl Iterator<Item = (DropReason, u64)> {
        self.shared.slot().drops.take_unreported()
    }

    /// Checks that this process's segment still has a name, so that a reader finds all appended events.
    pub(crate) fn rescue(&self) {
        self.shared.write(self.shared.slot(), Writer::rescue);
    }

    /// Ends this process's segment, so that the segment can be removed, and writes the counters. The next event begins
    /// another segment.
    pub fn seal(&self) {
        self.shared.finish(self.shared.slot());
    }

    /// Drops segments that are too old, and the oldest segments while a limit is exceeded. A writer does this when it begins
    /// a segment, and [`try_claim`](Self::try_claim) does it. A service with few events calls it from time to time.
    pub fn enforce_limits(&self) -> Result<(), Error> {
        let store = &self.shared.store;
        let Some(folder) = store.folder("read")? else { return Ok(()) };
        let slot = self.shared.slot();
        let done = self.shared.write(slot, |writer, session| {
            writer.seal_if_old(session);
            let mut segments = segment::list(&*folder)?.segments;
            writer.known.make_room(session, &*folder, &mut segments, None).map(drop)
        });
        slot.drops.flush(&*store.fs, &*folder);
        done.map_err(|source| store.error("enforce the limits of", source))
    }

    /// Finds out whether events can be stored: makes the folder when it is missing, and writes and removes a small file.
    pub(crate) fn try_to_write(&self) -> Result<(), Error> {
        let store = &self.shared.store;
        let folder = store.open(true).map_err(|error| store.folder_error("write to", error))?;
        fs::try_to_write(&*folder).map_err(|source| store.error("write to", source))
    }

    /// The claim, for a caller that delivers nothing and only keeps others from it. It is as that of
    /// [`claim_until`](Self::claim_until).
    pub(crate) fn hold_until(&self, deadline: Instant) -> Result<Option<Claim>, Error> {
        loop {
            let claim = Claim::take(self)?;
            if claim.is_some() || left(deadline).is_zero() || !self.folder().exists() {
                return Ok(claim);
            }
            thread::sleep(CLAIM_POLL.min(left(deadline)));
        }
    }

    /// Removes dead letters. `false` when another process still delivers at `deadline`.
    pub fn forget_rejected(&self, events: &[Rejected], deadline: Instant) -> Result<bool, Error> {
        if events.is_empty() {
            return Ok(true);
        }
        let Some(claim) = self.hold_until(deadline)? else { return Ok(false) };
        let settled = DeadLetters::default().settle(claim.folder(), events, &[]);
        settled.map_err(|source| self.shared.store.error("change the dead letters of", source))?;
        Ok(true)
    }

    /// Removes every event and every dead letter, also those of other processes. Writers of other processes notice it within
    /// 50 ms or 64 events. Returns the number of removed files. Files of other versions stay.
    ///
    /// A delivery in another process may hold events in memory; there is none while the caller holds the claim.
    pub fn drop_pending(&self) -> Result<usize, Error> {
        let Some(folder) = self.shared.store.folder("empty")? else { return Ok(0) };
        let mut writer = self.shared.slot().writer();
        writer.forget();
        let remove = || {
            let segments = segment::list(&*folder)?.segments;
            let names = segments.iter().map(|listed| listed.name.to_string());
            let mut removed = 0;
            for name in names.chain([dead_letters::FILE.to_owned()]) {
                let emptied = folder.open(&name).and_then(|file| {
                    // Emptied first, so that its writer does not rescue the events.
                    file.truncate(0)?;
                    folder.remove(&name)
                });
                match emptied {
                    Ok(()) => removed += 1,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(removed)
        };
        remove().map_err(|source| self.shared.store.error("empty", source))
    }
}

impl Shared {
    /// The slot of this process.
    pub(super) fn slot(&self) -> &ProcessSlot {
        self.slot_of(self.store.fs.process())
    }

    fn slot_of(&self, process: u32) -> &ProcessSlot {
        self.slots.of(process, ProcessSlot::after)
    }

    /// Calls `write` with the writer of a slot. Logs the notices after the writer is unlocked.
    fn write<T>(&self, slot: &ProcessSlot, write: impl FnOnce(&mut Writer, &mut Session<'_>) -> T) -> T {
        let mut session = Session::new(&self.store, &slot.drops);
        let written = write(&mut slot.writer(), &mut session);
        session.notices.into_iter().for_each(Notice::warn);
        written
    }

    /// Ends the segment of this process.
    fn finish(&self, slot: &ProcessSlot) {
        self.write(slot, Writer::finish);
        self.store.flush_drops(&slot.drops);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // In a forked child that never appended, the segment belongs to its parent.
        if let Some(slot) = self.slots.get(self.store.fs.process()) {
            self.finish(slot);
        }
    }
}

/// The spools of one data folder.
#[derive(Debug)]
pub(crate) struct Spools {
    /// The spool for events that may be sent.
    ordinary: Spool,
    /// The spool for events that were recorded with `TELEMETRY_LOCAL`. Only a run with it delivers them, into the local log.
    local: Spool,
}

impl Spools {
    pub(crate) fn open(data: &Path, limits: &Limits, fs: &Arc<dyn Fs>) -> Self {
        let open = |name: &str| {
            let (data, path) = (Some(data.to_owned()), data.join(name));
            Spool::of(Store { path, data, limits: limits.clone(), fs: Arc::clone(fs) })
        };
        Self { ordinary: open("spool"), local: open("local-spool") }
    }

    /// The spool for events that stay on the machine, or the other one.
    pub(crate) fn get(&self, local: bool) -> &Spool {
        if local { &self.local } else { &self.ordinary }
    }

    pub(crate) fn both(&self) -> [&Spool; 2] {
        [&self.ordinary, &self.local]
    }

    /// Empties both spools.
    ///
    /// # Errors
    /// The first one. The other spool is emptied all the same.
    pub(crate) fn drop_pending(&self) -> Result<(), Error> {
        let [ordinary, local] = self.both().map(Spool::drop_pending);
        ordinary.and(local).map(drop)
    }

    /// # Errors
    /// The first one.
    pub(crate) fn enforce_limits(&self) -> Result<(), Error> {
        let [ordinary, local] = self.both().map(Spool::enforce_limits);
        ordinary.and(local)
    }
}

/// The file with the lock of the claim.
const CLAIM: &str = "claim.v1.lock";

/// The claim: the right to deliver the spool, which one process has at a time.
#[derive(Debug)]
pub(crate) struct Claim {
    spool: Spool,
    folder: Arc<dyn Folder>,
    lock: Box<dyn File>,
    process: u32,
}

impl Claim {
    /// `None` when another process has the claim, or the folder is missing.
    pub(super) fn take(spool: &Spool) -> Result<Option<Self>, Error> {
        let store = &spool.shared.store;
        let Some(folder) = store.folder("claim")? else { return Ok(None) };
        let failed = |source| store.error("claim", source);
        let lock = folder.open_or_create(CLAIM).map_err(failed)?;
        if !lock.try_lock().map_err(failed)? || !lock.facts().map_err(failed)?.linked {
            return Ok(None);
        }
        Ok(Some(Self { spool: spool.clone(), folder, lock, process: store.fs.process() }))
    }

    /// Fails when the lock's file is deleted or the process has forked, because the claim is then lost.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let ours = self.process == self.store().fs.process();
        if ours && self.lock.facts().is_ok_and(|facts| facts.linked) {
            return Ok(());
        }
        Err(Error::ClaimLost { folder: self.store().path.clone() })
    }

    pub(super) fn store(&self) -> &Store {
        &self.spool.shared.store
    }

    /// The slot of this process.
    pub(super) fn slot(&self) -> &ProcessSlot {
        self.spool.shared.slot()
    }

    pub(super) fn folder(&self) -> &dyn Folder {
        &*self.folder
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A forked child has a copy of the handle, and its parent still delivers.
        if self.process == self.store().fs.process() {
            _ = self.lock.unlock();
        }
    }
}
