//! The state of a run at one moment.

use std::collections::BTreeMap;

use jackfield_loader::ForeignText;
use serde::{Deserialize, Serialize};

/// A run at one moment. Its members are those that `status --json` prints.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// `running`, `stopping` or `ended`.
    pub(crate) state: String,
    pub(crate) version: String,
    pub(crate) pid: u32,
    /// Milliseconds since 1970.
    pub(crate) started_ms: i64,
    pub(crate) at_ms: i64,
    pub(crate) config: ForeignText,
    pub(crate) input: ForeignText,
    pub(crate) lines: u64,
    pub(crate) events: u64,
    pub(crate) bad_lines: u64,
    pub(crate) not_stored: u64,
    /// Set while the input is held back because the spool has no room.
    #[serde(default)]
    pub(crate) holding: Option<Holding>,
    pub(crate) mapped_images: usize,
    pub(crate) image_limit: usize,
    pub(crate) last_reload: Option<ForeignText>,
    pub(crate) spools: Vec<SpoolNow>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Holding {
    pub(crate) reason: ForeignText,
    /// Milliseconds since 1970.
    pub(crate) since_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SpoolNow {
    pub(crate) tool: ForeignText,
    pub(crate) folder: Option<ForeignText>,
    /// Events that at least one backend still has to deliver.
    pub(crate) waiting: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest_s: Option<u64>,
    pub(crate) dropped: BTreeMap<String, u64>,
    pub(crate) dead_letters: u64,
    pub(crate) problems: Vec<ForeignText>,
    pub(crate) backends: Vec<BackendNow>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BackendNow {
    pub(crate) name: String,
    pub(crate) plugin: Option<PluginNow>,
    pub(crate) isolation: String,
    pub(crate) open: bool,
    pub(crate) events_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) calls: u64,
    pub(crate) waiting: u64,
    pub(crate) delivered: u64,
    pub(crate) rejected: u64,
    /// `open` while the backend gets no calls after a failure, else `closed`.
    pub(crate) circuit: String,
    pub(crate) paused_s: Option<u64>,
    pub(crate) last_error: Option<ForeignText>,
    pub(crate) last_error_s: Option<u64>,
    pub(crate) last_delivery_s: Option<u64>,
    pub(crate) swaps: u64,
    pub(crate) not_swapped: Option<ForeignText>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PluginNow {
    pub(crate) name: ForeignText,
    pub(crate) version: ForeignText,
    pub(crate) file: ForeignText,
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
