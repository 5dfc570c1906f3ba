//! From a plugin's name in a configuration to the bytes by which it is judged.
//!
//! - [`find`]: finds the file of a name, or of a path, or a plugin that is built in;
//! - [`location`]: what was found;
//! - [`built_in`]: the plugins that are linked into this program;
//! - [`file`]: opens the file and reads it;
//! - [`content`]: the bytes, which nothing can change from then on. On Linux they are loaded from a sealed
//!   memfd, elsewhere from a copy in a private folder.

pub(crate) mod built_in;
pub(crate) mod content;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod find;
pub(crate) mod location;
#[cfg(target_os = "linux")]
mod memfd;
#[cfg(not(target_os = "linux"))]
mod private_copy;
