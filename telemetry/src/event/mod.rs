//! An event: what its author says, its one line of JSON, and lines of others.

pub(crate) mod author_rules;
pub(crate) mod batch_buffer;
pub(crate) mod defaults;
pub(crate) mod encode;
pub(crate) mod event;
pub(crate) mod id;
pub(crate) mod json_value;
pub(crate) mod lines;
pub(crate) mod parse;
pub(crate) mod recorder;
pub(crate) mod rfc3339;
pub(crate) mod value;
