//! What differs between operating systems, behind the same names:
//!
//! | name | meaning |
//! | --- | --- |
//! | `Handles` | the open file and, on Unix, the open folders that decide which file it is |
//! | `open` | follows links and opens what they lead to, without waiting |
//! | `Handles::open_beside` | opens a file that belongs to the first by its name |
//! | `Content`, `copy` | the file's bytes where nothing can change them |
//! | `Content::load` | hands these very bytes to the dynamic linker |
//!
//! # Platform
//! On Linux the bytes are in a sealed memfd and are loaded from it. Elsewhere they are in this process's memory, and are
//! written into a fresh folder that only the user can enter when they are loaded. Owner and mode are known on Unix.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::{Handles, open};

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use windows::{Handles, open};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::{Content, copy};

#[cfg(not(target_os = "linux"))]
mod private_copy;
#[cfg(not(target_os = "linux"))]
pub(crate) use private_copy::{Content, copy};
