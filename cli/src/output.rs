//! What a command has found out, on standard output.

use serde::Serialize;

use crate::{console, exit::Exit};

/// Prints text.
pub(crate) fn text(text: &str) -> Exit {
    match console::print(text) {
        Ok(()) => Exit::Done,
        Err(error) => {
            console::error(format_args!("standard output can't be written: {error}"));
            Exit::Io
        }
    }
}

/// Prints JSON, indented.
pub(crate) fn json(result: &impl Serialize) -> Exit {
    match serde_json::to_string_pretty(result) {
        Ok(json) => text(&(json + "\n")),
        Err(error) => {
            console::error(error);
            Exit::Io
        }
    }
}
