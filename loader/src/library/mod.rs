//! From what a configuration calls a plugin to the bytes of its file.
//!
//! - [`find`]: a name along the search path, or a path, is a file;
//! - [`file`]: the file, open, and its bytes, which nothing can change from here on;
//! - [`os`]: what differs between operating systems;

pub(crate) mod digest;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod find;
pub(crate) mod os;
