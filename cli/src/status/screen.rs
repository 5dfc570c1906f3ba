//! The screen of `jackfield status`.

use std::path::Path;

use jackfield_loader::{count, show_path, span};
use terminal::truncate_str;

use crate::{
    console::{self, Colour},
    run_state::{BackendNow, Kept, Snapshot, now_ms},
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
        let held = format!(
            "the input has not been read for {}: {}; its writers wait",
            span(seconds(now.at_ms - holding.since_ms)),
            holding.reason
        );
        lines.push(console::paint(&held, Colour::Yellow));
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
        lines.push(table(&spool.backends).trim_end_matches('\n').to_owned());
        for BackendNow { name, open, last_error, last_error_s, not_swapped, .. } in &spool.backends {
            if let Some(error) = last_error {
                lines.push(format!("  {name}: {} ago: {error}", span(last_error_s.unwrap_or_default())));
            }
            if let Some(reason) = not_swapped {
                lines.push(match open {
                    true => format!("  {name}: stays as it was: {reason}"),
                    false => format!("  {name}: can't be opened yet: {reason}; its events wait"),
                });
            }
        }
    }
    lines.join("\n") + "\n"
}

fn table(backends: &[BackendNow]) -> String {
    const CIRCUIT: usize = 9;
    let head = "BACKEND PLUGIN ISOLATION EVENTS/S P50 P99 WAITING DELIVERED REJECTED CIRCUIT SWAPS";
    let mut rows: Vec<Vec<String>> = vec![head.split(' ').map(str::to_owned).collect()];
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
        (1.., CIRCUIT) if cell.starts_with("open") => console::paint(&cell, Colour::Yellow),
        _ => cell,
    })
}

/// Whole seconds; 0 for a negative time, which a clock that was set back causes.
fn seconds(ms: i64) -> u64 {
    u64::try_from(ms / 1000).unwrap_or_default()
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
