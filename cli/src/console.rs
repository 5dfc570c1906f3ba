//! The terminal: results on standard output, a progress bar on standard error, colours, and tables.
//!
//! A broken pipe is no error: its reader has ended. Colours are for a terminal, unless `NO_COLOR` is set.

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use jackfield_loader::{ForeignText, to_json, to_json_pretty};
use serde::Serialize;
use serde_json::json;

use crate::{
    environment::variable,
    exit::{CommandError, Exit},
};

/// Prints a result.
///
/// # Errors
/// Standard output can't be written.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::system("standard output can't be written")(error))
        }
        _ => Ok(()),
    }
}

/// Prints a result as indented JSON.
///
/// # Errors
/// As [`print`].
pub(crate) fn print_json(result: &impl Serialize) -> Result<(), CommandError> {
    print_serialized(to_json_pretty(result))
}

/// Prints a result as JSON in one line.
///
/// # Errors
/// As [`print`].
pub(crate) fn print_json_line(result: &impl Serialize) -> Result<(), CommandError> {
    print_serialized(to_json(result))
}

/// Whether a result was printed as JSON.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// Prints the error that has ended a command as JSON in one line, unless the command has printed a result.
pub(crate) fn print_json_error(error: &CommandError) {
    if !PRINTED.load(Ordering::Relaxed) {
        let ended = json!({ "error": error.to_string(), "exit_code": Exit::from(error).code() });
        // Standard error has the error, too.
        let _ = print_json_line(&ended);
    }
}

fn print_serialized(json: serde_json::Result<String>) -> Result<(), CommandError> {
    PRINTED.store(true, Ordering::Relaxed);
    let json =
        json.map_err(|error| CommandError::system("the result can't be written as JSON")(error.into()))?;
    print(&(json + "\n"))
}

/// The progress bar, which lines on standard error must not overwrite.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Shows a bar over `size` bytes, or a counter where the size is not known, below all that is printed from
/// now on. It is hidden where standard error is no terminal.
pub(crate) fn start_bar(size: Option<u64>) -> ProgressBar {
    match size {
        Some(size) => show_bar(ProgressBar::new(size), "{bytes}/{total_bytes} {wide_bar} {msg} {eta}"),
        None => show_bar(ProgressBar::new_spinner(), "{spinner} {bytes} {msg} {elapsed}"),
    }
}

/// As [`start_bar`], over a number of steps.
pub(crate) fn start_steps(steps: usize) -> ProgressBar {
    show_bar(ProgressBar::new(steps as u64), "{pos}/{len} {wide_bar} {msg} {elapsed}")
}

fn show_bar(bar: ProgressBar, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    // The templates are valid. With an invalid one the bar would keep its default style.
    let bar = match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
    bar
}

/// Removes the bar.
pub(crate) fn clear_bar() {
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// Whether standard error shows colours.
pub(crate) fn coloured_errors() -> bool {
    wants_colour() && io::stderr().is_terminal()
}

fn wants_colour() -> bool {
    variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|term| term != "dumb")
}

/// A colour, as the number of its ANSI escape sequence.
#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
}

/// `text` in a colour, if standard output shows colours.
pub(crate) fn paint(text: &str, colour: Colour) -> String {
    paint_if(wants_colour() && io::stdout().is_terminal(), text, colour)
}

/// `text` in a colour, if `coloured` is set.
pub(crate) fn paint_if(coloured: bool, text: &str, colour: Colour) -> String {
    if coloured { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
}

/// `text` with its control characters escaped.
pub(crate) fn one_line(text: impl Display) -> ForeignText {
    text.to_string().into()
}

/// Writes to standard error, above the bar.
pub(crate) fn write_error(bytes: &[u8]) {
    // An error of standard error can't be reported anywhere.
    let write = || drop(io::stderr().lock().write_all(bytes));
    match &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// `rows` in columns; the first row holds the headings. Each row is one line. `paint` colours a cell: it gets
/// the row, the column and the padded text.
pub(crate) fn table(rows: &[Vec<String>], paint: impl Fn(usize, usize, String) -> String) -> String {
    let rows: Vec<Vec<_>> =
        rows.iter().map(|row| row.iter().map(|cell| one_line(cell).to_string()).collect()).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut out = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let last = column + 1 == row.len();
            let padded = if last { cell.clone() } else { format!("{cell:<width$}", width = widths[column]) };
            out.push_str(&paint(at, column, padded));
            out.push_str(if last { "\n" } else { "  " });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["NAME", "V", "FILE"]), row(["ä", "10.2", "/a"])];
        assert_eq!(table(&rows, |_, _, cell| cell), "NAME  V     FILE\nä     10.2  /a\n");
    }

    #[test]
    fn a_cell_can_neither_break_its_line_nor_colour_it() {
        let rows = [vec!["a\n\u{1b}[32mok\u{202e}".to_owned(), "b\r\u{9b}".to_owned()]];
        assert_eq!(table(&rows, |_, _, cell| cell), "a\\n\\u{1b}[32mok\\u{202e}  b\\r\\u{9b}\n");
    }

    #[test]
    fn colour_is_left_out_where_it_is_not_wanted() {
        assert_eq!(paint_if(false, "ok", Colour::Green), "ok");
        assert_eq!(paint_if(true, "ok", Colour::Green), "\x1b[32mok\x1b[0m");
    }
}
