//! Why a child process can't be held to its configured limits or sandbox.

use std::{io, path::PathBuf};

use crate::boundary::text::show;

/// Why a child process can't be held to its configured limits or sandbox. Its `Display` is one line that names the key.
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
        /// What the system says.
        error: io::Error,
    },
    /// A limit that leaves no room for a plugin.
    #[error(
        "sandbox: `limits.{key}`: {limit} {unit}, of which the child has {used} in use before the plugin is loaded: raise the limit"
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
    #[error("sandbox: `sandbox`: {reason}, or remove [backend.sandbox]")]
    NoLandlock {
        /// What it lacks and what to do.
        reason: &'static str,
    },
    /// There is no sandbox here.
    #[error(
        "sandbox: `sandbox`: expected Linux on x86-64 or ARM64, found {}: remove [backend.sandbox]",
        jackfield_plugin_api::metadata::TARGET
    )]
    Unsupported,
    /// A path that is to be allowed can't be opened.
    #[error("sandbox: `sandbox.{key}`: {}: {error}: create it, or take it out of the list", show(path))]
    Grant {
        /// The key in the configuration.
        key: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Something has started threads before.
    #[error(
        "sandbox: `sandbox`: expected a child with one thread, found {0}: something starts threads before `main`, which the sandbox would not hold for"
    )]
    Threads(usize),
    /// The system refuses the sandbox for another reason.
    #[error("sandbox: `sandbox`: {step}: {error}")]
    Step {
        /// What was being done.
        step: &'static str,
        /// What the system says.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}
