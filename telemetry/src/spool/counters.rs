//! The numbers of lost events by reason: in the file of counters, and in this process until it can write the file.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use crate::error::DropReason;
use crate::process::lock;
use crate::spool::fs::{Folder, Fs, read_whole, replace, with_sum, without_sum};

const FILE: &str = "counters.v1.json";
const TEMPORARY: &str = "counters.v1.tmp";
const LOCK: &str = "counters.v1.lock";
const MAX_FILE: usize = 1 << 20;

/// The number of attempts to take the lock, a millisecond apart. A process holds the lock during one small write.
const TRIES: usize = 50;

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counters {
    pub(crate) drops: BTreeMap<DropReason, u64>,
    /// Segments and marks whose events are counted and that may still exist, because a process died before it removed
    /// them.
    #[serde(default)]
    pub(crate) removed: BTreeSet<String>,
}

impl Counters {
    /// A damaged file counts as missing: the numbers begin again at 0.
    pub(crate) fn load(folder: &dyn Folder) -> io::Result<Self> {
        let bytes = read_whole(folder, FILE, MAX_FILE)?;
        let text = bytes.as_deref().and_then(without_sum);
        Ok(text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default())
    }

    /// The numbers of the file and of the marks.
    pub(crate) fn load_with_marks(folder: &dyn Folder) -> io::Result<Self> {
        let mut counters = Self::load(folder)?;
        let there: BTreeSet<_> = folder.list()?.into_iter().map(|entry| entry.name).collect();
        for (_, (reason, number)) in counters.marks(&there) {
            let sum = counters.drops.entry(reason).or_default();
            *sum = sum.saturating_add(number);
        }
        Ok(counters)
    }

    /// The marks that are not in the file, among the files of the folder.
    fn marks(&self, there: &BTreeSet<String>) -> Vec<(String, (DropReason, u64))> {
        let is_new = |name: &&String| !self.removed.contains(*name);
        let mark = |name: &String| Some((name.clone(), parse_mark(name)?));
        there.iter().filter(is_new).filter_map(mark).collect()
    }
}

/// Adds to the file. `segment` is the segment that loses the events and is removed next: its events are added only
/// once.
pub(crate) fn add(
    fs: &dyn Fs,
    folder: &dyn Folder,
    more: &[(DropReason, u64)],
    segment: Option<&str>,
) -> io::Result<bool> {
    locked(fs, folder, || add_locked(folder, more, segment))
}

/// Does something that one process does at a time.
fn locked<T>(fs: &dyn Fs, folder: &dyn Folder, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let lock = folder.open_or_create(LOCK)?;
    let mut tries = 0;
    while !lock.try_lock()? {
        tries += 1;
        if tries == TRIES {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the counters of the spool are locked"));
        }
        fs.pause();
    }
    let done = work();
    _ = lock.unlock();
    done
}

fn add_locked(folder: &dyn Folder, more: &[(DropReason, u64)], segment: Option<&str>) -> io::Result<bool> {
    let mut counters = Counters::load(folder)?;
    if segment.is_some_and(|segment| counters.removed.contains(segment)) {
        return Ok(false);
    }
    let there: BTreeSet<_> = folder.list()?.into_iter().map(|entry| entry.name).collect();
    counters.removed.retain(|removed| there.contains(removed));
    let marks = counters.marks(&there);
    for (reason, number) in more.iter().copied().chain(marks.iter().map(|(_, dropped)| *dropped)) {
        let sum = counters.drops.entry(reason).or_default();
        *sum = sum.saturating_add(number);
    }
    counters.removed.extend(segment.map(str::to_owned));
    counters.removed.extend(marks.iter().map(|(name, _)| name.clone()));
    let text = serde_json::to_string(&counters)?;
    replace(folder, FILE, TEMPORARY, &with_sum(&text))?;
    for (name, _) in &marks {
        // One that stays is known as counted.
        _ = folder.remove(name);
    }
    Ok(true)
}

/// The reason and the number in the name of a mark.
fn parse_mark(name: &str) -> Option<(DropReason, u64)> {
    let mut parts = name.strip_prefix("dropped-")?.strip_suffix(".v1.mark")?.split('-');
    let (reason, number) = (parts.next()?, parts.next()?.parse().ok()?);
    let reason = DropReason::ALL.into_iter().find(|known| mark_word(*known) == reason)?;
    Some((reason, number))
}

