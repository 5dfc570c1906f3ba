//! The resources ([`limits`]) and the files ([`Sandbox`]) of a plugin's child process. The child applies both
//! to itself before it loads the plugin. No code of the process can undo them.

pub(crate) mod error;
pub(crate) mod limits;
#[cfg(all(
    feature = "sandbox",
    target_os = "linux",
    target_endian = "little",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linux;
#[cfg(not(all(
    feature = "sandbox",
    target_os = "linux",
    target_endian = "little",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod linux {
    use std::path::Path;

    use crate::sandbox::Sandbox;
    use crate::sandbox::error::SandboxError;

    pub(super) fn apply(_: &Sandbox, _: &Path) -> Result<(), SandboxError> {
        Err(if cfg!(feature = "sandbox") { SandboxError::Unsupported } else { SandboxError::NotBuiltIn })
    }
}

use std::ffi::OsStr;
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
/// Sockets of the file system, open descriptors, the clock and threads are not restricted, nor is the network unless
/// [`network`](Self::network) is set. The host starts the process of a
/// plugin in a sandbox without its own variables, except those of [`env`](Self::env) and those that loaders, libc and clients
/// of a network need: paths, language, time zone, proxies and certificates.
///
/// # Platform
/// Linux on x86-64 and ARM64 with landlock, from kernel 5.13 on. From 6.2 on files outside can't be
/// truncated, from 6.12 on processes outside get no signals and their abstract sockets can't be reached. A
/// list of ports needs 6.7.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sandbox {
    /// Files and folders that may be read.
    pub read: Vec<PathBuf>,
    /// Files that may be read and written, and folders in which all but devices may be created and removed.
    pub write: Vec<PathBuf>,
    /// Names of variables of the environment that the plugin gets.
    pub env: Vec<String>,
    /// The TCP ports that may be connected to: `None` for the whole network, an empty list for no network. With ports, UDP
    /// is allowed as well, because resolvers of names use it.
    pub network: Option<Vec<u16>>,
}

/// The variables that a plugin gets in any case, beside those whose names begin with `LC_`. The first ones decide whether
/// its executable and libraries are found.
const VARIABLES: [&str; 18] = [
    "LD_LIBRARY_PATH",
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TZDIR",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

impl Sandbox {
    /// Whether the plugin gets the variable of the environment with this name.
    pub(crate) fn passes(&self, name: &OsStr) -> bool {
        let named = || VARIABLES.into_iter().chain(self.env.iter().map(String::as_str));
        name.as_encoded_bytes().starts_with(b"LC_") || named().any(|known| name == known)
    }

    /// Restricts this process. `plugin` is the folder of the plugin. Call it while
    /// there is one thread: other threads would keep their rights.
    ///
    /// # Errors
    /// The kernel has no landlock, a granted path does not exist, or there are more threads. The process may
    /// have lost some rights by then, and should end.
    pub fn apply(&self, plugin: &Path) -> Result<(), SandboxError> {
        // A bare file name has an empty folder.
        let plugin = if plugin.as_os_str().is_empty() { Path::new(".") } else { plugin };
        linux::apply(self, plugin)
    }
}
