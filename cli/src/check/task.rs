//! The task of a child.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One check and its parameters. The parent writes the task as one line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) check: String,
    pub(super) file: PathBuf,
    /// The plugin's options, a JSON object.
    pub(super) config: String,
    /// The key that holds the endpoint, where it has a name of its own.
    pub(super) endpoint: Option<String>,
    /// How many instances live in the check for leaks.
    pub(super) cycles: u32,
    /// How long it may go on with them, in seconds.
    pub(super) budget_s: u64,
}
