//! Data that a plugin and the host exchange (events, services, log records, text), and the process itself.

pub(crate) mod batch;
pub(crate) mod budget;
pub(crate) mod host_services;
pub(crate) mod log;
#[cfg(target_os = "linux")]
pub(crate) mod mapping;
pub(crate) mod process;
pub mod signals;
pub(crate) mod text;
