//! The records of plugin files that crashed.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::boundary::text::ForeignText;
use crate::files;
use crate::files::open::Access;

/// The limit of crashes in a row of a plugin in a child process. Then its file must change to be started.
pub const MOST_CRASHES: u32 = 5;

/// Largest record that is read, in bytes.
const LIMIT: u64 = 4096;

/// The limit of records in a folder. A further crash is not remembered.
pub(super) const MOST_FILES: usize = 1000;

/// The record of a plugin file that crashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Crash {
    /// Number of crashes in a row.
    pub count: u32,
    /// The last end of its process, such as `ended by SIGSEGV`.
    pub how: ForeignText,
    /// The time of the last crash, in seconds since 1970 in UTC.
    pub time: u64,
    /// The path of the plugin's file at that time.
    pub plugin: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal digits.
    #[serde(skip)]
    pub digest: String,
}

/// Reads the records in `folder`, in the order of their digests. A folder that does not exist has none.
#[must_use]
pub fn crashes(folder: &Path) -> Vec<Crash> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut all: Vec<_> = entries
        .take(MOST_FILES)
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let digest = path.file_stem()?.to_str()?.to_owned();
            (path.extension()? == "json" && digest.len() == 64).then(|| read(&path, digest)).flatten()
        })
        .collect();
    all.sort_by(|one, other| one.digest.cmp(&other.digest));
    all
}

pub(super) fn read(path: &Path, digest: String) -> Option<Crash> {
    let crash: Crash = serde_json::from_str(&files::open::read(path, Access::Read, LIMIT).ok()?).ok()?;
    let how = ForeignText::cut(crash.how.as_raw(), 200);
    Some(Crash { digest, how, ..crash })
}
