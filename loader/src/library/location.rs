//! Where a plugin's code is.

use std::fmt;
use std::path::{Path, PathBuf};

use super::built_in::BuiltInPlugin;
use crate::boundary::text;

/// Where a plugin's code is. Shown as the path of the file, or as `built-in plugin NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In a file, a dynamic library.
    File(PathBuf),
    /// In this program.
    BuiltIn(BuiltInPlugin),
}

impl Location {
    /// The file of a library; `None` for a plugin that is built in.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::BuiltIn(_) => None,
        }
    }

    /// The file with the plugin's code: the library, or the executable of this program.
    #[must_use]
    pub fn code_file(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::BuiltIn(plugin) => std::env::current_exe().unwrap_or_else(|_| plugin.name().into()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => text::show(path).fmt(f),
            Self::BuiltIn(plugin) => write!(f, "built-in plugin {}", plugin.name()),
        }
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&Self> for Location {
    fn from(location: &Self) -> Self {
        location.clone()
    }
}
