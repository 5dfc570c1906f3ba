//! Reading for delivery: chunks of events for each backend, and notes of what is settled.

use std::{io, mem, time::Instant};

use crate::error::{DropReason, Error};
use crate::spool::chunk::{Chunk, Line, Part};
use crate::spool::counters::Notice;
use crate::spool::cursor::{Cursors, Loaded, Place};
use crate::spool::dead_letters::{AddError, DeadLetters, Rejected};
use crate::spool::fs::File;
use crate::spool::handle::{Claim, Spool};
use crate::spool::segment;
use crate::spool::segment::{Lines, Listed, Name};

/// Reads for all backends of the process that holds the claim: see [`Spool::try_claim`](super::Spool::try_claim).
///
/// [`next`](Self::next) gives a backend's next events; nothing is noted before a commit. To deliver *at least once*,
/// send, then [`commit`](Self::commit). To deliver *at most once*, [`commit_before_send`](Self::commit_before_send),
/// then send.
#[derive(Debug)]
pub struct Deliverer {
    claim: Claim,
    cursors: Cursors,
    /// Whether the cursors have changed since they were written.
    unsaved: bool,
    segments: Vec<Listed>,
    /// Whether the segments were listed since the claim was taken.
    is_listed: bool,
    dead_letters: DeadLetters,
    /// Segments whose events may be given back, once for each chunk.
    held: Vec<Name>,
    buffer: Vec<u8>,
}

/// The result for one event of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// The event is not settled, and comes again.
    Keep,
    /// The backend has settled the event.
    Done,
    /// The line is no event. It is counted as damaged, once for all backends.
    Damaged,
}

/// A chunk that is committed before it is sent: the backend's position before the commit.
#[derive(Debug)]
#[must_use = "give back the events that are not sent"]
pub struct Committed {
    places: Vec<(Name, Place)>,
}

impl Deliverer {
    /// Sets the configured backends. No segment is kept for other backends. Their positions are remembered for
    /// [`Limits::max_age`](super::Limits::max_age), so that a backend that is configured again gets no event twice.
    pub fn retain_backends<S: AsRef<str>>(&mut self, backends: &[S]) -> Result<(), Error> {
        self.claim.check()?;
        self.list()?;
        let names = backends.iter().map(|name| name.as_ref().to_owned()).collect();
        let store = self.claim.store();
        let changed = self.cursors.retain_backends(&names, store.fs.now_ms(), store.limits.max_age_ms());
        for name in &changed.gone {
            tracing::warn!("backend {name} is not configured any more: events do not wait for it");
        }
        for name in &changed.back {
            tracing::warn!("backend {name} is configured again: it continues where it was");
        }
        self.unsaved |= changed.any;
        if let Err(error) = self.save_and_collect() {
            // Delivery goes on, because only it makes room on a full disk.
            tracing::debug!("the list of backends is not written: {error}");
        }
        Ok(())
    }

