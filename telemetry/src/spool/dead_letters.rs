//! Dead letters: the events that a backend has rejected, with its reasons.

use std::{
    collections::{HashMap, HashSet},
    io,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::spool::fs::{Folder, read_whole, replace};
use crate::spool::store::Limits;

pub(crate) const FILE: &str = "quarantine.v1.jsonl";
const TEMPORARY: &str = "quarantine.v1.tmp";

/// The most bytes of a reason that are kept.
const MAX_REASON: usize = 1_000;

/// A dead letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rejected {
    /// The backend that rejected the event.
    pub backend: String,
    /// The reason.
    pub reason: String,
    /// The time of the rejection, in milliseconds since 1970 UTC.
    pub rejected_at: u64,
    /// The event.
    pub event: Box<RawValue>,
}

impl Rejected {
    /// `None` when `event` is not JSON, and so not an event.
    pub(crate) fn new(backend: &str, event: &str, reason: &str, now: u64) -> Option<Self> {
        Some(Self {
            backend: backend.to_owned(),
            reason: shortened(reason).to_owned(),
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
        Self { reason: shortened(reason).to_owned(), rejected_at: now, ..self.clone() }
    }

    /// The key by which two records are the same. A process that dies after it has written the record, and before it has
    /// moved the cursor, writes the record again.
    fn key(&self) -> (&str, &str) {
        (&self.backend, self.event.get())
    }
}

/// As much of a reason as is kept.
fn shortened(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

/// The file as the process that delivers knows it.
#[derive(Debug, Default)]
pub(crate) struct DeadLetters {
    /// Its length and the number of its lines, once known.
    known: Option<(u64, u64)>,
}

impl DeadLetters {
    /// Appends records, then drops the oldest while the limits are exceeded. Returns the number of dropped records.
    pub(crate) fn add(
        &mut self,
        folder: &dyn Folder,
        limits: &Limits,
        records: impl Iterator<Item = Option<String>>,
    ) -> io::Result<u64> {
        let file = folder.open_or_create(FILE)?;
        let len = file.facts()?.len;
        if self.known.is_none_or(|(known, _)| known != len) {
            let bytes = read_whole(folder, FILE, usize::MAX)?.unwrap_or_default();
            let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
            if whole < bytes.len() {
                file.truncate(whole as u64)?;
            }
            self.known = Some((whole as u64, memchr::memchr_iter(b'\n', &bytes).count() as u64));
        }
        let (mut len, mut lines) = self.known.take().unwrap_or_default();
        let mut unreadable = 0;
        let mut text = String::new();
        for record in records {
            match record {
                Some(record) => {
                    text.push_str(&record);
                    lines += 1;
                }
                None => unreadable += 1,
            }
        }
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match file.append(rest)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => rest = &rest[n..],
            }
        }
        len += text.len() as u64;
        self.known = Some((len, lines));
        if len <= limits.dead_letter_bytes && lines <= limits.dead_letter_events {
            return Ok(unreadable);
        }
        Ok(unreadable + self.shrink(folder, limits)?)
    }

    /// Keeps three quarters of the limit, so that only some rejections copy the file.
    fn shrink(&mut self, folder: &dyn Folder, limits: &Limits) -> io::Result<u64> {
        let bytes = read_whole(folder, FILE, usize::MAX)?.unwrap_or_default();
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let three_quarters = |limit: u64| limit - limit / 4;
        let (max_bytes, max_lines) =
            (three_quarters(limits.dead_letter_bytes), three_quarters(limits.dead_letter_events));
        let (mut kept_bytes, mut kept_lines) = (0, 0);
        for line in lines.iter().rev() {
            if kept_bytes + line.len() as u64 > max_bytes || kept_lines + 1 > max_lines {
                break;
            }
            kept_bytes += line.len() as u64;
            kept_lines += 1;
        }
        let kept = &bytes[bytes.len() - usize::try_from(kept_bytes).unwrap_or(0)..];
        self.known = None;
        replace(folder, FILE, TEMPORARY, kept)?;
        self.known = Some((kept_bytes, kept_lines));
        Ok(lines.len() as u64 - kept_lines)
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
        let mut text = String::new();
        for rejected in load(folder)?.iter().filter(|rejected| !gone.contains(&rejected.key())) {
            let rejected = renewed.get(&rejected.key()).copied().unwrap_or(rejected);
            text += &rejected.line().ok_or(io::ErrorKind::InvalidData)?;
        }
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
