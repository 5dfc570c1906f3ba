//! How many events were lost, by reason: in the spool's file of counters, and in this process until it can write the
//! file.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};

use crate::error::DropReason;
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
    /// Segments whose events are counted and that may still exist, because a process died before it removed them.
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
}

/// Adds to the file. With `segment`, whose events these are and that is to be removed next, nothing is added when they
/// were added before.
pub(crate) fn add(
    fs: &dyn Fs,
    folder: &dyn Folder,
    more: &[(DropReason, u64)],
    segment: Option<&str>,
) -> io::Result<bool> {
    let lock = folder.open_or_create(LOCK)?;
    let mut tries = 0;
    while !lock.try_lock()? {
        tries += 1;
        if tries == TRIES {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the counters of the spool are locked"));
        }
        fs.pause();
    }
    let added = add_locked(folder, more, segment);
    _ = lock.unlock();
    added
}

fn add_locked(folder: &dyn Folder, more: &[(DropReason, u64)], segment: Option<&str>) -> io::Result<bool> {
    let mut counters = Counters::load(folder)?;
    if segment.is_some_and(|segment| counters.removed.contains(segment)) {
        return Ok(false);
    }
    for (reason, number) in more {
        let sum = counters.drops.entry(*reason).or_default();
        *sum = sum.saturating_add(*number);
    }
    if let Some(segment) = segment {
        let there: BTreeSet<_> = folder.list()?.into_iter().map(|entry| entry.name).collect();
        counters.removed.retain(|removed| there.contains(removed));
        counters.removed.insert(segment.to_owned());
    }
    let text = serde_json::to_string(&counters)?;
    replace(folder, FILE, TEMPORARY, &with_sum(&text))?;
    Ok(true)
}

/// What this process has counted and not written yet.
#[derive(Debug, Default)]
pub(crate) struct Pending([AtomicU64; DropReason::ALL.len()]);

impl Pending {
    pub(crate) fn add(&self, reason: DropReason, number: u64) {
        self.0[reason as usize].fetch_add(number, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        DropReason::ALL.into_iter().all(|reason| self.get(reason) == 0)
    }

    /// Writes the numbers to the file. They stay here when the file can't be written.
    pub(crate) fn flush(&self, fs: &dyn Fs, folder: &dyn Folder) {
        let more: Vec<_> = DropReason::ALL
            .into_iter()
            .map(|reason| (reason, self.0[reason as usize].swap(0, Ordering::Relaxed)))
            .filter(|(_, number)| *number > 0)
            .collect();
        if !more.is_empty() && add(fs, folder, &more, None).is_err() {
            for (reason, number) in more {
                self.add(reason, number);
            }
        }
    }
}

/// A warning for the time when no lock is held: a subscriber may record it as an event of this telemetry.
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
