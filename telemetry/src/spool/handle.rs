//! A spool: what appends to it, and what empties it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::error::{DropReason, Error};
use crate::process::PerProcess;
use crate::spool::counters::Notice;
use crate::spool::dead_letters::{self, DeadLetters, Rejected};
use crate::spool::disk::Disk;
use crate::spool::fs::{File, Folder, FolderError, Fs};
use crate::spool::store::{Limits, Store};
use crate::spool::trusted_fs::Trusted;
use crate::spool::writer::Slot;
use crate::spool::{fs, segment};

/// A spool. Clones share it; several instances and processes may have the same folder.
#[derive(Debug, Clone)]
pub struct Spool {
    pub(super) shared: Arc<Shared>,
}

/// What clones of a spool share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store,
    slots: PerProcess<Slot>,
}

impl Spool {
    /// The spool in `folder`. Nothing is touched before the first event; a folder that can't be had costs the events,
    /// which are counted, and shows in [`stats`](Self::stats).
    #[must_use]
    pub fn open(folder: impl Into<PathBuf>, limits: Limits, fs: Arc<dyn Fs>) -> Self {
        let slots = PerProcess::new(fs.process(), Slot::default());
        Self { shared: Arc::new(Shared { store: Store { path: folder.into(), limits, fs }, slots }) }
    }

    /// The spool in `folder` on the machine's file system.
    #[must_use]
    pub fn on_disk(folder: impl Into<PathBuf>, limits: Limits) -> Self {
        Self::open(folder, limits, Arc::new(Disk))
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.shared.store.path
    }

    /// What its file system's clock says.
    pub(crate) fn now_ms(&self) -> u64 {
        self.shared.store.fs.now_ms()
    }

    /// Appends one event, a JSON object on one line without its line feed. It is with the operating system when this
    /// returns. Otherwise the event is lost, and counted under the reason that is given back.
    pub fn append(&self, line: &[u8]) -> Result<(), DropReason> {
        self.append_as(self.shared.store.fs.process(), line)
    }

    /// [`append`](Self::append) for who knows the number of this process already: asking the system for it costs a tenth
    /// of the whole.
    pub(crate) fn append_as(&self, process: u32, line: &[u8]) -> Result<(), DropReason> {
        let slot = self.shared.slots.of(process, Slot::after);
        // Without a notice it takes no memory.
        let mut notices = Vec::new();
        let appended = slot.writer().append(&self.shared.store, &slot.drops, line, &mut notices);
        notices.into_iter().for_each(Notice::warn);
        appended
    }

    /// [`append_as`](Self::append_as) for who keeps what finds no place, to offer it again: nothing is counted.
    pub(crate) fn offer_as(&self, process: u32, line: &[u8]) -> Result<(), DropReason> {
        let slot = self.shared.slots.of(process, Slot::after);
        let mut notices = Vec::new();
        let offered = slot.writer().offer(&self.shared.store, &slot.drops, line, &mut notices);
        notices.into_iter().for_each(Notice::warn);
        offered
    }

    /// Counts an event that can't be appended, without a line of it.
    pub(crate) fn refuse_as(&self, process: u32, reason: DropReason) {
        let slot = self.shared.slots.of(process, Slot::after);
        slot.drops.add(reason, 1);
        self.shared.store.flush_drops(&slot.drops);
        Notice { reason, number: 1 }.warn();
    }

    /// Looks whether this process's segment still has a name, which it does now and then while it writes: what was appended
    /// before this is found by who delivers next.
    pub(crate) fn rescue(&self) {
        let slot = self.shared.slot();
        let mut notices = Vec::new();
        slot.writer().rescue(&self.shared.store, &slot.drops, &mut notices);
        notices.into_iter().for_each(Notice::warn);
    }

    /// Ends this process's segment, so that others may finish it, and writes the counters down. The next event begins
    /// another one.
    pub fn seal(&self) {
        self.shared.finish(self.shared.slot());
    }

    /// Drops what is over the limits, what is too old in particular. Writers do so when they begin a segment, and
    /// [`try_claim`](Self::try_claim) does; a service that has seldom an event calls it now and then.
    pub fn enforce_limits(&self) -> Result<(), Error> {
        let Some(folder) = self.shared.store.folder("read")? else { return Ok(()) };
        let slot = self.shared.slot();
        let mut notices = Vec::new();
        let done = {
            let mut writer = slot.writer();
            let now = self.shared.store.fs.now_ms();
            writer.seal_if_old(&self.shared.store, now);
            segment::list(&*folder).and_then(|mut listing| {
                let segments = &mut listing.segments;
                writer
                    .known
                    .make_room(&self.shared.store, &*folder, segments, None, now, &mut notices)
                    .map(drop)
            })
        };
        notices.into_iter().for_each(Notice::warn);
        slot.drops.flush(&*self.shared.store.fs, &*folder);
        done.map_err(|source| self.shared.store.error("enforce the limits of", source))
    }

