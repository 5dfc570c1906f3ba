//! What a tool's author calls.

pub(crate) mod async_host;
pub(crate) mod builder;
pub(crate) mod command_scope;
pub(crate) mod forwarder;
pub(crate) mod global;
pub(crate) mod init;
pub(crate) mod reload;
pub(crate) mod telemetry;
#[cfg(feature = "tracing-layer")]
pub mod tracing_layer;
