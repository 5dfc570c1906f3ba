//! What the user of a tool does and is told.

#[cfg(feature = "clap")]
pub mod commands;
pub(crate) mod doctor;
pub(crate) mod opt_out;
pub(crate) mod show;
pub(crate) mod status;
