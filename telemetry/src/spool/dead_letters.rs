//! Dead letters: the events that a backend has rejected, with the reasons.

use std::{
    collections::{HashMap, HashSet},
    io,
};

use jackfield_loader::{ForeignText, files::write_counted};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::parse::MAX_LINE;
use crate::spool::fs::{Folder, read_file, read_whole, replace};
use crate::spool::segment::{Found, Lines};
use crate::spool::store::Limits;

pub(crate) const FILE: &str = "dead-letters.v1.jsonl";
const TEMPORARY: &str = "dead-letters.v1.tmp";

/// The greatest length of a stored reason, in bytes.
const MAX_REASON: usize = 1_000;
/// The greatest length of a record, in bytes: an event, and a reason in which each byte is escaped.
const MAX_RECORD: usize = MAX_LINE + 8 * MAX_REASON;

/// A dead letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rejected {
    /// The backend that rejected the event.
    pub backend: ForeignText,
    /// The reason.
    pub reason: ForeignText,
    /// The time of the rejection, in milliseconds since 1970 UTC.
    pub rejected_at: u64,
    /// The event.
    pub event: Box<RawValue>,
}

impl Rejected {
    /// `None` when `event` is not JSON, and so not an event.
    pub(crate) fn new(backend: &str, event: &str, reason: &str, now: u64) -> Option<Self> {
        Some(Self {
            backend: backend.into(),
            reason: shortened(reason).into(),
            rejected_at: now,
            event: RawValue::from_string(event.to_owned()).ok()?,
        })
    }

    /// Its line in the file.
    pub(crate) fn line(&self) -> Option<String> {
        Some(serde_json::to_string(self).ok()? + "\n")
    }

    /// The same event, rejected again.
    pub(crate) fn again(&self, reason: &str, now: u64) -> Self {
        Self { reason: shortened(reason).into(), rejected_at: now, ..self.clone() }
    }

    /// The key by which two records are the same. A process that dies after it has written the record, and before it has
    /// moved the cursor, writes the record again.
    fn key(&self) -> (&str, &str) {
        (self.backend.as_raw(), self.event.get())
    }
}

/// The time of a record's rejection.
fn rejected_at(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Time {
        rejected_at: u64,
    }
    serde_json::from_slice(line).ok().map(|Time { rejected_at }| rejected_at)
}

