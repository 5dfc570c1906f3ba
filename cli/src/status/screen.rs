//! The screen of `jackfield status`.

use std::path::Path;

use jackfield_loader::{count, show_path, span};
use terminal::{measure_text_width, truncate_str};

use crate::{
    console::{self, Colour},
    run_state::{BackendNow, LATE_MS, Snapshot, now_ms},
    status_text::{self, CIRCUIT, HEAD, cells, of_backend, seconds},
};

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

/// The text of the screen. A line that is wider than `width` columns is continued on the next one.
pub(super) fn screen(folder: &Path, alive: bool, now: &Snapshot, width: Option<usize>) -> String {
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
        lines.push(table(&spool.backends, width.unwrap_or(usize::MAX)).trim_end_matches('\n').to_owned());
        lines.extend(spool.backends.iter().flat_map(of_backend).map(|line| format!("  {line}")));
    }
    let text = lines.join("\n");
    let Some(width) = width else { return text + "\n" };
    let wrap = textwrap::Options::new(width).subsequent_indent("    ");
    text.lines().map(|line| textwrap::fill(line, &wrap) + "\n").collect()
}

/// The columns without which there is no table.
const FEWEST: usize = 5;

/// The table of backends with as many columns as fit, or a list if fewer than [`FEWEST`] fit.
fn table(backends: &[BackendNow], width: usize) -> String {
    let fits = |text: &String| text.lines().all(|line| measure_text_width(line) <= width);
    let table = (FEWEST..=HEAD.len()).rev().map(|columns| table_of(backends, columns)).find(fits);
    table.unwrap_or_else(|| list(backends))
}

fn table_of(backends: &[BackendNow], columns: usize) -> String {
    let mut rows = vec![HEAD[..columns].iter().map(|&name| name.to_owned()).collect::<Vec<_>>()];
    rows.extend(
        backends.iter().map(|backend| cells(backend)[..columns].iter().map(ToString::to_string).collect()),
    );
    console::table(&rows, |row, column, cell| match (row, column) {
        (1.., CIRCUIT) => paint_circuit(cell),
        _ => cell,
    })
}

fn list(backends: &[BackendNow]) -> String {
    let lines = backends.iter().flat_map(|backend| {
        HEAD.iter().zip(cells(backend)).enumerate().map(|(column, (name, cell))| match column {
            0 => format!("{cell}\n"),
            CIRCUIT => format!("  {name:<9}  {}\n", paint_circuit(cell.to_string())),
            _ => format!("  {name:<9}  {cell}\n"),
        })
    });
    lines.collect()
}

fn paint_circuit(cell: String) -> String {
    if cell.starts_with("open") { console::paint(&cell, Colour::Yellow) } else { cell }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn backend(name: &str, waiting: u64) -> BackendNow {
        serde_json::from_value(json!({
            "name": name, "plugin": { "name": "http", "version": "0.1.0", "file": "/p/libhttp.so" },
            "isolation": "process", "open": true, "events_per_s": 1234.5, "p50_ms": 1.25, "p99_ms": 250.5,
            "calls": 5, "waiting": waiting, "delivered": 18_446_744_073_709_u64, "rejected": 12_345_678,
            "circuit": "open", "paused_s": 300, "last_error": null, "last_error_s": null,
            "last_delivery_s": null, "swaps": 7, "not_swapped": null,
        }))
        .expect("a backend")
    }

    #[test]
    fn a_narrow_table_leaves_out_the_last_columns_and_cuts_nothing() {
        let backends = [backend("http", 12), backend("a-platform", 123_456_789)];
        let cells = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let wide = table(&backends, 200);
        assert!(wide.lines().next().is_some_and(|head| head.ends_with("SWAPS")), "{wide}");
        let at_80 = table(&backends, 80);
        assert!(at_80.lines().all(|line| measure_text_width(line) <= 80), "{at_80}");
        let head = at_80.lines().next().unwrap_or_default();
        assert_eq!(cells(head)[..5], ["BACKEND", "CIRCUIT", "WAITING", "DELIVERED", "REJECTED"]);
        let row = ["a-platform", "open,", "300", "s", "123456789", "18446744073709", "12345678"];
        assert_eq!(cells(at_80.lines().nth(2).unwrap_or_default())[..7], row);
        let at_40 = table(&backends, 40);
        assert!(at_40.starts_with("http\n  CIRCUIT    open, 300 s\n  WAITING    12\n"), "{at_40}");
        assert!(
            at_40.contains("\na-platform\n") && at_40.contains("  DELIVERED  18446744073709\n"),
            "{at_40}"
        );
    }

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
