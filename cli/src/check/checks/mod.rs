//! The checks, one file for each subject.

pub(crate) mod configuration;
pub(crate) mod deadlines;
pub(crate) mod events;
pub(crate) mod host_versions;
pub(crate) mod lifecycle;
pub(crate) mod metadata;
pub(crate) mod optional_tables;
pub(crate) mod process_hygiene;
