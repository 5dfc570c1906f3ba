//! Memory that several processes share, and how it is mapped into this one: a memfd, on Windows a section of the page file.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(all(feature = "conformance", any(target_os = "linux", windows)))]
mod rights;
mod view;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub(crate) use self::linux::{SealedBytes, memory};
#[cfg(windows)]
pub(crate) use self::windows::{memory, read_only, with_bytes};

#[cfg(all(feature = "conformance", target_os = "linux"))]
pub(crate) use self::linux::page_size;
#[cfg(all(feature = "conformance", windows))]
pub(crate) use self::windows::page_size;

pub(crate) use self::view::Mapping;
