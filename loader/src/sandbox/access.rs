//! The files that a plugin may touch.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{error::SandboxError, system};

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
    pub fn apply(&self, plugin: &Path) -> Result<(), SandboxError> {
        // The folder of a plugin that was found by a bare file name.
        let plugin = if plugin.as_os_str().is_empty() { Path::new(".") } else { plugin };
        system::apply(&self.read, &self.write, plugin)
    }
}
