//! A plugin on its way from a file to functions that can be called: each stage is a type.

pub(crate) mod error;
pub(crate) mod stages;
