//! The screen of `jackfield status`.

use std::path::Path;

use jackfield_loader::{count, show_path, span};
use terminal::{measure_text_width, truncate_str};

use crate::{
    console::{self, Colour},
    run_state::{BackendNow, Kept, LATE_MS, Snapshot, now_ms, seconds},
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
        (true, false) => {
            let running = span(seconds(now.at_ms - now.started_ms));
            format!("jackfield {} {}, process {}, for {running}", now.version, now.state, now.pid)
        }
        (true, true) => format!("process {} has written no status for {age}", now.pid),
        (false, _) => {
            let dead = format!("no `jackfield run` is alive in {}", show_path(folder));
            format!("{}; the status below is {age} old", console::paint(&dead, Colour::Red))
        }
    }];
    let (events, bad_lines) = (count(now.events, "event"), count(now.bad_lines, "bad line"));
    lines.push(format!("input {}: {}, {events}, {bad_lines}", now.input, count(now.lines, "line")));
    if let Some(holding) = &now.holding {
        lines.push(console::paint(&holding.line(now.at_ms), Colour::Yellow));
    }
    if now.not_stored > 0 {
        let lost = count(now.not_stored, "line");
        lines.push(format!("{lost} could not be stored and will never be delivered"));
    }
    lines.push(format!(
        "configuration {}; {} of at most {} libraries loaded",
        now.config, now.mapped_images, now.image_limit
    ));
    let Kept { library_bytes, host_handles, host_handle_bytes, log_targets, stuck_calls } = &now.kept;
    lines.push(format!(
        "kept until the run ends: {} of libraries, {} ({}), {}, {}",
        count(*library_bytes, "byte"),
        count(*host_handles, "host handle"),
        count(*host_handle_bytes, "byte"),
        count(*log_targets, "log target"),
        count(*stuck_calls, "stuck call"),
    ));
    lines.extend(now.last_reload.iter().map(|reload| format!("last reload: {reload}")));
    for spool in &now.spools {
        let waiting = count(spool.waiting, "waiting event");
        lines.push(format!("\n{}: {waiting}, {}", spool.tool, count(spool.bytes, "byte")));
        lines.extend(
            spool.dropped.iter().map(|(reason, lost)| format!("  {} lost: {reason}", count(*lost, "event"))),
        );
        if spool.dead_letters > 0 {
            lines.push(format!("  {}", count(spool.dead_letters, "dead letter")));
        }
        lines.extend(spool.problems.iter().map(|problem| format!("  {problem}")));
        lines.push(table(&spool.backends, width.unwrap_or(usize::MAX)).trim_end_matches('\n').to_owned());
        for backend in &spool.backends {
            let BackendNow { name, last_error, last_error_s, .. } = backend;
            if let Some(error) = last_error {
                lines.push(format!("  {name}: {} ago: {error}", span(last_error_s.unwrap_or_default())));
            }
            lines.extend(backend.not_as_configured().map(|line| format!("  {name}: {line}")));
        }
    }
    let text = lines.join("\n");
    let Some(width) = width else { return text + "\n" };
    let wrap = textwrap::Options::new(width).subsequent_indent("    ");
    text.lines().map(|line| textwrap::fill(line, &wrap) + "\n").collect()
}

/// The text of a backend in one column.
type Cell = fn(&BackendNow) -> String;

/// The columns of the table of backends, the most important first: a narrow terminal leaves out the last ones.
const COLUMNS: [(&str, Cell); 11] = [
    ("BACKEND", |backend| backend.name.clone()),
    ("CIRCUIT", circuit),
    ("WAITING", |backend| backend.waiting.to_string()),
    ("DELIVERED", |backend| backend.delivered.to_string()),
    ("REJECTED", |backend| backend.rejected.to_string()),
    ("EVENTS/S", |backend| format!("{:.0}", backend.events_per_s)),
    ("PLUGIN", plugin),
    ("P50", |backend| format!("{:.2} ms", backend.p50_ms)),
    ("P99", |backend| format!("{:.2} ms", backend.p99_ms)),
    ("ISOLATION", |backend| backend.isolation.clone()),
    ("SWAPS", |backend| backend.swaps.to_string()),
];
const CIRCUIT: usize = 1;
/// The columns without which there is no table.
const FEWEST: usize = 5;

fn circuit(backend: &BackendNow) -> String {
    match backend.paused_s {
        Some(seconds) => format!("open, {seconds} s"),
        None => backend.circuit.clone(),
    }
}

fn plugin(backend: &BackendNow) -> String {
    match &backend.plugin {
        Some(plugin) => format!("{} {}", plugin.name, plugin.version),
        None => "not open".to_owned(),
    }
}

/// The table of backends with as many columns as fit, or a list if fewer than [`FEWEST`] fit.
fn table(backends: &[BackendNow], width: usize) -> String {
    let fits = |text: &String| text.lines().all(|line| measure_text_width(line) <= width);
    let table = (FEWEST..=COLUMNS.len()).rev().map(|columns| table_of(backends, columns)).find(fits);
    table.unwrap_or_else(|| list(backends))
}

fn table_of(backends: &[BackendNow], columns: usize) -> String {
    let columns = &COLUMNS[..columns];
    let head = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let rows = backends.iter().map(|backend| columns.iter().map(|(_, cell)| cell(backend)).collect());
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    console::table(&rows, |row, column, cell| match (row, column) {
        (1.., CIRCUIT) => paint_circuit(cell),
        _ => cell,
    })
}

fn list(backends: &[BackendNow]) -> String {
    let lines = backends.iter().flat_map(|backend| {
        COLUMNS.iter().enumerate().map(|(column, (name, cell))| {
            let cell = console::one_line(cell(backend)).to_string();
            match column {
                0 => cell + "\n",
                CIRCUIT => format!("  {name:<9}  {}\n", paint_circuit(cell)),
                _ => format!("  {name:<9}  {cell}\n"),
            }
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