    /// The next events for a backend, at least one and otherwise at most `max_events` of `max_bytes`; `None` when none
    /// waits. Events that are kept come again first.
    ///
    /// A line that is not UTF-8 or not `{...}` is skipped and counted as damaged. The caller decides whether another line is
    /// an event.
    pub fn next(
        &mut self,
        backend: &str,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Option<Chunk>, Error> {
        self.claim.check()?;
        let mut chunk = self.fill(Chunk::new(backend, max_events, max_bytes));
        if !chunk.is_full(0) {
            // There may be new events.
            self.list()?;
            chunk = self.fill(Chunk::new(backend, max_events, max_bytes));
        }
        if !chunk.lines.is_empty() {
            return Ok(Some(chunk));
        }
        if chunk.parts.iter().any(|part| !part.junk.is_empty()) {
            match self.commit(&chunk, &[]) {
                Err(lost @ Error::ClaimLost { .. }) => return Err(lost),
                Err(error) => tracing::debug!("damaged lines may be counted again: {error}"),
                Ok(()) => {}
            }
        }
        Ok(None)
    }

    /// The bytes in the known segments that a backend has not settled.
    pub(crate) fn waiting_bytes(&self, backend: &str) -> u64 {
        let settled = |listed: &Listed| {
            self.cursors.place(backend, &listed.name.to_string()).map_or(0, Place::settled_bytes)
        };
        self.segments.iter().map(|listed| listed.len.saturating_sub(settled(listed))).sum()
    }

    /// Fills the chunk with the next lines of the known segments.
    fn fill(&mut self, mut chunk: Chunk) -> Chunk {
        let mut buffer = mem::take(&mut self.buffer);
        for listed in self.segments.clone() {
            if chunk.is_full(0) {
                chunk.cut = true;
                break;
            }
            if let Err(error) = self.scan(listed, &mut chunk, &mut buffer) {
                // An unreadable segment does not block the others.
                tracing::warn!(segment = %listed.name, %error, "telemetry spool: can't read a segment");
            }
        }
        self.buffer = buffer;
        chunk
    }

    /// Adds the lines of a segment that the backend has not settled.
    fn scan(&mut self, listed: Listed, chunk: &mut Chunk, buffer: &mut Vec<u8>) -> io::Result<()> {
        let name = listed.name.to_string();
        let mut place = self.cursors.place(&chunk.backend, &name).cloned().unwrap_or_default();
        if place.at == listed.len && place.ahead.is_empty() {
            return Ok(());
        }
        let file = match self.claim.folder().open(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        if !is_line_start(&*file, place.at)? {
            // The cursor belongs to another file.
            place = Place::default();
            *self.cursors.place_mut(&chunk.backend, &name) = Place::default();
        }
        chunk.reserve(usize::try_from(listed.len.saturating_sub(place.at)).unwrap_or(usize::MAX));
        let mut part = Part { name: listed.name, lines_end: 0, junk: Vec::new(), scanned: 0 };
        let lines = Lines::new(&*file, place.at, buffer);
        let read = chunk.take(&mut part, lines, &place, &*file);
        // Includes the lines before an error.
        part.lines_end = chunk.lines.len();
        chunk.parts.push(part);
        read
    }

    /// Records the results for the events of a chunk, in their order. A missing result is [`Settle::Keep`].
    ///
    /// # Errors
    /// [`Error::Spool`] when the results can't be written. They still hold in this process, also for its next claim, and are
    /// written later; until then another process may deliver the events again. [`Error::ClaimLost`]: nothing is recorded.
    pub fn commit(&mut self, chunk: &Chunk, settled: &[Settle]) -> Result<(), Error> {
        self.claim.check()?;
        self.settle(chunk, settled);
        self.save_and_collect()
    }

    /// Records before the call that the backend has settled all of a chunk. The caller then sends the chunk, and calls
    /// [`sent`](Self::sent).
    ///
    /// # Errors
    /// Nothing is recorded, and the chunk must not be sent.
    pub fn commit_before_send(&mut self, chunk: &Chunk) -> Result<Committed, Error> {
        self.claim.check()?;
        let before = self.cursors.clone();
        self.settle(chunk, &vec![Settle::Done; chunk.len()]);
        if let Err(error) = self.save() {
            self.cursors = before;
            return Err(error);
        }
        let names = chunk.parts.iter().map(|part| part.name);
        self.held.extend(names.clone());
        let place = |name: Name| before.place(&chunk.backend, &name.to_string()).cloned().unwrap_or_default();
        Ok(Committed { places: names.map(|name| (name, place(name))).collect() })
    }

    /// Gives back the events of a committed chunk that were not sent: those with [`Settle::Keep`].
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn sent(&mut self, chunk: &Chunk, committed: Committed, settled: &[Settle]) -> Result<(), Error> {
        for (name, place) in committed.places {
            if let Some(at) = self.held.iter().position(|held| *held == name) {
                self.held.swap_remove(at);
            }
            *self.cursors.place_mut(&chunk.backend, &name.to_string()) = place;
        }
        self.commit(chunk, settled)
    }

    fn settle(&mut self, chunk: &Chunk, settled: &[Settle]) {
        let damaged_before = self.cursors.damaged;
        let mut start = 0;
        for part in &chunk.parts {
            let name = part.name.to_string();
            let lines = || {
                let all = chunk.lines[start..part.lines_end].iter().zip(settled.iter().skip(start));
                all.filter(|(_, settle)| **settle != Settle::Keep)
            };
            let range = |line: &Line| (line.offset, line.offset + (line.end - line.start) as u64 + 1);
            let junk = part.junk.iter().map(|&(from, to, _)| (from, to));
            self.cursors
                .place_mut(&chunk.backend, &name)
                .settle(lines().map(|(line, _)| range(line)).chain(junk));
            let damaged = lines().filter(|(_, settle)| **settle == Settle::Damaged);
            let junk = part.junk.iter().filter(|(.., damaged)| *damaged);
            let offsets = damaged.map(|(line, _)| line.offset).chain(junk.map(|&(from, ..)| from));
            self.cursors.count_damage(&name, offsets, part.scanned);
            start = part.lines_end;
        }
        self.unsaved = true;
        let number = self.cursors.damaged - damaged_before;
        if number > 0 {
            self.claim.slot().drops.report(DropReason::Damaged, number);
            Notice { reason: DropReason::Damaged, number }.warn();
        }
    }

    fn save(&mut self) -> Result<(), Error> {
        if self.unsaved {
            // Without a list, the places in segments that are there would be forgotten.
            if self.is_listed {
                self.cursors.retain_segments(&self.segments);
            }
            let saved = self.cursors.save(self.claim.folder());
            saved.map_err(|source| self.claim.store().error("note the delivery in", source))?;
            self.unsaved = false;
        }
        Ok(())
    }

    /// Writes the cursors, and removes settled segments. When that makes room on a full disk, the cursors are written again.
    fn save_and_collect(&mut self) -> Result<(), Error> {
        let saved = self.save();
        let made_room = self.collect();
        if saved.is_err() && made_room { self.save() } else { saved }
    }

    fn list(&mut self) -> Result<(), Error> {
        let listing = segment::list(self.claim.folder());
        self.segments = listing.map_err(|source| self.claim.store().error("read", source))?.segments;
        self.is_listed = true;
        Ok(())
    }

    /// Removes the segments that every backend has settled and that have no writer. Returns whether any was removed.
    fn collect(&mut self) -> bool {
        let Self { claim, cursors, segments, held, .. } = self;
        if cursors.backends().next().is_none() {
            // Events without a backend stay.
            return false;
        }
        let before = segments.len();
        segments.retain(|listed| {
            let name = listed.name.to_string();
            let passed = cursors.passed_by_all(&name);
            let removed = || remove_passed(claim, listed.name, &name, passed).is_ok_and(|removed| removed);
            !(passed >= listed.len && !held.contains(&listed.name) && removed())
        });
        segments.len() < before
    }

    /// Stores events that a backend has rejected as dead letters, each with its reason. The caller commits them afterwards.
    ///
    /// # Errors
    /// [`Error::DeadLettersFull`]; none is stored.
    pub fn reject<'a>(
        &mut self,
        backend: &str,
        events: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), Error> {
        self.claim.check()?;
        let store = self.claim.store();
        let now = store.fs.now_ms();
        let line = |(event, reason)| Rejected::new(backend, event, reason, now)?.line();
        let lines: Vec<Option<String>> = events.into_iter().map(line).collect();
        let damaged = lines.iter().filter(|line| line.is_none()).count() as u64;
        let added = self.dead_letters.add(self.claim.folder(), &store.limits, lines.into_iter().flatten());
        added.map_err(|error| match error {
            AddError::Full(limit) => Error::DeadLettersFull { folder: store.path.clone(), limit },
            AddError::Io(source) => store.error("add dead letters to", source),
        })?;
        self.count_drops(DropReason::Damaged, damaged);
        Ok(())
    }

    /// Removes dead letters, which [`Spool::rejected`](super::Spool::rejected) lists.
    pub fn forget_rejected(&mut self, events: &[Rejected]) -> Result<(), Error> {
        self.settle_rejected(events, &[])
    }

    /// Stores dead letters again that were removed and not sent.
    pub(crate) fn put_back_rejected(&mut self, events: &[Rejected]) -> Result<(), Error> {
        self.claim.check()?;
        let put_back = self.dead_letters.put_back(self.claim.folder(), events);
        put_back.map_err(|source| self.claim.store().error("add dead letters to", source))
    }

    /// Drops the dead letters that are too old.
    fn expire_rejected(&mut self) {
        let store = self.claim.store();
        match self.dead_letters.expire(self.claim.folder(), &store.limits, store.fs.now_ms()) {
            Ok(expired) => self.count_drops(DropReason::DeadLetters, expired),
            Err(error) => tracing::warn!("dead letters that are too old stay: {error}"),
        }
    }

    fn count_drops(&self, reason: DropReason, number: u64) {
        if number > 0 {
            let slot = self.claim.slot();
            slot.drops.add(reason, number);
            self.claim.store().flush_drops(&slot.drops);
            Notice { reason, number }.warn();
        }
    }

    /// Removes the dead letters `gone`, and sets the new reasons of those that were rejected again, in one write.
    pub(crate) fn settle_rejected(&mut self, gone: &[Rejected], renewed: &[Rejected]) -> Result<(), Error> {
        self.claim.check()?;
        let settled = self.dead_letters.settle(self.claim.folder(), gone, renewed);
        settled.map_err(|source| self.claim.store().error("change the dead letters of", source))
    }
}

impl Drop for Deliverer {
    fn drop(&mut self) {
        if self.claim.check().is_ok() && self.save().is_err() {
            *self.claim.slot().unsaved() = Some(mem::take(&mut self.cursors));
        }
    }
}

/// Removes a segment, unless it has a writer or has grown.
fn remove_passed(claim: &Claim, segment: Name, name: &str, passed: u64) -> io::Result<bool> {
    // The lock of this process's own segment would look like that of another writer.
    claim.slot().writer().seal_at(segment, passed);
    let file = claim.folder().open(name)?;
    if !file.try_lock()? || file.facts()?.len > passed {
        return Ok(false);
    }
    claim.folder().remove(name)?;
    Ok(true)
}

/// Whether a line can start at `offset`.
fn is_line_start(file: &dyn File, offset: u64) -> io::Result<bool> {
    let Some(before) = offset.checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    let read = file.read_at(before, &mut byte)?;
    // A torn tail at the end of the file is settled without a line feed.
    Ok(read == 1 && (byte == *b"\n" || offset == file.facts()?.len))
}

impl Spool {
    /// Takes the claim: the right to deliver this spool. `None` when another process has it, or the folder is missing. The
    /// system releases the claim when the process dies.
    ///
    /// `backends` are all configured backends: a segment is removed when each of them has settled it. A new backend starts at
    /// the oldest event that is still there.
    pub fn try_claim<S: AsRef<str>>(&self, backends: &[S]) -> Result<Option<Deliverer>, Error> {
        Claim::take(self)?.map(|claim| self.deliver_by(claim, backends)).transpose()
    }

