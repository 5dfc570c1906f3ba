//! Why a host does not load a plugin.

use jackfield_plugin_api::{abi::ABI_MAJOR, metadata::HOST_CAPABILITIES};

use super::facts::SYMBOL;
use crate::boundary::text::{ForeignText, in_prose};

/// Why a host does not load a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is for another platform.
    #[error("a library for {found}, expected {expected}: get the plugin's build for this platform")]
    Platform {
        /// This host's platform.
        expected: String,
        /// The plugin's.
        found: String,
    },
    /// It was built against another major version of the ABI.
    #[error("expected ABI {expected}, found ABI {found}: {}", abi_advice(*.expected, *.found))]
    Abi {
        /// This host's.
        expected: u32,
        /// The plugin's.
        found: u32,
    },
    /// It was built against another surface under the same version, such as a version before its release.
    #[error(
        "expected surface digest {expected}, found {found}: rebuild the plugin with a released plugin API of ABI {ABI_MAJOR}"
    )]
    Digest {
        /// This host's, 16 hexadecimal digits.
        expected: String,
        /// The plugin's.
        found: String,
    },
    /// It requires something that this host does not have.
    #[error("requires {}, this host has {}: update the tool, or use an older plugin", in_prose(.missing), in_prose(HOST_CAPABILITIES))]
    Capabilities {
        /// What this host lacks.
        missing: Vec<ForeignText>,
    },
    /// The library does not export its descriptor.
    #[error(
        "no exported symbol `{SYMBOL}`: the plugin was linked without its descriptor; its vendor must export it"
    )]
    NoDescriptor,
    /// A panic in it would end the host's process.
    #[error(
        "built with panic = \"abort\", so process isolation only: set isolation = \"process\" for it, or get a build with panic = \"unwind\""
    )]
    PanicAborts,
    /// It prints to the tool's standard output, which a process of its own does not have.
    #[error(
        "prints to the tool's standard output, which a process of its own does not have: set isolation = \"thread\" for it"
    )]
    NeedsStdout,
}

fn abi_advice(expected: u32, found: u32) -> &'static str {
    if found > expected { "update the tool, or use an older plugin" } else { "use a newer plugin" }
}
