//! Data that a plugin and the host exchange (events, services, log records, text), and the process itself.

pub(crate) mod batch;
pub(crate) mod budget;
#[cfg(windows)]
pub(crate) mod handles;
pub(crate) mod host_services;
#[cfg(windows)]
pub(crate) mod job;
pub(crate) mod log;
#[cfg(any(target_os = "linux", windows))]
pub(crate) mod mapping;
pub(crate) mod process;
pub mod signals;
pub(crate) mod text;
