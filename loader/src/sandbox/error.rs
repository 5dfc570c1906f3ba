//! Why the limits or the sandbox can't be applied.

use std::{io, path::PathBuf};

use crate::boundary::text::show;

/// Why the configured limits or the sandbox can't be applied. The `Display` is one line that names the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The system refuses a limit.
    #[error("sandbox: `limits.{key}`: the system refuses the limit {value}: {error}")]
    Limit {
        /// The key in the configuration.
        key: &'static str,
        /// The limit, in the system's unit.
        value: u64,
        /// The error of the system.
        error: io::Error,
    },
    /// The limit leaves no room for a plugin.
    #[error(
        "sandbox: `limits.{key}`: {limit} {unit}, of which the child has {used} in use before the plugin is loaded: raise the limit"
    )]
    NoRoom {
        /// The key in the configuration.
        key: &'static str,
        /// The unit of limit and use.
        unit: &'static str,
        /// The limit.
        limit: u64,
        /// The present use.
        used: u64,
    },
    /// The kernel has no landlock.
    #[error("sandbox: `sandbox`: {reason}, or remove [backend.sandbox]")]
    NoLandlock {
        /// The cause, and what to do.
        reason: &'static str,
    },
    /// The kernel restricts no ports.
    #[error(
        "sandbox: `sandbox.network`: this kernel restricts no ports: boot Linux 6.7 or later, or write \"any\" or \"none\""
    )]
    NoPorts,
    /// This platform has no sandbox.
    #[error(
        "sandbox: `sandbox`: expected Linux on x86-64 or ARM64, found {}: remove [backend.sandbox]",
        jackfield_plugin_api::metadata::TARGET
    )]
    Unsupported,
    /// The program was built without the sandbox.
    #[error(
        "sandbox: `sandbox`: this program has no sandbox: build it with the feature `sandbox`, or remove [backend.sandbox]"
    )]
    NotBuiltIn,
    /// A granted path can't be opened.
    #[error("sandbox: `sandbox.{key}`: {}: {error}: create it, or take it out of the list", show(path))]
    Grant {
        /// The key in the configuration.
        key: &'static str,
        /// The path.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// A granted path is within a folder that the plugin may write, so that it could choose where the path leads.
    #[error(
        "sandbox: `sandbox.{key}`: {}: is within {}, which the plugin may write, so that the plugin could put a link there: take it out of the list (the grant for a folder holds for all that is in it)",
        show(path),
        show(within)
    )]
    Nested {
        /// The key in the configuration.
        key: &'static str,
        /// The path.
        path: PathBuf,
        /// The folder that the plugin may write.
        within: PathBuf,
    },
    /// The process has more than one thread.
    #[error(
        "sandbox: `sandbox`: expected a child with one thread, found {0}: something starts threads before `main`, which the sandbox would not hold for"
    )]
    Threads(usize),
    /// The system refuses the sandbox for another reason.
    #[error("sandbox: `sandbox`: {step}: {error}")]
    Step {
        /// The step that failed.
        step: &'static str,
        /// The error of the system.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}
