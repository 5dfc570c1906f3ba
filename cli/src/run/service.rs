//! The telemetry that delivers the events of a run.

use std::{ffi::OsString, path::Path, time::Duration};

use jackfield::{Builder, Deliver, Telemetry, spool::Limits};

use crate::settings::VERSION;

/// How long an event waits for others at most, and how many events wait at most.
const DELIVER: Deliver = Deliver::InBackground {
    interval: Duration::from_millis(100),
    events: 500,
    within: Duration::from_millis(500),
};
/// The limits of a spool. The limit of bytes is for the spool of a tool.
const SPOOL_BYTES: u64 = 1 << 30;
const SPOOL_EVENTS: u64 = 10_000_000;

/// A telemetry whose events come from another program. The user who starts a forwarder has decided that they are sent.
pub(crate) fn service(tool: &str, config: &Path, folder: &Path, watch: bool) -> Builder {
    Telemetry::builder(tool, VERSION)
        .environment(|_: &str| None::<OsString>)
        .force_enabled(true)
        .ops_file(config)
        .ops_file_required(true)
        .data_folder(folder)
        .limits(limits(SPOOL_BYTES))
        .deliver(DELIVER)
        .watch(watch)
}

pub(super) fn limits(bytes: u64) -> Limits {
    let mut limits = Limits::default();
    (limits.max_bytes, limits.max_events) = (bytes, SPOOL_EVENTS);
    limits
}
