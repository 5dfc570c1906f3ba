//! The screen of `jackfield status`.

use std::{fmt::Write as _, path::Path};

use jackfield_loader::{show_path, span};
use terminal::truncate_str;

use crate::{
    console::{self, Colour},
    run_state::snapshot::{BackendNow, Snapshot},
};

/// A run that is alive and has written no status for so long is reported as silent.
const LATE_MS: i64 = 5000;

/// The characters that draw `text` on a terminal of so many rows and columns. The text is cut to that size: a line that wraps,
/// or a row too many, would move the lines above.
pub(super) fn page(text: &str, size: Option<(u16, u16)>) -> String {
    let (rows, columns) =
        size.map_or((usize::MAX, usize::MAX), |(rows, columns)| (rows.into(), columns.into()));
    let mut lines: Vec<_> = text.lines().map(|line| truncate_str(line, columns, "")).collect();
    if lines.len() > rows {
        let hidden = lines.len() - rows + 1;
        lines.truncate(rows - 1);
        let rest = format!("... {hidden} more lines: enlarge the terminal, or use --once");
        lines.push(truncate_str(&rest, columns, "").into_owned().into());
    }
    // The old line is erased before the new one is written: after the last column, erasing removes the last character.
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

/// The screen's text.
pub(super) fn screen(folder: &Path, alive: bool, now: &Snapshot) -> String {
    let mut text = String::new();
    let age = jiff::Timestamp::now().as_millisecond().saturating_sub(now.at_ms);
    let _ = match (alive, age > LATE_MS) {
        (true, false) => writeln!(
            text,
            "jackfield {} {}, process {}, for {}",
            now.version,
            now.state,
            now.pid,
            span(seconds(now.at_ms - now.started_ms))
        ),
        (true, true) => {
            writeln!(text, "process {} has written no status for {}", now.pid, span(seconds(age)))
        }
        (false, _) => {
            let dead = format!("no `jackfield run` is alive in {}", show_path(folder));
            writeln!(
                text,
                "{}; the status below is {} old",
                console::paint(&dead, Colour::Red),
                span(seconds(age))
            )
        }
    };
    let _ = writeln!(
        text,
        "input {}: {} lines, {} events, {} bad lines",
        now.input, now.lines, now.events, now.bad_lines
    );
    if let Some(holding) = &now.holding {
        let held = format!(
            "held back for {}: {}; whoever writes to the input waits until there is room",
            span(seconds(now.at_ms - holding.since_ms)),
            holding.reason
        );
        let _ = writeln!(text, "{}", console::paint(&held, Colour::Yellow));
    }
    if now.not_stored > 0 {
        let _ = writeln!(text, "{} lines could not be stored and are lost", now.not_stored);
    }
    let _ = writeln!(
        text,
        "configuration {}; {} of at most {} libraries loaded",
        now.config, now.mapped_images, now.image_limit
    );
    if let Some(reload) = &now.last_reload {
        let _ = writeln!(text, "last reload: {reload}");
    }
    for spool in &now.spools {
        let _ = writeln!(text, "\n{}: {} events wait, {} bytes", spool.tool, spool.waiting, spool.bytes);
        for (reason, number) in &spool.dropped {
            let _ = writeln!(text, "  {number} events lost: {reason}");
        }
        if spool.dead_letters > 0 {
            let _ = writeln!(text, "  {} dead letters", spool.dead_letters);
        }
        for problem in &spool.problems {
            let _ = writeln!(text, "  {problem}");
        }
        let _ = text.write_str(&table(&spool.backends));
        for backend in &spool.backends {
            if let Some(error) = &backend.last_error {
                let ago = span(backend.last_error_s.unwrap_or_default());
                let _ = writeln!(text, "  {}: {ago} ago: {}", backend.name, error);
            }
            if let Some(reason) = &backend.not_swapped {
                let _ = if backend.open {
                    writeln!(text, "  {}: stays as it was: {reason}", backend.name)
                } else {
                    writeln!(text, "  {}: can't be opened yet: {reason}; its events wait", backend.name)
                };
            }
        }
    }
    text
}

fn table(backends: &[BackendNow]) -> String {
    let head = [
        "BACKEND",
        "PLUGIN",
        "ISOLATION",
        "EVENTS/S",
        "P50",
        "P99",
        "WAITING",
        "DELIVERED",
        "REJECTED",
        "CIRCUIT",
        "SWAPS",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for backend in backends {
        let plugin = match &backend.plugin {
            Some(plugin) => format!("{} {}", plugin.name, plugin.version),
            None => "not open".to_owned(),
        };
        let circuit = match backend.paused_s {
            Some(seconds) => format!("open, {seconds} s"),
            None => backend.circuit.clone(),
        };
        rows.push(vec![
            backend.name.clone(),
            plugin,
            backend.isolation.clone(),
            format!("{:.0}", backend.events_per_s),
            format!("{:.2} ms", backend.p50_ms),
            format!("{:.2} ms", backend.p99_ms),
            backend.waiting.to_string(),
            backend.delivered.to_string(),
            backend.rejected.to_string(),
            circuit,
            backend.swaps.to_string(),
        ]);
    }
    console::table(&rows, |row, column, cell| match (row, column) {
        (1.., 9) if cell.starts_with("open") => console::paint(&cell, Colour::Yellow),
        _ => cell,
    })
}

/// Whole seconds; none where a clock was set back.
fn seconds(ms: i64) -> u64 {
    u64::try_from(ms / 1000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_to_the_rows_and_columns_of_the_terminal() {
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
