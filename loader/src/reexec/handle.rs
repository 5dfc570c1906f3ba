//! What a child gets: an open file or another thing of the system, by its handle.

/// A file that a child gets.
#[cfg(unix)]
pub use std::os::fd::OwnedFd as OwnedHandle;
#[cfg(windows)]
pub use std::os::windows::io::OwnedHandle;