    /// Finds out whether events can be stored: makes the folder when it is missing, and writes and removes a small file.
    pub(crate) fn try_to_write(&self) -> Result<(), Error> {
        let failed = |source| self.shared.store.error("write to", source);
        let folder = match self.shared.store.fs.folder(&self.shared.store.path, true) {
            Ok(folder) => folder,
            Err(FolderError::Missing) => return Err(failed(std::io::ErrorKind::NotFound.into())),
            Err(FolderError::Refused(reason)) => {
                return Err(Error::SpoolFolder {
                    folder: self.shared.store.path.clone(),
                    reason: reason.into(),
                });
            }
            Err(FolderError::Io(source)) => return Err(failed(source)),
        };
        fs::try_to_write(&*folder).map_err(failed)
    }

    /// Removes dead letters. Gives whether it could: it can't while a process delivers.
    pub fn forget_rejected(&self, events: &[Rejected]) -> Result<bool, Error> {
        if events.is_empty() {
            return Ok(true);
        }
        let Some(claim) = Claim::take(self)? else { return Ok(false) };
        let failed = |source| self.shared.store.error("change the dead letters of", source);
        DeadLetters::default().settle(claim.folder(), events, &[]).map_err(failed)?;
        Ok(true)
    }

    /// Forgets every event, those of other processes too, and the dead letters. Writers elsewhere notice within
    /// 50 ms or 64 events. Gives how many files went. Files of other versions stay.
    ///
    /// A delivery under way in another process may hold events in memory; hold the claim to know that there is none.
    pub fn drop_pending(&self) -> Result<usize, Error> {
        let Some(folder) = self.shared.store.folder("empty")? else { return Ok(0) };
        let slot = self.shared.slot();
        let mut writer = slot.writer();
        writer.forget();
        let removed = segment::list(&*folder).and_then(|listing| {
            let names = listing.segments.iter().map(|listed| listed.name.to_string());
            let mut removed = 0;
            for name in names.chain([dead_letters::FILE.to_owned()]) {
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
        removed.map_err(|source| self.shared.store.error("empty", source))
    }
}

impl Shared {
    /// What belongs to this process.
    pub(super) fn slot(&self) -> &Slot {
        self.slots.of(self.store.fs.process(), Slot::after)
    }

    /// Ends the segment of this process.
    fn finish(&self, slot: &Slot) {
        let mut notices = Vec::new();
        slot.writer().finish(&self.store, &slot.drops, &mut notices);
        notices.into_iter().for_each(Notice::warn);
        self.store.flush_drops(&slot.drops);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // In a forked child that never appended, the segment is its parent's.
        if let Some(slot) = self.slots.get(self.store.fs.process()) {
            self.finish(slot);
        }
    }
}

/// The spools of one data folder.
#[derive(Debug)]
pub(crate) struct Spools {
    /// For events that may be sent.
    ordinary: Spool,
    /// For events that were recorded under `TELEMETRY_LOCAL`: only a run under it delivers them, into the local log.
    local: Spool,
}

impl Spools {
    pub(crate) fn open(data: &Path, limits: &Limits, fs: &Arc<dyn Fs>) -> Self {
        let trusted: Arc<dyn Fs> = Arc::new(Trusted { data: data.to_owned(), fs: Arc::clone(fs) });
        let open = |name: &str| Spool::open(data.join(name), limits.clone(), Arc::clone(&trusted));
        Self { ordinary: open("spool"), local: open("local-spool") }
    }

    /// The spool for events that stay on the machine, or the other one.
    pub(crate) fn get(&self, local: bool) -> &Spool {
        if local { &self.local } else { &self.ordinary }
    }

    pub(crate) fn both(&self) -> [&Spool; 2] {
        [&self.ordinary, &self.local]
    }

    /// Drops what waits in both.
    ///
    /// # Errors
    /// The first one; the other spool is emptied all the same.
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

const FILE: &str = "claim.v1.lock";

/// The lock, and the folder that holds its file.
#[derive(Debug)]
pub(crate) struct Claim {
    spool: Spool,
    folder: Arc<dyn Folder>,
    lock: Box<dyn File>,
    process: u32,
}

impl Claim {
    pub(super) fn take(spool: &Spool) -> Result<Option<Self>, Error> {
        let store = &spool.shared.store;
        let Some(folder) = store.folder("claim")? else { return Ok(None) };
        let failed = |source| store.error("claim", source);
        let lock = folder.open_or_create(FILE).map_err(failed)?;
        if !lock.try_lock().map_err(failed)? || !lock.facts().map_err(failed)?.linked {
            return Ok(None);
        }
        Ok(Some(Self { spool: spool.clone(), folder, lock, process: store.fs.process() }))
    }

    /// Fails when the lock's file is gone or the process has forked: this claim is then no right to deliver.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let ours = self.process == self.spool.shared.store.fs.process();
        if ours && self.lock.facts().is_ok_and(|facts| facts.linked) {
            return Ok(());
        }
        Err(Error::ClaimLost { folder: self.spool.shared.store.path.clone() })
    }

    pub(crate) fn spool(&self) -> &Spool {
        &self.spool
    }

    pub(crate) fn folder(&self) -> &dyn Folder {
        &*self.folder
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A forked child has a copy of the handle, and its parent still delivers.
        if self.process == self.spool.shared.store.fs.process() {
            _ = self.lock.unlock();
        }
    }
}
