//! The record of a plugin file that crashed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::boundary::text::ForeignText;

/// How often in a row a plugin in a process of its own may crash. After that its file is not started until it changes.
pub const MOST_CRASHES: u32 = 5;

/// The crashes of one plugin file, as a folder has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Crash {
    /// How often it has crashed in a row.
    pub count: u32,
    /// How its process ended the last time, such as `ended by SIGSEGV`.
    pub how: ForeignText,
    /// When that was, in seconds since 1970 in UTC.
    pub time: u64,
    /// Where the plugin's file was then.
    pub plugin: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal digits.
    #[serde(skip)]
    pub digest: String,
}
