//! The content of a spool, for people.

use std::{collections::BTreeMap, io};

use crate::error::{DropReason, Error};
use crate::spool::counters::Counters;
use crate::spool::cursor::Cursors;
use crate::spool::dead_letters::Rejected;
use crate::spool::fs::{Folder, FolderError};
use crate::spool::handle::Spool;
use crate::spool::segment::{Found, Lines, Listing};
use crate::spool::{dead_letters, segment};

/// The content of a spool.
#[derive(Debug, Default, Clone)]
#[non_exhaustive]
pub struct SpoolStats {
    /// Events that at least one backend has not settled.
    pub events: u64,
    /// Bytes of their lines.
    pub bytes: u64,
    /// A time in milliseconds since 1970. None of them was appended before.
    pub oldest_ms: Option<u64>,
    /// The events that each backend has not settled. Empty before the first delivery, when all events wait for all backends.
    pub backends: BTreeMap<String, BackendStats>,
    /// The number of segments.
    pub segments: u64,
    /// Bytes of the segments.
    pub segment_bytes: u64,
    /// Events lost so far, by reason, without reasons that have no loss.
    pub drops: BTreeMap<DropReason, u64>,
    /// The number of dead letters.
    pub rejected: u64,
    /// Files of other versions of the format, which are never used.
    pub foreign: Vec<String>,
    /// Why the folder can't be used.
    pub refused: Option<String>,
}

/// The events that a backend has not settled.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendStats {
    /// Events.
    pub events: u64,
    /// Bytes of their lines.
    pub bytes: u64,
}

impl Spool {
    /// The content of the spool, and the losses. Reads the events that are not settled. Takes no lock, but for a moment that of a
    /// segment that ends with an incomplete line.
    #[must_use]
    pub fn stats(&self) -> SpoolStats {
        let store = &self.shared.store;
        let mut stats = SpoolStats::default();
        match store.open(false) {
            Ok(folder) => {
                self.shared.slot().drops.flush(&*store.fs, &*folder);
                if let Err(error) = stats.read(&*folder) {
                    stats.refused = Some(error.to_string());
                }
            }
            Err(FolderError::Missing) => {}
            Err(FolderError::Refused(reason)) => stats.refused = Some(reason),
            Err(FolderError::Io(error)) => stats.refused = Some(error.to_string()),
        }
        let pending = &self.shared.slot().drops;
        for reason in DropReason::ALL {
            let number = pending.get(reason);
            if number > 0 {
                *stats.drops.entry(reason).or_default() += number;
            }
        }
        stats
    }

    /// Calls `show` with each event that at least one backend has not settled, as it is stored, the oldest segment first, until
    /// `show` returns `false`.
    pub fn pending(&self, mut show: impl FnMut(&[u8]) -> bool) -> Result<(), Error> {
        let Some(folder) = self.shared.store.folder("read")? else { return Ok(()) };
        let cursors = Cursors::load_or_default(&*folder);
        segment::list(&*folder)
            .and_then(|listing| walk(&*folder, &listing, &cursors, |line, _, _, _| show(line)).map(drop))
            .map_err(|source| self.shared.store.error("read", source))
    }

    /// The dead letters, the oldest first.
    pub fn rejected(&self) -> Result<Vec<Rejected>, Error> {
        let Some(folder) = self.shared.store.folder("read")? else { return Ok(Vec::new()) };
        dead_letters::load(&*folder).map_err(|source| self.shared.store.error("read", source))
    }

    /// Whether at least one of these backends has not settled a segment. Reads no event and takes no lock; an incomplete line
    /// counts.
    pub(crate) fn has_waiting<S: AsRef<str>>(&self, backends: &[S]) -> bool {
        let store = &self.shared.store;
        let Ok(Some(folder)) = store.folder("read") else { return false };
        let Ok(listing) = segment::list(&*folder) else { return false };
        let cursors = Cursors::load_or_default(&*folder);
        listing.segments.iter().filter(|listed| listed.len > 0).any(|listed| {
            let name = listed.name.to_string();
            backends.iter().any(|backend| {
                let place = cursors.place(backend.as_ref(), &name);
                place.is_none_or(|place| place.at != listed.len || !place.ahead.is_empty())
            })
        })
    }
}

