//! Room for a new segment: which segments leave, and which segment the writer takes.

use std::{collections::HashMap, io};

use crate::error::DropReason;
use crate::spool::counters::{Counters, Notice};
use crate::spool::cursor::Cursors;
use crate::spool::fs::{File, Folder, read_file};
use crate::spool::open_segment::Live;
use crate::spool::segment::{Found, Lines, Listed, Name};
use crate::spool::store::Store;
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
    /// Makes room, then takes a segment that a dead process has left, or makes a new one.
    pub(crate) fn begin(
        &mut self,
        store: &Store,
        folder: &dyn Folder,
        need: u64,
        now: u64,
        notices: &mut Vec<Notice>,
    ) -> Result<Live, Unbegun> {
        let mut segments = segment::list(folder)?.segments;
        if let Some(reason) = self.make_room(store, folder, &mut segments, Some(need), now, notices)? {
            return Err(Unbegun::Full(reason));
        }
        if let Some(live) = self.adopt(store, folder, &segments, need, now)? {
            return Ok(live);
        }
        for _ in 0..3 {
            let created = self.newest.map_or(now, |newest| now.max(newest.created_ms + 1));
            let name = Name::new(created, store.fs.process(), store.fs.random());
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

    /// Drops segments that are too old, and the oldest segments while a limit is exceeded. `need` is the size in bytes of the
    /// first line of a new segment; `None` when no segment is begun. Returns the exceeded limit when the spool refuses new
    /// events instead of dropping the oldest.
    pub(crate) fn make_room(
        &mut self,
        store: &Store,
        folder: &dyn Folder,
        segments: &mut Vec<Listed>,
        need: Option<u64>,
        now: u64,
        notices: &mut Vec<Notice>,
    ) -> io::Result<Option<DropReason>> {
        let limits = &store.limits;
        let removed = Counters::load(folder)?.removed;
        let cursors = std::cell::OnceCell::new();
        let mut leave = |listed: &Listed, reason| -> io::Result<bool> {
            let cursors = cursors.get_or_init(|| Cursors::load_or_default(folder));
            Ok(match drop_segment(store, folder, cursors, listed.name, reason)? {
                Dropped::InUse => false,
                Dropped::Gone => true,
                Dropped::Events(number) => {
                    if number > 0 {
                        notices.push(Notice { reason, number });
                    }
                    true
                }
            })
        };
        self.counts.retain(|name, _| segments.binary_search_by_key(name, |listed| listed.name).is_ok());

        let mut kept = Vec::with_capacity(segments.len());
        for listed in segments.drain(..) {
            let counted = removed.contains(&listed.name.to_string());
            let old = listed.name.age_ms(now) >= limits.max_age_ms();
            let left = (counted || old) && leave(&listed, DropReason::Age)?;
            // A counted segment takes no more events, although it can't be removed now.
            if !left && !counted {
                kept.push(listed);
            }
        }

        let bytes = need.map_or(0, |need| need.max(limits.segment_bytes()));
        let mut total = kept.iter().map(|listed| listed.len).sum::<u64>() + bytes;
        if limits.refuse_when_full && total > limits.max_bytes {
            *segments = kept;
            return Ok(Some(DropReason::Size));
        }
        let mut failed = None;
        kept.retain(|listed| {
            let keep = total <= limits.max_bytes
                || failed.is_some()
                || !leave(listed, DropReason::Size).unwrap_or_else(|error| {
                    failed = Some(error);
                    false
                });
            total -= if keep { 0 } else { listed.len };
            keep
        });

        let events = if need.is_some() { limits.segment_events() } else { 0 };
        let mut full = None;
        // No line is shorter than `{}` and its line feed.
        if failed.is_none() && total / 3 + events > limits.max_events {
            let mut total = events;
            let counts: Vec<u64> = kept.iter().map(|listed| self.count(folder, listed)).collect();
            total += counts.iter().sum::<u64>();
            full = (limits.refuse_when_full && total > limits.max_events).then_some(DropReason::Count);
            let mut counts = counts.into_iter();
            kept.retain(|listed| {
                let count = counts.next().unwrap_or(0);
                let keep = total <= limits.max_events
                    || full.is_some()
                    || failed.is_some()
                    || !leave(listed, DropReason::Count).unwrap_or_else(|error| {
                        failed = Some(error);
                        false
                    });
                total -= if keep { 0 } else { count };
                keep
            });
        }
        *segments = kept;
        failed.map_or(Ok(full), Err)
    }

    /// The number of lines in a segment. A segment without a writer is read once.
    fn count(&mut self, folder: &dyn Folder, listed: &Listed) -> u64 {
        if let Some(count) = self.counts.get(&listed.name) {
            return *count;
        }
        let Ok(file) = folder.open(&listed.name.to_string()) else { return 0 };
        let count = read_file(&*file, usize::MAX)
            .map_or(0, |bytes| memchr::memchr_iter(b'\n', &bytes).count() as u64);
        if file.try_lock().is_ok_and(|locked| locked) {
            self.counts.insert(listed.name, count);
        }
        count
    }

    /// Takes the newest segment that has room, ends with a whole line and has no writer. Many runs of a short-lived tool so
    /// make one file.
    fn adopt(
        &mut self,
        store: &Store,
        folder: &dyn Folder,
        segments: &[Listed],
        need: u64,
        now: u64,
    ) -> io::Result<Option<Live>> {
        let limits = &store.limits;
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
            let lines = memchr::memchr_iter(b'\n', &bytes).count() as u64;
            if bytes.last().is_some_and(|last| *last != b'\n') || lines >= limits.segment_events() {
                continue;
            }
            self.counts.remove(&listed.name);
            return Ok(Some(Live::new(listed.name, file, facts.len, lines, now)));
        }
        Ok(None)
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
