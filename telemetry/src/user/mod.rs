//! The commands for the user of a tool, and their reports.

#[cfg(feature = "clap")]
pub mod commands;
pub(crate) mod doctor;
pub(crate) mod opt_out;
pub(crate) mod show;
pub(crate) mod status;
