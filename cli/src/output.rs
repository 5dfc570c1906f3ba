//! What a command has found out, on standard output.

use jackfield_loader::{to_json, to_json_pretty};
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
    print_json(to_json_pretty(result))
}

/// Prints JSON in one line.
///
/// # Errors
/// As [`text`].
pub(crate) fn json_line(result: &impl Serialize) -> Result<(), CommandError> {
    print_json(to_json(result))
}

fn print_json(json: serde_json::Result<String>) -> Result<(), CommandError> {
    let json =
        json.map_err(|error| CommandError::system("the result can't be written as JSON")(error.into()))?;
    text(&(json + "\n"))
}
