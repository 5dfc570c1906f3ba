//! The positions of the backends, and the file that records them.
//!
//! A backend's position in a segment is a cursor and a list of ranges. Every line before the cursor is settled. The
//! ranges are the settled lines behind the cursor. Both are byte offsets of whole lines.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use serde::{Deserialize, Serialize};

use crate::spool::fs::{Folder, read_whole, replace, with_sum, without_sum};
use crate::spool::segment::{Listed, Name};

const FILE: &str = "cursors.v1.json";
const TEMPORARY: &str = "cursors.v1.tmp";
const MAX_FILE: usize = 16 << 20;

/// The file. Segments are keyed by their names.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Cursors {
    backends: BTreeMap<String, BTreeMap<String, Place>>,
    /// The positions of backends that are not configured any more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    former: BTreeMap<String, Former>,
    /// For each segment, the end of the part whose damaged lines are counted.
    #[serde(default)]
    scanned: BTreeMap<String, u64>,
    /// Damaged lines so far.
    #[serde(default)]
    pub(crate) damaged: u64,
}

/// A backend that is not configured any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Former {
    /// The time when that was noticed, in milliseconds since 1970.
    since_ms: u64,
    places: BTreeMap<String, Place>,
}

/// The changes by a new set of backends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangedBackends {
    pub(crate) any: bool,
    /// Backends that were configured before.
    pub(crate) gone: Vec<String>,
    /// Backends that are configured again.
    pub(crate) back: Vec<String>,
}

/// A backend's place in a segment.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The cursor.
    pub(crate) at: u64,
    /// The settled ranges behind the cursor: start and end, in order, without contact to each other or the cursor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ahead: Vec<(u64, u64)>,
}

impl Place {
    /// How many bytes are settled.
    pub(crate) fn settled_bytes(&self) -> u64 {
        self.at + self.ahead.iter().map(|(start, end)| end - start).sum::<u64>()
    }

    /// Settles ranges, in any order.
    pub(crate) fn settle(&mut self, ranges: impl IntoIterator<Item = (u64, u64)>) {
        self.ahead.extend(ranges);
        self.ahead.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(self.ahead.len());
        for &(start, end) in &self.ahead {
            if start <= self.at {
                self.at = self.at.max(end);
            } else if let Some(last) = merged.last_mut().filter(|last| start <= last.1) {
                last.1 = last.1.max(end);
            } else {
                merged.push((start, end));
            }
        }
        self.ahead = merged;
    }

    /// The end of the settled range that `offset` lies in.
    pub(crate) fn settled_until(&self, offset: u64) -> Option<u64> {
        if offset < self.at {
            return Some(self.at);
        }
        let next = self.ahead.partition_point(|&(_, end)| end <= offset);
        self.ahead.get(next).filter(|&&(start, _)| start <= offset).map(|&(_, end)| end)
    }
}

/// The state of the file.
pub(crate) enum Loaded {
    Whole(Cursors),
    Missing,
    Damaged,
}

impl Cursors {
    pub(crate) fn load(folder: &dyn Folder) -> io::Result<Loaded> {
        let Some(bytes) = read_whole(folder, FILE, MAX_FILE)? else { return Ok(Loaded::Missing) };
        let read = without_sum(&bytes).and_then(|text| serde_json::from_str(text).ok());
        Ok(read.map_or(Loaded::Damaged, Loaded::Whole))
    }

    /// The cursors of the file; empty ones when it is missing or damaged.
    pub(crate) fn load_or_default(folder: &dyn Folder) -> Self {
        match Self::load(folder) {
            Ok(Loaded::Whole(cursors)) => cursors,
            _ => Self::default(),
        }
    }

    pub(crate) fn save(&self, folder: &dyn Folder) -> io::Result<()> {
        replace(folder, FILE, TEMPORARY, &with_sum(&serde_json::to_string(self)?))
    }

    /// The names of the backends.
    pub(crate) fn backends(&self) -> impl Iterator<Item = &str> {
        self.backends.keys().map(String::as_str)
    }

