//! What crosses to a plugin and back: events, the host's services, log records and text; and what belongs to the process.

pub(crate) mod backoff;
pub(crate) mod batch;
pub(crate) mod exit;
pub(crate) mod host_services;
pub(crate) mod log;
pub(crate) mod process_id;
pub(crate) mod prose;
pub(crate) mod text;
pub(crate) mod thread;
