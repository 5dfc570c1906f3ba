//! From a plugin's name in a configuration to the bytes of its file.
//!
//! - [`find`]: finds the file of a name, or of a path;
//! - [`file`]: opens the file and reads it;
//! - [`content`]: the bytes, which nothing can change from then on. On Linux they are loaded from a sealed
//!   memfd, elsewhere from a copy in a private folder.

pub(crate) mod content;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod find;
#[cfg(target_os = "linux")]
mod memfd;
#[cfg(not(target_os = "linux"))]
mod private_copy;
