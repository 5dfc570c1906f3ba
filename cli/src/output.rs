//! Results of commands on standard output.

use std::io::{self, Write as _};

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
    let json = serde_json::to_string_pretty(result).map_err(io::Error::from);
    text(&(json.map_err(CommandError::system("the result can't be written as JSON"))? + "\n"))
}