/// A reason as it is written in files, such as `disk_full`.
fn mark_word(reason: DropReason) -> String {
    serde_json::to_value(reason).ok().and_then(|word| Some(word.as_str()?.to_owned())).unwrap_or_default()
}

/// The numbers that this process has not written yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    numbers: [AtomicU64; DropReason::ALL.len()],
    /// The numbers since the last report, also those that another place writes.
    unreported: [AtomicU64; DropReason::ALL.len()],
    marks: Mutex<BTreeMap<DropReason, (String, u64)>>,
}

impl Pending {
    pub(crate) fn add(&self, reason: DropReason, number: u64) {
        self.numbers[reason as usize].fetch_add(number, Ordering::Relaxed);
        self.report(reason, number);
    }

    /// Notes a loss that is written elsewhere.
    pub(crate) fn report(&self, reason: DropReason, number: u64) {
        self.unreported[reason as usize].fetch_add(number, Ordering::Relaxed);
    }

    /// The losses of this process since the last call.
    pub(crate) fn take_unreported(&self) -> impl Iterator<Item = (DropReason, u64)> {
        let take = |reason| (reason, self.unreported[reason as usize].swap(0, Ordering::Relaxed));
        DropReason::ALL.into_iter().map(take).filter(|(_, number)| *number > 0)
    }

    pub(crate) fn get(&self, reason: DropReason) -> u64 {
        self.numbers[reason as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        DropReason::ALL.into_iter().all(|reason| self.get(reason) == 0)
    }

    /// Writes the numbers to the file, or to marks when the file can't be written. They stay here when neither can be made.
    pub(crate) fn flush(&self, fs: &dyn Fs, folder: &dyn Folder) {
        let more: Vec<_> = DropReason::ALL
            .into_iter()
            .map(|reason| (reason, self.numbers[reason as usize].swap(0, Ordering::Relaxed)))
            .filter(|(_, number)| *number > 0)
            .collect();
        if more.is_empty() {
            return;
        }
        let mut marks = lock(&self.marks);
        let unwritten = locked(fs, folder, || {
            if add_locked(folder, &more, None).is_ok() {
                marks.clear();
                return Ok(Vec::new());
            }
            let mut unwritten = Vec::new();
            for &(reason, number) in &more {
                match mark(fs, folder, reason, number, marks.get(&reason)) {
                    Ok(mark) => drop(marks.insert(reason, mark)),
                    Err(_) => unwritten.push((reason, number)),
                }
            }
            Ok(unwritten)
        });
        for (reason, number) in unwritten.unwrap_or(more) {
            self.numbers[reason as usize].fetch_add(number, Ordering::Relaxed);
        }
    }
}

/// Makes a mark that has the number of the process's earlier one as well. Returns its name and its number.
fn mark(
    fs: &dyn Fs,
    folder: &dyn Folder,
    reason: DropReason,
    number: u64,
    earlier: Option<&(String, u64)>,
) -> io::Result<(String, u64)> {
    let name = |number| {
        let (process, random) = (fs.process(), fs.random());
        format!("dropped-{}-{number}-{process:08x}-{random:08x}.v1.mark", mark_word(reason))
    };
    // A process may have died after it has counted the earlier mark and before it has removed that.
    let counted = Counters::load(folder)?.removed;
    if let Some((old, before)) = earlier.filter(|(old, _)| !counted.contains(old)) {
        let (new, sum) = (name(before + number), before + number);
        match folder.rename(old, &new) {
            // Its number is in the file by now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => return renamed.map(|()| (new, sum)),
        }
    }
    let new = name(number);
    folder.create(&new)?;
    Ok((new, number))
}

/// A warning that is logged when no lock is held, because a subscriber may record it as an event of this telemetry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notice {
    pub(crate) reason: DropReason,
    pub(crate) number: u64,
}

impl Notice {
    pub(crate) fn warn(self) {
        tracing::warn!(events = self.number, reason = %self.reason, "telemetry spool: events dropped");
    }
}
