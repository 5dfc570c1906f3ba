//! Whether anything may be collected, who decided that, and the user's file that says so.

pub(crate) mod cache;
pub(crate) mod consent;
pub(crate) mod edit_file;
pub(crate) mod prompt;
pub(crate) mod source;
