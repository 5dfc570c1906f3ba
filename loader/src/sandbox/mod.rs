//! The resources ([`limits`]) and the files ([`Sandbox`]) of a plugin's child process. The child applies both
//! to itself before it loads the plugin. No code of the process can undo them.

pub(crate) mod error;
pub(crate) mod limits;
#[cfg(all(
    target_os = "linux",
    target_endian = "little",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linux;
#[cfg(not(all(
    target_os = "linux",
    target_endian = "little",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod linux {
    use std::path::{Path, PathBuf};

    use crate::sandbox::error::SandboxError;

    pub(super) fn apply(_: &[PathBuf], _: &[PathBuf], _: &Path) -> Result<(), SandboxError> {
        Err(SandboxError::Unsupported)
    }
}

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::error::SandboxError;

/// The files that a plugin may touch, beyond its own folder and the system's files below. In a sandbox, a
/// plugin can't start a process, execute a program, gain or give rights by a set-user-id file, change mode, owner, times
/// or attributes of a file, or trace another process or change its memory, limits or priority.
///
/// Every plugin may read the system's libraries and data (`/usr`, `/lib`, `/nix/store` and the like), what
/// the dynamic linker and the name resolver need in `/etc`, certificates of authorities, devices such as
/// `/dev/null` and `/dev/urandom`, `/proc/self`, and the number of processors and the amount of memory.
///
/// The network, sockets, open descriptors, the environment, the clock and threads are not restricted.
///
/// # Platform
/// Linux on x86-64 and ARM64 with landlock, from kernel 5.13 on. From 6.2 on files outside can't be
/// truncated, from 6.12 on processes outside get no signals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sandbox {
    /// Files and folders that may be read.
    pub read: Vec<PathBuf>,
    /// Files that may be read and written, and folders in which all but devices may be created and removed.
    pub write: Vec<PathBuf>,
}

impl Sandbox {
    /// Restricts this process. `plugin` is the folder of the plugin. Call it while
    /// there is one thread: other threads would keep their rights.
    ///
    /// # Errors
    /// The kernel has no landlock, a granted path does not exist, or there are more threads. The process may
    /// have lost some rights by then, and should end.
    pub fn apply(&self, plugin: &Path) -> Result<(), SandboxError> {
        // A bare file name has an empty folder.
        let plugin = if plugin.as_os_str().is_empty() { Path::new(".") } else { plugin };
        linux::apply(&self.read, &self.write, plugin)
    }
}
