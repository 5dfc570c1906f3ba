//! The replacement of secrets in free text, before the text is stored.

pub(crate) mod bytes;
pub(crate) mod commands;
pub(crate) mod entropy;
pub(crate) mod headers;
pub(crate) mod key_blocks;
pub(crate) mod key_names;
pub(crate) mod key_prefixes;
pub(crate) mod marks;
pub(crate) mod personal;
pub(crate) mod prose;
pub(crate) mod quotes;
pub(crate) mod recurrence;
pub(crate) mod redact;
pub(crate) mod rule;
pub(crate) mod rules;
pub(crate) mod scanner;
pub(crate) mod urls;
pub(crate) mod value_span;
pub(crate) mod values;
