//! Reading for delivery: chunks of events for each backend, and the record of what is settled.

use std::io;

use crate::error::{DropReason, Error};
use crate::spool::chunk::{Chunk, Line, Part};
use crate::spool::counters::Notice;
use crate::spool::cursor::{Cursors, Loaded, Place};
use crate::spool::dead_letters::{AddError, DeadLetters, Rejected};
use crate::spool::fs::File;
use crate::spool::handle::{Claim, Spool};
use crate::spool::segment;
use crate::spool::segment::{Lines, Listed, Name};

/// Reads for all backends of one process, which holds the claim: see [`Spool::try_claim`](super::Spool::try_claim).
///
/// [`next`](Self::next) gives a backend's next events; nothing is noted before a commit. To deliver *at least once*,
/// send, then [`commit`](Self::commit). To deliver *at most once*, [`commit_before_send`](Self::commit_before_send),
/// then send.
#[derive(Debug)]
pub struct Deliverer {
    claim: Claim,
    cursors: Cursors,
    /// Whether the file of cursors is out of date.
    unsaved: bool,
    segments: Vec<Listed>,
    dead_letters: DeadLetters,
    /// Segments with events that may be returned, and how often.
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
#[must_use = "what is not sent is to be given back"]
pub struct Committed {
    places: Vec<(Name, Place)>,
}

impl Deliverer {
    pub(crate) fn new(claim: Claim, mut cursors: Cursors) -> Self {
        let (segments, dead_letters, held, buffer) = Default::default();
        let noted = claim.spool().shared.slot().unsaved().take();
        let unsaved = noted.is_some();
        if let Some(noted) = noted {
            cursors.merge(noted);
        }
        Self { claim, cursors, unsaved, segments, dead_letters, held, buffer }
    }

    /// Sets the configured backends. No segment is kept for the others. What they have settled is remembered for
    /// [`Limits::max_age`](super::Limits::max_age), so that one that is configured again does not get it again.
    pub fn retain_backends<S: AsRef<str>>(&mut self, backends: &[S]) -> Result<(), Error> {
        self.claim.check()?;
        self.list()?;
        let store = &self.claim.spool().shared.store;
        let changed =
            self.cursors.retain_backends(&names(backends), store.fs.now_ms(), store.limits.max_age_ms());
        for name in &changed.gone {
            tracing::warn!("telemetry: backend {name} is not configured any more: events do not wait for it");
        }
        for name in &changed.back {
            tracing::warn!("telemetry: backend {name} is configured again: it continues where it was");
        }
        self.unsaved |= changed.any;
        if let Err(error) = self.save_and_collect() {
            // When the spool has filled the disk, only delivery makes room.
            tracing::debug!("it is not written down which backends there are: {error}");
        }
        Ok(())
    }

