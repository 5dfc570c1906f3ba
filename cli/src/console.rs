//! Messages on standard error, and the form of text for people.
//!
//! A broken pipe is no error: the reader went away. Colours are for a terminal, unless `NO_COLOR` is set.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal as _, Write},
    sync::{Mutex, PoisonError},
};

use indicatif::ProgressBar;
use jackfield_loader::ForeignText;

/// The bar that lines on standard error must not be drawn into.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Draws `bar` below all that is printed from now on.
pub(crate) fn set_bar(bar: ProgressBar) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
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

fn coloured_output() -> bool {
    wants_colour() && io::stdout().is_terminal()
}

fn wants_colour() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|t| t != "dumb")
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
    paint_if(coloured_output(), text, colour)
}

/// `text` in a colour, if it is wanted.
pub(crate) fn paint_if(coloured: bool, text: &str, colour: Colour) -> String {
    if coloured { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
}

/// What is foreign in `text` has the form of [`ForeignText`] as a rule; here it has to.
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

/// `rows` in columns; the first row holds the headings. Each row is one line. `paint` colours a cell: it gets the row, the
/// column and the padded text.
pub(crate) fn table(rows: &[Vec<String>], paint: impl Fn(usize, usize, String) -> String) -> String {
    let rows: Vec<Vec<_>> =
        rows.iter().map(|row| row.iter().map(|cell| one_line(cell).to_string()).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
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
    fn columns_are_as_wide_as_their_widest_cell_in_characters() {
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
