//! Results of commands on standard output.

use std::{
    fmt::Display,
    io::{self, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

use jackfield_loader::{to_json, to_json_pretty};
use serde::Serialize;
use serde_json::json;

use crate::exit::{CommandError, Exit};

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

/// Whether a result was printed as JSON.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// Prints the error that has ended a command, as JSON in one line, unless the command has printed a result.
pub(crate) fn json_error(error: impl Display, exit: Exit) {
    if !PRINTED.load(Ordering::Relaxed) {
        // Standard error has it, too.
        let _ = json_line(&json!({ "error": error.to_string(), "exit_code": exit.code() }));
    }
}

fn print_json(json: serde_json::Result<String>) -> Result<(), CommandError> {
    PRINTED.store(true, Ordering::Relaxed);
    let json =
        json.map_err(|error| CommandError::system("the result can't be written as JSON")(error.into()))?;
    text(&(json + "\n"))
}
