//! The screen of `jackfield status`.

use std::path::Path;

use jackfield_loader::{count, show_path, span};
use terminal::truncate_str;

use crate::{
    console::{self, Colour},
    run_state::{BackendNow, Snapshot, now_ms},
    status_text::{self, CIRCUIT, HEAD, cells, of_backend, seconds},
};

/// A run that is alive and has written no status for this time is reported as silent.
const LATE_MS: i64 = 5000;

/// The characters that draw `text` on a terminal of this many rows and columns. The text is cut to that size,
/// because a line that wraps, or an additional row, would move the lines above.
pub(super) fn page(text: &str, size: Option<(u16, u16)>) -> String {
    let (rows, columns) =
        size.map_or((usize::MAX, usize::MAX), |(rows, columns)| (rows.into(), columns.into()));
    let mut lines: Vec<_> = text.lines().map(|line| truncate_str(line, columns, "")).collect();
    if lines.len() > rows {
        let hidden = lines.len() - rows + 1;
        lines.truncate(rows - 1);
        let rest = format!("... {}: enlarge the terminal, or use --once", count(hidden, "more line"));
        lines.push(truncate_str(&rest, columns, "").into_owned().into());
    }
    // The old line is erased before the new one is written: later, the last character would be erased, too.
    let mut page = "\x1b[H".to_owned();
    for (number, line) in lines.iter().enumerate() {
        page.push_str(if number == 0 { "\x1b[K" } else { "\r\n\x1b[K" });
        page.push_str(line);
    }
    if lines.len() < rows {
        page.push_str("\r\n\x1b[J");
    }
    page
}

/// The text of the screen.
pub(super) fn screen(folder: &Path, alive: bool, now: &Snapshot) -> String {
    let age_ms = now_ms().saturating_sub(now.at_ms);
    let age = span(seconds(age_ms));
    let mut lines = vec![match (alive, age_ms > LATE_MS) {
        (true, false) => status_text::running(now),
        (true, true) => format!("process {} has written no status for {age}", now.pid),
        (false, _) => {
            let dead = format!("no `jackfield run` is alive in {}", show_path(folder));
            format!("{}; the status below is {age} old", console::paint(&dead, Colour::Red))
        }
    }];
    lines.push(status_text::input(now));
    lines.extend(status_text::holding(now).map(|held| console::paint(&held, Colour::Yellow)));
    lines.extend(status_text::not_stored(now));
    lines.extend(status_text::uses(now));
    lines.extend(status_text::last_reload(now));
    for spool in &now.spools {
        lines.push(format!("\n{}", status_text::waiting(spool)));
        lines.extend(status_text::of_spool(spool).iter().map(|line| format!("  {line}")));
        lines.push(table(&spool.backends).trim_end_matches('\n').to_owned());
        lines.extend(spool.backends.iter().flat_map(of_backend).map(|line| format!("  {line}")));
    }
    lines.join("\n") + "\n"
}

fn table(backends: &[BackendNow]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    rows.extend(backends.iter().map(|backend| cells(backend).map(|cell| cell.to_string()).to_vec()));
    console::table(&rows, |row, column, cell| match (row, column) {
        (1.., CIRCUIT) if cell.starts_with("open") => console::paint(&cell, Colour::Yellow),
        _ => cell,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_to_the_size_of_the_terminal() {
        let text = "first line\n\x1b[33msecond line\x1b[0m\nthird\nfourth\n";
        let whole =
            "\x1b[H\x1b[Kfirst line\r\n\x1b[K\x1b[33msecond line\x1b[0m\r\n\x1b[Kthird\r\n\x1b[Kfourth";
        assert_eq!(page(text, None), format!("{whole}\r\n\x1b[J"));
        assert_eq!(page(text, Some((5, 80))), format!("{whole}\r\n\x1b[J"));
        assert_eq!(page(text, Some((4, 80))), whole);
        let cut = "\x1b[H\x1b[Kfirst \r\n\x1b[K\x1b[33msecond\x1b[0m\r\n\x1b[K... 2 ";
        assert_eq!(page(text, Some((3, 6))), cut);
        assert_eq!(page("\u{6f22}\u{5b57}", Some((2, 3))), "\x1b[H\x1b[K\u{6f22}\r\n\x1b[J", "wide ones");
    }
}