    /// The next events for a backend, of at most `max_bytes` unless the first one alone is longer, or `None` when there
    /// is nothing. Events that are kept come again, in front.
    ///
    /// A line that is not UTF-8 or not `{...}` is skipped and counted as damaged. The caller finds out whether a line is an
    /// event.
    pub fn next(
        &mut self,
        backend: &str,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Option<Chunk>, Error> {
        self.claim.check()?;
        let mut chunk = self.chunk(backend, max_events, max_bytes);
        if !chunk.is_full(max_events, max_bytes, 0) {
            // Perhaps there is more than was known.
            self.list()?;
            chunk = self.chunk(backend, max_events, max_bytes);
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

    /// The bytes that a backend has not settled, in the segments that are known.
    pub(crate) fn waiting_bytes(&self, backend: &str) -> u64 {
        let settled =
            |listed: &Listed| self.cursors.place(backend, &listed.name.to_string()).map_or(0, |it| it.at);
        self.segments.iter().map(|listed| listed.len.saturating_sub(settled(listed))).sum()
    }

    /// The next lines of the known segments.
    fn chunk(&mut self, backend: &str, max_events: usize, max_bytes: usize) -> Chunk {
        let mut chunk = Chunk::new(backend);
        let mut buffer = std::mem::take(&mut self.buffer);
        for listed in self.segments.clone() {
            if chunk.is_full(max_events, max_bytes, 0) {
                chunk.cut = true;
                break;
            }
            if let Err(error) = self.scan(listed, &mut chunk, max_events, max_bytes, &mut buffer) {
                // An unreadable segment does not block the others.
                tracing::warn!(segment = %listed.name, %error, "telemetry spool: can't read a segment");
            }
        }
        self.buffer = buffer;
        chunk
    }

    /// Adds the lines of a segment that the backend has not settled.
    fn scan(
        &mut self,
        listed: Listed,
        chunk: &mut Chunk,
        max_events: usize,
        max_bytes: usize,
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
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
            // The cursor is not this file's.
            place = Place::default();
            *self.cursors.place_mut(&chunk.backend, &name) = Place::default();
        }
        let unseen = usize::try_from(listed.len.saturating_sub(place.at)).unwrap_or(usize::MAX);
        chunk.reserve(unseen.min(max_bytes.saturating_sub(chunk.bytes())));
        let mut part = Part { name: listed.name, lines_end: 0, junk: Vec::new(), scanned: 0 };
        let lines = Lines::new(&*file, place.at, buffer);
        let read = chunk.take(&mut part, lines, &place, &*file, max_events, max_bytes);
        // Also what came before an error.
        part.lines_end = chunk.lines.len();
        chunk.parts.push(part);
        read
    }

    /// Records the results for the events of a chunk, in their order. A missing result is [`Settle::Keep`].
    ///
    /// # Errors
    /// [`Error::Spool`] when the note can't be written down. It holds in this process all the same, also for its next
    /// claim, and is written with a later one; another process may deliver these events again meanwhile.
    /// [`Error::ClaimLost`], and nothing is noted.
    pub fn commit(&mut self, chunk: &Chunk, settled: &[Settle]) -> Result<(), Error> {
        self.claim.check()?;
        self.settle(chunk, settled);
        self.save_and_collect()
    }

    /// Notes that the backend is done with all of a chunk that is yet to be sent. After an error nothing is noted, and
    /// the chunk must not be sent. What was sent is then to be told by [`sent`](Self::sent).
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

    /// Gives back what was not sent of a chunk that was committed before: its events that are [`Settle::Keep`].
    ///
    /// # Errors
    /// [`Error::Spool`] when that can't be written down; it holds in this process all the same.
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
            Notice { reason: DropReason::Damaged, number }.warn();
        }
    }

    fn save(&mut self) -> Result<(), Error> {
        if self.unsaved {
            self.cursors.retain_segments(&self.segments);
            let failed = |source| self.claim.spool().shared.store.error("note the delivery in", source);
            self.cursors.save(self.claim.folder()).map_err(failed)?;
            self.unsaved = false;
        }
        Ok(())
    }

    /// Writes the cursors down and removes what is done with, the latter in any case: on a full disk that is what makes
    /// room for the cursors.
    fn save_and_collect(&mut self) -> Result<(), Error> {
        let saved = self.save();
        let made_room = self.collect();
        if saved.is_err() && made_room { self.save() } else { saved }
    }

    fn list(&mut self) -> Result<(), Error> {
        let listing = segment::list(self.claim.folder());
        self.segments =
            listing.map_err(|source| self.claim.spool().shared.store.error("read", source))?.segments;
        Ok(())
    }

