//! Secrets in free text, replaced before the text touches a disk.

pub(crate) mod budget;
pub(crate) mod byte_class;
pub(crate) mod entropy;
pub(crate) mod event_parts;
pub(crate) mod key_names;
pub(crate) mod key_prefixes;
pub(crate) mod marker;
pub(crate) mod prose;
pub(crate) mod redact;
pub(crate) mod scanner;
pub(crate) mod value_span;