    /// Sets the backends. Other backends are remembered for `max_age_ms`, and continue at their positions when they
    /// come back.
    pub(crate) fn retain_backends(
        &mut self,
        names: &BTreeSet<String>,
        now_ms: u64,
        max_age_ms: u64,
    ) -> ChangedBackends {
        let mut changed = ChangedBackends::default();
        let remembered = self.former.len();
        self.former.retain(|_, former| now_ms.saturating_sub(former.since_ms) < max_age_ms);
        changed.any = self.former.len() < remembered;
        let mut before = std::mem::take(&mut self.backends);
        for name in names {
            let places = before.remove(name).unwrap_or_else(|| {
                changed.any = true;
                let former = self.former.remove(name);
                changed.back.extend(former.is_some().then(|| name.clone()));
                former.map(|former| former.places).unwrap_or_default()
            });
            self.backends.insert(name.clone(), places);
        }
        changed.any |= !before.is_empty();
        for (name, places) in before {
            self.former.insert(name.clone(), Former { since_ms: now_ms, places });
            changed.gone.push(name);
        }
        changed
    }

    /// Adds the settled lines of `noted`. A settled line stays settled.
    pub(crate) fn merge(&mut self, noted: Self) {
        let former = noted.former.into_iter().map(|(backend, former)| (backend, former.places));
        for (backend, places) in noted.backends.into_iter().chain(former) {
            for (segment, place) in places {
                let settled = (place.at > 0).then_some((0, place.at));
                self.place_mut(&backend, &segment).settle(settled.into_iter().chain(place.ahead));
            }
        }
        for (segment, until) in noted.scanned {
            let known = self.scanned.entry(segment).or_default();
            *known = until.max(*known);
        }
        self.damaged = self.damaged.max(noted.damaged);
    }

    /// Forgets segments that do not exist.
    pub(crate) fn retain_segments(&mut self, segments: &[Listed]) {
        let there = |key: &str| {
            let name = Name::parse(key);
            name.is_some_and(|name| segments.binary_search_by_key(&name, |listed| listed.name).is_ok())
        };
        let former = self.former.values_mut().map(|former| &mut former.places);
        for places in self.backends.values_mut().chain(former) {
            places.retain(|segment, _| there(segment));
        }
        self.scanned.retain(|segment, _| there(segment));
    }

    /// A backend's place in a segment.
    pub(crate) fn place(&self, backend: &str, segment: &str) -> Option<&Place> {
        self.backends.get(backend)?.get(segment)
    }

    pub(crate) fn place_mut(&mut self, backend: &str, segment: &str) -> &mut Place {
        self.backends.entry(backend.to_owned()).or_default().entry(segment.to_owned()).or_default()
    }

    /// The least position of all backends; 0 when there is none.
    pub(crate) fn passed_by_all(&self, segment: &str) -> u64 {
        self.backends
            .values()
            .map(|places| places.get(segment).map_or(0, |place| place.at))
            .min()
            .unwrap_or(0)
    }

    /// Whether every backend has settled the line at `offset`.
    pub(crate) fn is_settled_by_all(&self, segment: &str, offset: u64) -> bool {
        let settled = |place: &Place| place.settled_until(offset).is_some();
        !self.backends.is_empty()
            && self.backends.values().all(|places| places.get(segment).is_some_and(settled))
    }

    /// Whether a damaged line at `offset` is counted.
    pub(crate) fn is_damage_counted(&self, segment: &str, offset: u64) -> bool {
        self.scanned.get(segment).is_some_and(|&until| offset < until)
    }

    /// Counts the damaged lines among `offsets`, except for those that were counted before. All lines up to `scanned`
    /// are known now.
    pub(crate) fn count_damage(&mut self, segment: &str, offsets: impl Iterator<Item = u64>, scanned: u64) {
        let new = offsets.filter(|&offset| !self.is_damage_counted(segment, offset)).count() as u64;
        self.damaged += new;
        // Without damage there is nothing to be counted twice.
        if new > 0 {
            self.scanned.insert(segment.to_owned(), scanned);
        }
    }
}