    /// Removes the segments that every backend is done with and nobody writes to. What can't be removed stays for the
    /// next time. Gives whether any was removed.
    fn collect(&mut self) -> bool {
        let Self { claim, cursors, segments, held, .. } = self;
        if cursors.backends().next().is_none() {
            // Without a backend the events wait for one.
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

    /// Adds events that a backend has rejected to the dead letters, each with its reason. Commit them after.
    ///
    /// # Errors
    /// [`Error::DeadLettersFull`], and none is added.
    pub fn reject<'a>(
        &mut self,
        backend: &str,
        events: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), Error> {
        self.claim.check()?;
        let store = &self.claim.spool().shared.store;
        let now = store.fs.now_ms();
        let line = |(event, reason)| Rejected::new(backend, event, reason, now)?.line();
        let lines: Vec<Option<String>> = events.into_iter().map(line).collect();
        let damaged = lines.iter().filter(|line| line.is_none()).count() as u64;
        self.dead_letters.add(self.claim.folder(), &store.limits, lines.into_iter().flatten()).map_err(
            |error| match error {
                AddError::Full(limit) => Error::DeadLettersFull { folder: store.path.clone(), limit },
                AddError::Io(source) => store.error("add dead letters to", source),
            },
        )?;
        self.count_drops(DropReason::Damaged, damaged);
        Ok(())
    }

    /// Removes dead letters, after they were sent again. The list itself comes from [`Spool::rejected`].
    pub fn forget_rejected(&mut self, events: &[Rejected]) -> Result<(), Error> {
        self.settle_rejected(events, &[])
    }

    /// Adds dead letters again that were removed and not handed to their backend.
    pub(crate) fn put_back_rejected(&mut self, events: &[Rejected]) -> Result<(), Error> {
        self.claim.check()?;
        let failed = |source| self.claim.spool().shared.store.error("add dead letters to", source);
        self.dead_letters
            .append(self.claim.folder(), events.iter().filter_map(Rejected::line))
            .map_err(failed)
    }

    /// Drops the dead letters that are too old.
    fn expire_rejected(&mut self) {
        let store = &self.claim.spool().shared.store;
        match self.dead_letters.expire(self.claim.folder(), &store.limits, store.fs.now_ms()) {
            Ok(expired) => self.count_drops(DropReason::DeadLetters, expired),
            Err(error) => tracing::warn!("dead letters that are too old stay: {error}"),
        }
    }

    fn count_drops(&self, reason: DropReason, number: u64) {
        if number > 0 {
            let slot = self.claim.spool().shared.slot();
            slot.drops.add(reason, number);
            self.claim.spool().shared.store.flush_drops(&slot.drops);
            Notice { reason, number }.warn();
        }
    }

    /// [`forget_rejected`](Self::forget_rejected), and notes the new reasons of those that were refused again, at once.
    pub(crate) fn settle_rejected(&mut self, gone: &[Rejected], renewed: &[Rejected]) -> Result<(), Error> {
        self.claim.check()?;
        let failed = |source| self.claim.spool().shared.store.error("change the dead letters of", source);
        self.dead_letters.settle(self.claim.folder(), gone, renewed).map_err(failed)
    }
}

impl Drop for Deliverer {
    fn drop(&mut self) {
        if self.claim.check().is_ok() && self.save().is_err() {
            *self.claim.spool().shared.slot().unsaved() = Some(std::mem::take(&mut self.cursors));
        }
    }
}

/// Removes a segment unless somebody writes to it or it has grown.
fn remove_passed(claim: &Claim, segment: Name, name: &str, passed: u64) -> io::Result<bool> {
    // This process's own needs no lock to be known as done.
    claim.spool().shared.slot().writer().seal_at(segment, passed);
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
    // A torn tail is passed without a line feed; nothing follows it.
    Ok(read == 1 && (byte == *b"\n" || offset == file.facts()?.len))
}

impl Spool {
    /// Takes the right to deliver to these backends, or `None` when another process has it or there is no folder yet.
    /// The system gives it back when the process dies.
    ///
    /// `backends` are all that are configured: a segment leaves when each of them is done with it. One that is new starts
    /// at the oldest event that is still there. What others had in the spool is forgotten.
    pub fn try_claim<S: AsRef<str>>(&self, backends: &[S]) -> Result<Option<Deliverer>, Error> {
        let Some(claim) = Claim::take(self)? else { return Ok(None) };
        if let Err(error) = self.enforce_limits() {
            tracing::warn!(%error, "telemetry spool");
        }
        let cursors = match Cursors::load(claim.folder()) {
            Ok(Loaded::Whole(cursors)) => cursors,
            Ok(Loaded::Missing) => Cursors::default(),
            Ok(Loaded::Damaged) => {
                tracing::warn!("telemetry spool: the cursors are damaged, events may be delivered again");
                Cursors::default()
            }
            Err(source) => return Err(self.shared.store.error("read", source)),
        };
        let mut deliverer = Deliverer::new(claim, cursors);
        deliverer.expire_rejected();
        deliverer.retain_backends(backends)?;
        Ok(Some(deliverer))
    }
}

/// The set of names.
fn names<S: AsRef<str>>(backends: &[S]) -> std::collections::BTreeSet<String> {
    backends.iter().map(|name| name.as_ref().to_owned()).collect()
}
