//! The commands that read plugins' files and run none of them.

pub(crate) mod inspect;
mod language;
mod library;
pub(crate) mod list;
mod option_table;
pub(crate) mod schema;