    /// What delivers to these backends by a claim.
    fn deliver_by<S: AsRef<str>>(&self, claim: Claim, backends: &[S]) -> Result<Deliverer, Error> {
        if let Err(error) = self.enforce_limits() {
            tracing::warn!(%error, "telemetry spool");
        }
        let mut cursors = match Cursors::load(claim.folder()) {
            Ok(Loaded::Whole(cursors)) => cursors,
            Ok(Loaded::Missing) => Cursors::default(),
            Ok(Loaded::Damaged) => {
                tracing::warn!("telemetry spool: the cursors are damaged, events may be delivered again");
                Cursors::default()
            }
            Err(source) => return Err(self.shared.store.error("read", source)),
        };
        let noted = claim.slot().unsaved().take();
        let unsaved = noted.is_some();
        if let Some(noted) = noted {
            cursors.merge(noted);
        }
        let (segments, dead_letters, held, buffer) = Default::default();
        let mut deliverer =
            Deliverer { claim, cursors, unsaved, segments, is_listed: false, dead_letters, held, buffer };
        deliverer.expire_rejected();
        deliverer.retain_backends(backends)?;
        Ok(deliverer)
    }

    /// [`try_claim`](Self::try_claim) that waits for another process. `None` when that process still has the claim at
    /// `deadline`, or the folder is missing.
    pub(crate) fn claim_until<S: AsRef<str>>(
        &self,
        backends: &[S],
        deadline: Instant,
    ) -> Result<Option<Deliverer>, Error> {
        self.hold_until(deadline)?.map(|claim| self.deliver_by(claim, backends)).transpose()
    }
}
