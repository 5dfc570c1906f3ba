//! Memory that several processes share, and how it is mapped into this one: a memfd, on Windows a section of the page file.

#[cfg(target_os = "linux")]
mod linux;
mod view;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub(crate) use self::linux::{SealedBytes, memory};
#[cfg(windows)]
pub(crate) use self::windows::{memory, read_only, with_bytes};

pub(crate) use self::view::Mapping;
