//! What a plugin's child may use and touch. Both are for the child itself to apply, before a byte of the plugin runs: what
//! is given up here can't be taken back by any code of the process.

mod limits;
#[cfg(all(
    target_os = "linux",
    target_endian = "little",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[path = "linux/mod.rs"]
mod sandbox;
#[cfg(not(all(
    target_os = "linux",
    target_endian = "little",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[path = "unsupported.rs"]
mod sandbox;

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use self::limits::Limits;
use crate::text::show;

/// The files that a plugin may touch, beyond its own folder and what every program needs of the system. With it the plugin
/// can neither execute a program, trace a process, read or write another's memory, change another's limits or priority, gain
/// rights by a set-user-id file, nor change the mode, owner, times or attributes of any file.
///
/// What every program needs, for reading only: the system's libraries and data (`/usr`, `/lib`, `/nix/store` and their
/// like), what the dynamic linker and the resolver of names read in `/etc`, the certificates of authorities, `/dev/null`,
/// `/dev/urandom` and their like, `/proc/self`, and what tells the number of processors and the amount of memory.
///
/// Not restricted are the network, sockets of the file system, descriptors that are open already, and what is no file:
/// the environment, the clock, forking.
///
/// # Platform
/// Linux on x86-64 and ARM64 with landlock, which is in the kernel from 5.13 on. From 6.2 on it also keeps files outside from
/// being cut, and from 6.12 on processes outside from being sent signals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sandbox {
    /// Files and folders that may be read.
    pub read: Vec<PathBuf>,
    /// Files that may be read and written, and folders in which anything but a device may be made and removed, too.
    pub write: Vec<PathBuf>,
}

impl Sandbox {
    /// Gives up for this process and what it starts whatever is not allowed. `plugin` is the folder of the plugin.
    ///
    /// To be called while there is one thread: others would keep their rights.
    ///
    /// # Errors
    /// The kernel has no landlock, a granted path is not there, or there is more than one thread. The process may have
    /// given up some of its rights by then, and is fit only to end.
    pub fn apply(&self, plugin: &Path) -> Result<(), ConfineError> {
        // The folder of a plugin that was found by a bare file name.
        let plugin = if plugin.as_os_str().is_empty() { Path::new(".") } else { plugin };
        sandbox::apply(self, plugin)
    }
}

/// Why a child can't be confined as it is configured. Its `Display` is one line that names the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfineError {
    /// The system refuses a limit.
    #[error("confine: `limits.{key}`: the system refuses the limit {value}: {source}")]
    Limit {
        /// The key in the configuration.
        key: &'static str,
        /// The limit, in the system's unit.
        value: u64,
        /// What the system says.
        source: io::Error,
    },
    /// A limit that leaves no room for a plugin.
    #[error(
        "confine: `limits.{key}`: {limit} {unit}, of which the child has {used} in use before the plugin is loaded: raise the limit"
    )]
    NoRoom {
        /// The key in the configuration.
        key: &'static str,
        /// What is limited.
        unit: &'static str,
        /// The limit.
        limit: u64,
        /// What is in use already.
        used: u64,
    },
    /// The kernel has no landlock.
    #[error("confine: `sandbox`: {reason}, or remove [backend.sandbox]")]
    NoLandlock {
        /// What it lacks and what to do.
        reason: &'static str,
    },
    /// There is no sandbox here.
    #[error(
        "confine: `sandbox`: expected Linux on x86-64 or ARM64, found {}: remove [backend.sandbox]",
        jackfield_plugin_api::metadata::TARGET
    )]
    Unsupported,
    /// A path that is to be allowed can't be opened.
    #[error("confine: `sandbox.{key}`: {}: {source}: create it, or take it out of the list", show(path))]
    Grant {
        /// The key in the configuration.
        key: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something has started threads before.
    #[error(
        "confine: `sandbox`: expected a child with one thread, found {0}: something starts threads before `main`, which the sandbox would not hold for"
    )]
    Threads(usize),
    /// The system refuses the sandbox for another reason.
    #[error("confine: `sandbox`: {step}: {source}")]
    Sandbox {
        /// What was being done.
        step: &'static str,
        /// What the system says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
