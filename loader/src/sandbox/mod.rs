//! What a plugin's child process may use and touch. The child applies both to itself before a byte of the plugin runs. No
//! code of the process can undo that.

//!
//! - [`limits`]: what it may use;
//! - [`access`]: what it may touch.

pub(crate) mod access;
pub(crate) mod error;
pub(crate) mod limits;
#[cfg(all(
    target_os = "linux",
    target_endian = "little",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[path = "linux/mod.rs"]
mod system;
#[cfg(not(all(
    target_os = "linux",
    target_endian = "little",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[path = "unsupported.rs"]
mod system;
