//! Whether the folder of all that is kept can be trusted.
//!
//! Machine id, states, local log and spools are in it: whoever can write to it can put others in their place. So it has
//! to be the user's, and nobody else's to write to; otherwise nothing in it is used.
//!
//! # Platform
//! Unix; elsewhere the folder's access list is what protects it.

use std::path::Path;

use jackfield_loader::{
    files::{Owner, judge},
    show_path,
};

/// The folder in the data folder in which crashes of plugins are remembered.
pub(crate) const CRASHES: &str = "crashes";

/// Why the folder is not used. One that is not there yet is made for the user alone.
pub(crate) fn refusal(folder: &Path) -> Option<String> {
    let refusal = judge(&std::fs::metadata(folder).ok()?, Owner::User).err()?;
    Some(format!("data folder {}: {refusal}", show_path(folder)))
}
