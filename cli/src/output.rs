//! Results of commands on standard output.

use std::io::{self, Write as _};

use jackfield_loader::{to_json, to_json_pretty};
use serde::Serialize;

use crate::exit::CommandError;

/// Prints text.
///
/// # Errors
/// Standard output can't be written. A broken pipe is no error: the reader went away.
pub(crate) fn text(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::system("standard output can't be written")(error))
        }
        _ => Ok(()),
    }
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