/// The stored part of a reason.
fn shortened(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

/// What the process that delivers knows of the file.
#[derive(Debug, Default)]
pub(crate) struct DeadLetters {
    known: Option<Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// The length of the file.
    len: u64,
    /// The time of the oldest rejection, which is the first in the file.
    oldest_ms: Option<u64>,
}

/// Why dead letters can't be added.
#[derive(Debug)]
pub(crate) enum AddError {
    /// The file has reached this limit, in bytes.
    Full(u64),
    Io(io::Error),
}

impl From<io::Error> for AddError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl DeadLetters {
    /// Appends the lines of records. A file below its limit takes all of them, so it may exceed the limit by one batch.
    pub(crate) fn add(
        &mut self,
        folder: &dyn Folder,
        limits: &Limits,
        lines: impl Iterator<Item = String>,
    ) -> Result<(), AddError> {
        let limit = limits.dead_letter_bytes();
        let known = self.known(folder)?;
        if known.len >= limit {
            return Err(AddError::Full(limit));
        }
        let text: String = lines.collect();
        let file = folder.open_or_create(FILE)?;
        self.known = None;
        let (_, written) = write_counted(text.as_bytes(), |rest| file.append(rest));
        written?;
        let oldest_ms = known.oldest_ms.or_else(|| rejected_at(text.split('\n').next()?.as_bytes()));
        self.known = Some(Known { len: known.len + text.len() as u64, oldest_ms });
        Ok(())
    }

    /// Drops the records that are too old. Returns their number.
    pub(crate) fn expire(&mut self, folder: &dyn Folder, limits: &Limits, now: u64) -> io::Result<u64> {
        let is_old = |at: u64| now.saturating_sub(at) >= limits.dead_letter_age_ms();
        if !self.known(folder)?.oldest_ms.is_some_and(is_old) {
            return Ok(0);
        }
        let bytes = read_whole(folder, FILE, usize::MAX)?.unwrap_or_default();
        let mut expired = 0;
        let kept: Vec<&[u8]> = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| {
                let is_old = rejected_at(line).is_some_and(is_old);
                expired += u64::from(is_old);
                !is_old
            })
            .collect();
        self.known = None;
        replace(folder, FILE, TEMPORARY, &kept.concat())?;
        Ok(expired)
    }

    /// The known facts of the file, after a torn line at its end is removed.
    fn known(&mut self, folder: &dyn Folder) -> io::Result<Known> {
        let nothing = Known { len: 0, oldest_ms: None };
        let file = match folder.open(FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(nothing),
            other => other?,
        };
        let mut len = file.facts()?.len;
        if let Some(known) = self.known.filter(|known| known.len == len) {
            return Ok(known);
        }
        let mut last = [0];
        if len > 0 && (file.read_at(len - 1, &mut last)? != 1 || last != *b"\n") {
            let bytes = read_file(&*file, usize::MAX)?;
            len = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at as u64 + 1);
            file.truncate(len)?;
        }
        let mut buffer = Vec::new();
        let mut lines = Lines::new(&*file, 0, &mut buffer).up_to(MAX_RECORD);
        let oldest_ms = loop {
            match lines.next()? {
                // A damaged line has no time.
                Found::Line { line, .. } => match rejected_at(line) {
                    None => {}
                    at => break at,
                },
                Found::TooLong { .. } => {}
                Found::End { .. } => break None,
            }
        };
        let known = Known { len, oldest_ms };
        self.known = Some(known);
        Ok(known)
    }

    /// Removes the events `gone`, and replaces records by those of `renewed` with the same key. A record that was removed
    /// meanwhile is not added again.
    pub(crate) fn settle(
        &mut self,
        folder: &dyn Folder,
        gone: &[Rejected],
        renewed: &[Rejected],
    ) -> io::Result<()> {
        let gone: HashSet<_> = gone.iter().map(Rejected::key).collect();
        let renewed: HashMap<_, _> = renewed.iter().map(|rejected| (rejected.key(), rejected)).collect();
        let all = load(folder)?;
        let kept = all.iter().filter(|rejected| !gone.contains(&rejected.key()));
        self.replace(
            folder,
            kept.map(|rejected| renewed.get(&rejected.key()).copied().unwrap_or(rejected)).collect(),
        )
    }

    /// Adds records that were removed before, whatever the limit.
    pub(crate) fn put_back(&mut self, folder: &dyn Folder, events: &[Rejected]) -> io::Result<()> {
        let all = load(folder)?;
        self.replace(folder, all.iter().chain(events).collect())
    }

    /// Replaces all records.
    fn replace(&mut self, folder: &dyn Folder, mut records: Vec<&Rejected>) -> io::Result<()> {
        // `expire` looks at the first record, which is the oldest.
        records.sort_by_key(|rejected| rejected.rejected_at);
        let lines: Option<String> = records.into_iter().map(Rejected::line).collect();
        let text = lines.ok_or(io::ErrorKind::InvalidData)?;
        self.known = None;
        replace(folder, FILE, TEMPORARY, text.as_bytes())
    }
}

/// All dead letters, the oldest first, without duplicates. Damaged lines are skipped.
pub(crate) fn load(folder: &dyn Folder) -> io::Result<Vec<Rejected>> {
    let bytes = read_whole(folder, FILE, usize::MAX)?.unwrap_or_default();
    let mut all: Vec<Rejected> =
        bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let mut seen = HashSet::new();
    let first: Vec<bool> = all.iter().map(|rejected| seen.insert(rejected.key())).collect();
    let mut first = first.into_iter();
    all.retain(|_| first.next().unwrap_or(true));
    Ok(all)
}
