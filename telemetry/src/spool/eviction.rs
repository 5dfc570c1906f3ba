//! Room for a new segment: which segments are dropped, and which segment the writer takes.

use std::{cell::OnceCell, collections::HashMap, io};

use crate::error::DropReason;
use crate::spool::counters::Counters;
use crate::spool::cursor::Cursors;
use crate::spool::fs::{File, Folder, read_file};
use crate::spool::segment::{Found, Lines, Listed, Live, Name, count_lines};
use crate::spool::store::{Session, Store};
use crate::spool::{counters, segment};

/// The number of segments without a writer that are tried before a new segment is made.
const ADOPTIONS: usize = 4;

/// The result of an attempt to drop a segment.
enum Dropped {
    /// It is removed, with so many events that were not delivered.
    Events(u64),
    /// Another process has removed it.
    Gone,
    /// Another process writes to it, or removes it now.
    InUse,
}

/// Why there is no segment to write to.
#[derive(Debug)]
pub(crate) enum Unbegun {
    /// The spool is full, and refuses new events.
    Full(DropReason),
    Io(io::Error),
}

impl From<io::Error> for Unbegun {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a writer knows of the segments that it does not write to.
#[derive(Debug, Default)]
pub(crate) struct KnownSegments {
    /// Numbers of lines of segments without a writer.
    pub(crate) counts: HashMap<Name, u64>,
    /// The newest segment that the writer wrote to. Later events of the writer go to newer segments.
    pub(crate) newest: Option<Name>,
}

impl KnownSegments {
    /// Makes room, then takes a segment that a dead process has left, or makes a new one. `need` is the size of the first
    /// lines, in bytes.
    pub(crate) fn begin(
        &mut self,
        session: &mut Session<'_>,
        folder: &dyn Folder,
        need: u64,
    ) -> Result<Live, Unbegun> {
        let mut segments = segment::list(folder)?.segments;
        if let Some(reason) = self.make_room(session, folder, &mut segments, Some(need))? {
            return Err(Unbegun::Full(reason));
        }
        if let Some(live) = self.adopt(session, folder, &segments, need)? {
            return Ok(live);
        }
        let (now, fs) = (session.now, &session.store.fs);
        for _ in 0..3 {
            let created = self.newest.map_or(now, |newest| now.max(newest.created_ms + 1));
            let name = Name::new(created, fs.process(), fs.random());
            match folder.create(&name.to_string()) {
                Ok(file) => {
                    // Another process may remove an empty segment without a lock.
                    if file.try_lock()? && file.facts()?.linked {
                        return Ok(Live::new(name, file, 0, 0, now));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other("new segments vanish").into())
    }

    /// Drops segments that are too old, and the oldest segments while a limit is exceeded. `need` is as for
    /// [`begin`](Self::begin); `None` when no segment is begun. Returns the exceeded limit when the spool refuses new events
    /// instead of dropping the oldest.
    pub(crate) fn make_room(
        &mut self,
        session: &mut Session<'_>,
        folder: &dyn Folder,
        segments: &mut Vec<Listed>,
        need: Option<u64>,
    ) -> io::Result<Option<DropReason>> {
        let (limits, now) = (&session.store.limits, session.now);
        let removed = Counters::load(folder)?.removed;
        self.counts.retain(|name, _| segments.binary_search_by_key(name, |listed| listed.name).is_ok());
        let mut eviction = Eviction { session, folder, cursors: OnceCell::new(), failed: None };

        segments.retain(|listed| {
            let counted = removed.contains(&listed.name.to_string());
            let old = listed.name.age_ms(now) >= limits.max_age_ms();
            // A counted segment takes no more events, although it can't be removed now.
            let evicted = (counted || old) && eviction.evict(listed, DropReason::Age);
            !(evicted || counted)
        });

        let mut bytes = need.map_or(0, |need| need.max(limits.segment_bytes()));
        bytes += segments.iter().map(|listed| listed.len).sum::<u64>();
        if limits.refuse_when_full && bytes > limits.max_bytes {
            return eviction.result(Some(DropReason::Size));
        }
        segments.retain(|listed| {
            let evicted = bytes > limits.max_bytes && eviction.evict(listed, DropReason::Size);
            bytes -= if evicted { listed.len } else { 0 };
            !evicted
        });

        let mut events = if need.is_some() { limits.segment_events() } else { 0 };
        // No line is shorter than `{}` and its line feed.
        if bytes / 3 + events <= limits.max_events {
            return eviction.result(None);
        }
        let counts: Vec<u64> = segments.iter().map(|listed| self.count(folder, listed)).collect();
        events += counts.iter().sum::<u64>();
        if limits.refuse_when_full && events > limits.max_events {
            return eviction.result(Some(DropReason::Count));
        }
        let mut counts = counts.into_iter();
        segments.retain(|listed| {
            let count = counts.next().unwrap_or(0);
            let evicted = events > limits.max_events && eviction.evict(listed, DropReason::Count);
            events -= if evicted { count } else { 0 };
            !evicted
        });
        eviction.result(None)
    }

    /// The number of lines in a segment. A segment without a writer is read once.
    fn count(&mut self, folder: &dyn Folder, listed: &Listed) -> u64 {
        if let Some(count) = self.counts.get(&listed.name) {
            return *count;
        }
        let Ok(file) = folder.open(&listed.name.to_string()) else { return 0 };
        let count = read_file(&*file, usize::MAX).map_or(0, |bytes| count_lines(&bytes));
        if file.try_lock().is_ok_and(|locked| locked) {
            self.counts.insert(listed.name, count);
        }
        count
    }

    /// Takes the newest segment that has room, ends with a whole line and has no writer. So many runs of a short-lived tool
    /// make one file.
    fn adopt(
        &mut self,
        session: &Session<'_>,
        folder: &dyn Folder,
        segments: &[Listed],
        need: u64,
    ) -> io::Result<Option<Live>> {
        let (limits, now) = (&session.store.limits, session.now);
        let fits = |listed: &&Listed| {
            listed.len + need <= limits.segment_bytes()
                && listed.name.age_ms(now) < limits.span_ms()
                && self.newest.is_none_or(|newest| listed.name > newest)
        };
        for listed in segments.iter().rev().filter(fits).take(ADOPTIONS) {
            let Ok(file) = folder.open(&listed.name.to_string()) else { continue };
            if !file.try_lock()? {
                continue;
            }
            let facts = file.facts()?;
            if !facts.linked || facts.len + need > limits.segment_bytes() {
                continue;
            }
            let bytes = read_file(&*file, usize::MAX)?;
            let lines = count_lines(&bytes);
            if bytes.last().is_some_and(|last| *last != b'\n') || lines >= limits.segment_events() {
                continue;
            }
            self.counts.remove(&listed.name);
            return Ok(Some(Live::new(listed.name, file, facts.len, lines, now)));
        }
        Ok(None)
    }
}

/// The removal of segments, up to the first failure.
struct Eviction<'a, 's> {
    session: &'a mut Session<'s>,
    folder: &'a dyn Folder,
    cursors: OnceCell<Cursors>,
    failed: Option<io::Error>,
}

impl Eviction<'_, '_> {
    /// Drops a segment. Returns whether it is gone.
    fn evict(&mut self, listed: &Listed, reason: DropReason) -> bool {
        if self.failed.is_some() {
            return false;
        }
        let cursors = self.cursors.get_or_init(|| Cursors::load_or_default(self.folder));
        match drop_segment(self.session.store, self.folder, cursors, listed.name, reason) {
            Ok(Dropped::InUse) => false,
            Ok(Dropped::Gone | Dropped::Events(0)) => true,
            Ok(Dropped::Events(number)) => {
                self.session.drops.report(reason, number);
                self.session.notice(reason, number);
                true
            }
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }

    /// The exceeded limit, unless a removal has failed.
    fn result(self, full: Option<DropReason>) -> io::Result<Option<DropReason>> {
        self.failed.map_or(Ok(full), Err)
    }
}

/// Removes a segment without a writer. Its events are counted first, with its name: a process that dies before the removal
/// neither hides the loss nor has it counted twice.
fn drop_segment(
    store: &Store,
    folder: &dyn Folder,
    cursors: &Cursors,
    name: Name,
    reason: DropReason,
) -> io::Result<Dropped> {
    let name = name.to_string();
    let file = match folder.open(&name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Dropped::Gone),
        other => other?,
    };
    if !file.try_lock()? {
        return Ok(Dropped::InUse);
    }
    if !file.facts()?.linked {
        return Ok(Dropped::Gone);
    }
    let events = undelivered(&*file, &name, cursors)?;
    let counted = counters::add(&*store.fs, folder, &[(reason, events)], Some(&name))?;
    folder.remove(&name)?;
    Ok(Dropped::Events(if counted { events } else { 0 }))
}

/// The number of lines that at least one backend has not settled.
fn undelivered(file: &dyn File, name: &str, cursors: &Cursors) -> io::Result<u64> {
    let mut buffer = Vec::new();
    let mut lines = Lines::new(file, 0, &mut buffer);
    let mut events = 0;
    loop {
        match lines.next()? {
            Found::Line { offset, line } => {
                events += u64::from(!line.is_empty() && !cursors.is_settled_by_all(name, offset));
            }
            Found::TooLong { offset, .. } => events += u64::from(!cursors.is_settled_by_all(name, offset)),
            Found::End { .. } => return Ok(events),
        }
    }
}
