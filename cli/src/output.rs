//! What a command has found out, on standard output.

use std::io;

use serde::Serialize;

use crate::{console, exit::CommandError};

/// Prints text.
///
/// # Errors
/// Standard output can't be written.
pub(crate) fn text(text: &str) -> Result<(), CommandError> {
    console::print(text).map_err(CommandError::system("standard output can't be written"))
}

/// Prints JSON, indented.
///
/// # Errors
/// As [`text`].
pub(crate) fn json(result: &impl Serialize) -> Result<(), CommandError> {
    let json = serde_json::to_string_pretty(result).map_err(io::Error::from);
    text(&(json.map_err(CommandError::system("the result can't be written as JSON"))? + "\n"))
}
