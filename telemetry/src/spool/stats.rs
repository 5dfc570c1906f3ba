//! What is in a spool, for people.

use std::{collections::BTreeMap, io};

use super::{
    Spool,
    counters::Counters,
    cursor::Cursors,
    fs::{Folder, FolderError},
    limits::DropReason,
    quarantine::{self, Rejected},
    segment::{self, Found, Lines, Listing},
};
use crate::Error;

/// What is in a spool.
#[derive(Debug, Default, Clone)]
#[non_exhaustive]
pub struct SpoolStats {
    /// Events that some backend is not done with.
    pub events: u64,
    /// Bytes of their lines.
    pub bytes: u64,
    /// The time, in milliseconds since 1970, before which none of them was appended.
    pub oldest_ms: Option<u64>,
    /// What each backend is not done with. Empty before the first delivery, when all of it waits for all.
    pub backends: BTreeMap<String, BackendStats>,
    /// Segments.
    pub segments: u64,
    /// Bytes of the segments.
    pub segment_bytes: u64,
    /// Events lost so far, by reason; reasons without a loss are left out.
    pub drops: BTreeMap<DropReason, u64>,
    /// Events in the quarantine.
    pub rejected: u64,
    /// Files of other versions of the format, which are left alone.
    pub foreign: Vec<String>,
    /// Why the folder can't be had.
    pub refused: Option<String>,
}

/// What a backend is not done with.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendStats {
    /// Events.
    pub events: u64,
    /// Bytes of their lines.
    pub bytes: u64,
}

impl Spool {
    /// What is in the spool, and what was lost. Reads the events that are not delivered; takes no lock.
    #[must_use]
    pub fn stats(&self) -> SpoolStats {
        let inner = &self.inner;
        let mut stats = SpoolStats::default();
        match inner.fs.folder(&inner.path, false) {
            Ok(folder) => {
                inner.slot().drops.flush(&*inner.fs, &*folder);
                if let Err(error) = stats.read(&*folder) {
                    stats.refused = Some(error.to_string());
                }
            }
            Err(FolderError::Missing) => {}
            Err(FolderError::Refused(reason)) => stats.refused = Some(reason),
            Err(FolderError::Io(error)) => stats.refused = Some(error.to_string()),
        }
        let pending = &inner.slot().drops;
        for reason in DropReason::ALL {
            let number = pending.get(reason);
            if number > 0 {
                *stats.drops.entry(reason).or_default() += number;
            }
        }
        stats
    }

    /// Shows each event that some backend is not done with, as it is stored, the oldest segment first, until `show`
    /// gives `false`.
    pub fn pending(&self, mut show: impl FnMut(&[u8]) -> bool) -> Result<(), Error> {
        let Some(folder) = self.inner.folder("read")? else { return Ok(()) };
        let cursors = Cursors::load_or_default(&*folder);
        segment::list(&*folder)
            .and_then(|listing| walk(&*folder, &listing, &cursors, |line, _, _, _| show(line)))
            .map_err(|source| self.inner.error("read", source))
    }

    /// The events in the quarantine, the oldest first.
    pub fn rejected(&self) -> Result<Vec<Rejected>, Error> {
        let Some(folder) = self.inner.folder("read")? else { return Ok(Vec::new()) };
        quarantine::load(&*folder).map_err(|source| self.inner.error("read", source))
    }
}

impl SpoolStats {
    fn read(&mut self, folder: &dyn Folder) -> io::Result<()> {
        let cursors = Cursors::load_or_default(folder);
        self.drops = Counters::load(folder)?.drops;
        if cursors.damaged > 0 {
            *self.drops.entry(DropReason::Damaged).or_default() += cursors.damaged;
        }
        self.rejected = quarantine::load(folder)?.len() as u64;
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
        done
    }
}

/// Visits each whole line that some backend is not done with: line, time and name of its segment, offset.
fn walk(
    folder: &dyn Folder,
    listing: &Listing,
    cursors: &Cursors,
    mut visit: impl FnMut(&[u8], u64, &str, u64) -> bool,
) -> io::Result<()> {
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
                        return Ok(());
                    }
                }
                Found::TooLong { .. } => {}
                Found::End { .. } => break,
            }
        }
    }
    Ok(())
}
