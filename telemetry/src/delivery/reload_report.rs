//! What a reload tells.

use std::path::PathBuf;

use jackfield_loader::{ForeignText, Stats};

/// What a reload has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadReport {
    /// Backends that were open or waited to be, and are others now.
    pub swapped: Vec<String>,
    /// Backends that are new.
    pub added: Vec<String>,
    /// Backends that get nothing more.
    pub removed: Vec<String>,
    /// Backends that are what they were.
    pub unchanged: Vec<String>,
    /// Backends that are closed because the trust policy refuses them by now. Events wait for them, and they are tried
    /// again; `refused` has the reason.
    pub closed: Vec<String>,
    /// Backends that are not what the configuration says: name and reason. One that was there before stays as it was,
    /// unless it is `closed`; for one that is new events wait, and it is tried again.
    pub refused: Vec<(String, String)>,
}

impl ReloadReport {
    /// Whether any backend is another than before.
    #[must_use]
    pub fn is_change(&self) -> bool {
        let Self { swapped, added, removed, closed, .. } = self;
        [swapped, added, removed, closed].into_iter().any(|names| !names.is_empty())
    }
}

/// How the last reload of this process has ended, whether code asked for it or a file that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastReload {
    /// How many there were, this one included.
    pub number: u64,
    /// What it has come to, or why nothing was changed.
    pub outcome: Result<ReloadReport, String>,
}

/// One backend at this moment, as this process has it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LiveBackend {
    /// What it is called.
    pub name: String,
    /// Name, version and file of the plugin; `None` before it is opened, and for a backend that is compiled in.
    pub plugin: Option<LivePlugin>,
    /// Whether it is open.
    pub open: bool,
    /// Where its calls run: `thread`, this process, or `process`, one of its own.
    pub isolation: &'static str,
    /// What it has done since it was opened.
    pub stats: Stats,
    /// How often it was swapped.
    pub swaps: u64,
    /// Why it is not what the configuration says, since the last reload.
    pub not_swapped: Option<String>,
}

/// The plugin of an open backend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LivePlugin {
    /// Its name, as it says.
    pub name: ForeignText,
    /// Its version, as it says.
    pub version: ForeignText,
    /// The file that it was loaded from.
    pub file: PathBuf,
}
