//! What all parts of one telemetry share, and the backends that it selects.

pub(crate) mod code_backends;
pub(crate) mod context;
pub(crate) mod for_tests;
pub(crate) mod select_backends;
pub(crate) mod settings;
