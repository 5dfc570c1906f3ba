//! What a plugin's child may use and touch. Both are for the child itself to apply, before a byte of the plugin runs: what
//! is given up here can't be taken back by any code of the process.

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