impl SpoolStats {
    fn read(&mut self, folder: &dyn Folder) -> io::Result<()> {
        let cursors = Cursors::load_or_default(folder);
        self.drops = Counters::load_with_marks(folder)?.drops;
        self.rejected = dead_letters::load(folder)?.len() as u64;
        let listing = segment::list(folder)?;
        self.segments = listing.segments.len() as u64;
        self.segment_bytes = listing.segments.iter().map(|listed| listed.len).sum();
        let mut backends: Vec<(&str, BackendStats)> =
            cursors.backends().map(|name| (name, BackendStats::default())).collect();
        let done = walk(folder, &listing, &cursors, |line, created_ms, segment, offset| {
            let bytes = line.len() as u64 + 1;
            self.events += 1;
            self.bytes += bytes;
            self.oldest_ms.get_or_insert(created_ms);
            for (name, backend) in &mut backends {
                let place = cursors.place(name, segment);
                if place.and_then(|place| place.settled_until(offset)).is_none() {
                    backend.events += 1;
                    backend.bytes += bytes;
                }
            }
            true
        });
        self.backends = backends.into_iter().map(|(name, stats)| (name.to_owned(), stats)).collect();
        self.foreign = listing.foreign;
        let damaged = cursors.damaged + *done.as_ref().unwrap_or(&0);
        if damaged > 0 {
            *self.drops.entry(DropReason::Damaged).or_default() += damaged;
        }
        done.map(drop)
    }
}

/// Visits each whole line that at least one backend has not settled: line, time and name of its segment, offset. Returns the
/// number of torn lines that no delivery has counted.
fn walk(
    folder: &dyn Folder,
    listing: &Listing,
    cursors: &Cursors,
    mut visit: impl FnMut(&[u8], u64, &str, u64) -> bool,
) -> io::Result<u64> {
    let mut torn = 0;
    let mut buffer = Vec::new();
    for listed in &listing.segments {
        let name = listed.name.to_string();
        let passed = cursors.passed_by_all(&name);
        if passed >= listed.len {
            continue;
        }
        let file = match folder.open(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let mut lines = Lines::new(&*file, passed, &mut buffer);
        loop {
            match lines.next()? {
                Found::Line { offset, line } => {
                    let pending = !line.is_empty() && !cursors.is_settled_by_all(&name, offset);
                    if pending && !visit(line, listed.name.created_ms, &name, offset) {
                        return Ok(torn);
                    }
                }
                Found::TooLong { .. } => {}
                Found::End { offset, end } => {
                    // A line of a segment with a writer is about to be completed.
                    let is_new = offset < end && !cursors.is_damage_counted(&name, offset);
                    torn += u64::from(is_new && file.try_lock()?);
                    break;
                }
            }
        }
    }
    Ok(torn)
}

#[cfg(test)]
mod tests {
    use crate::spool::handle::Spool;
    use crate::spool::reader::Settle;
    use crate::spool::store::Limits;

    #[test]
    fn an_event_waits_until_each_of_the_backends_settles_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::on_disk(folder.path().join("spool"), Limits::default());
        assert!(!spool.has_waiting(&["a"]), "there is no folder");
        spool.append(b"{}").expect("room");
        assert!(spool.has_waiting(&["a"]) && !spool.has_waiting::<&str>(&[]));
        let mut deliverer = spool.try_claim(&["a", "b"]).expect("a folder").expect("nobody has it");
        let chunk = deliverer.next("a", 10, 1000).expect("readable").expect("one waits");
        deliverer.commit(&chunk, &[Settle::Done]).expect("writable");
        assert!(!spool.has_waiting(&["a"]));
        assert!(spool.has_waiting(&["b"]) && spool.has_waiting(&["a", "b"]));
    }
}
