//! What a run is doing at one moment.

use std::{collections::BTreeMap, path::PathBuf};

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
    pub(crate) config: PathBuf,
    pub(crate) input: String,
    pub(crate) lines: u64,
    pub(crate) events: u64,
    pub(crate) bad_lines: u64,
    pub(crate) not_stored: u64,
    /// While the input is held back because there is no room for what it holds.
    #[serde(default)]
    pub(crate) holding: Option<Holding>,
    pub(crate) mapped_images: usize,
    pub(crate) image_limit: usize,
    pub(crate) last_reload: Option<String>,
    pub(crate) spools: Vec<SpoolNow>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Holding {
    pub(crate) reason: String,
    /// Milliseconds since 1970.
    pub(crate) since_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SpoolNow {
    pub(crate) tool: String,
    pub(crate) folder: Option<PathBuf>,
    /// Events that some backend is not done with.
    pub(crate) waiting: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest_s: Option<u64>,
    pub(crate) dropped: BTreeMap<String, u64>,
    pub(crate) quarantined: u64,
    pub(crate) problems: Vec<String>,
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
    /// `open` while it is left alone after a failure, else `closed`.
    pub(crate) circuit: String,
    pub(crate) paused_s: Option<u64>,
    pub(crate) last_error: Option<String>,
    pub(crate) last_error_s: Option<u64>,
    pub(crate) last_delivery_s: Option<u64>,
    pub(crate) swaps: u64,
    pub(crate) not_swapped: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PluginNow {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) file: PathBuf,
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
