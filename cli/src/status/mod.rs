//! `jackfield status`: what a `jackfield run` is doing.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use clap::{Args, ValueHint};
use serde_json::json;
use terminal::{Term, truncate_str};

use crate::{
    common_args::{CommonArgs, help},
    console::{self, Colour},
    exit::{CommandError, Exit},
    output,
    run_state::{
        self,
        snapshot::{BackendNow, Snapshot},
    },
};

pub(crate) static HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield status\n  jackfield status --state /var/lib/jackfield --json | jq .spools",
        "\n\nOn a terminal the screen follows the run until Ctrl-C; elsewhere, and with --once, it is printed\nonce. When \
         no `jackfield run` is alive there, the exit code is 7.\n\n\
         With --json, one object: alive, and refusal when there is nothing else to say; else state,\nversion, pid, started_ms, at_ms, config, input, lines, events, \
         bad_lines, not_stored, holding (reason, since_ms; null while there is room), mapped_images,\nimage_limit, \
         last_reload, and spools: a list of\n  tool, folder, waiting, \
         bytes, oldest_s, dropped, quarantined, problems, and backends: a list of\n    name, plugin (name, version, \
         file), isolation, open, events_per_s, p50_ms, p99_ms, calls,\n    waiting, delivered, rejected, circuit, \
         paused_s, last_error, last_error_s,\n    last_delivery_s, swaps, not_swapped.",
    )
});

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Folder that was given to `run`
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) state: Option<PathBuf>,
    /// Print once, on a terminal too
    #[arg(long)]
    pub(crate) once: bool,
}

/// How often the screen is drawn.
const REFRESH: Duration = Duration::from_millis(500);
/// A run that lives and has not written for so long is said to be late.
const LATE_MS: i64 = 5000;

pub(crate) fn run(common: &CommonArgs, args: &StatusArgs) -> Result<Exit, CommandError> {
    let folder = run_state::folder(args.state.as_deref())?;
    let seen = if common.json {
        let seen = look(&folder);
        let value = match &seen {
            Ok((alive, snapshot)) => {
                let mut value = serde_json::to_value(snapshot).unwrap_or_default();
                value["alive"] = (*alive).into();
                value
            }
            Err(refusal) => {
                json!({ "alive": run_state::is_alive(&folder), "refusal": refusal.to_string() })
            }
        };
        output::json(&value)?;
        seen
    } else if args.once || !io::stdout().is_terminal() {
        let seen = look(&folder);
        if let Ok((alive, snapshot)) = &seen {
            output::text(&screen(&folder, *alive, snapshot))?;
        }
        seen
    } else {
        follow(&folder);
        return Ok(Exit::Done);
    };
    seen.map(|(alive, _)| if alive { Exit::Done } else { Exit::Io })
}

/// What the run says, and whether it lives.
fn look(folder: &Path) -> Result<(bool, Snapshot), CommandError> {
    let alive = run_state::is_alive(folder);
    let shown = folder.display();
    let refusal = match run_state::read(folder) {
        Ok(Some(snapshot)) => return Ok((alive, snapshot)),
        Ok(None) if alive => format!(
            "the run in {shown} has not said anything yet; on a full disk it may be unable to: see its standard error"
        ),
        Ok(None) => {
            format!("no `jackfield run` is alive in {shown}, and none has been: name the folder of --state")
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            format!(
                "the status in {shown} is damaged, or of another version of jackfield: use that one, or start the run again"
            )
        }
        Err(error) => format!("the status in {shown} can't be read: {error}"),
    };
    Err(CommandError::Unusable(refusal))
}

/// Draws the screen until Ctrl-C, on the terminal's other page, which leaves what was there as it was.
fn follow(folder: &Path) {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    if let Err(error) = ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst)) {
        tracing::debug!("Ctrl-C leaves the screen as it is: {error}");
    }
    let mut out = io::stdout().lock();
    let mut draw = |text: &str| out.write_all(text.as_bytes()).and_then(|()| out.flush());
    let mut result = draw("\x1b[?1049h\x1b[?25l");
    while result.is_ok() && !stop.load(Ordering::SeqCst) {
        let text = match look(folder) {
            Ok((alive, snapshot)) => screen(folder, alive, &snapshot),
            Err(refusal) => format!("{refusal}\n"),
        };
        result = draw(&page(&text, Term::stdout().size_checked()));
        let mut waited = Duration::ZERO;
        while waited < REFRESH && !stop.load(Ordering::SeqCst) {
            thread::sleep(REFRESH / 10);
            waited += REFRESH / 10;
        }
    }
    let _ = draw("\x1b[?25h\x1b[?1049l");
}

/// What draws `text` on a terminal of so many rows and columns, which is cut to them: a line that wraps, or a row too many,
/// would move the lines above.
fn page(text: &str, size: Option<(u16, u16)>) -> String {
    let (rows, columns) =
        size.map_or((usize::MAX, usize::MAX), |(rows, columns)| (rows.into(), columns.into()));
    let mut lines: Vec<_> = text.lines().map(|line| truncate_str(line, columns, "")).collect();
    if lines.len() > rows {
        let hidden = lines.len() - rows + 1;
        lines.truncate(rows - 1);
        let rest = format!("... {hidden} more lines: enlarge the terminal, or use --once");
        lines.push(truncate_str(&rest, columns, "").into_owned().into());
    }
    // What was there goes before the line is written: after its last column that would take its last character.
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
fn screen(folder: &Path, alive: bool, now: &Snapshot) -> String {
    let mut text = String::new();
    let age = jiff::Timestamp::now().as_millisecond().saturating_sub(now.at_ms);
    let _ = match (alive, age > LATE_MS) {
        (true, false) => writeln!(
            text,
            "jackfield {} {}, process {}, for {}",
            now.version,
            now.state,
            now.pid,
            span((now.at_ms - now.started_ms) / 1000)
        ),
        (true, true) => writeln!(text, "process {} has said nothing for {}", now.pid, span(age / 1000)),
        (false, _) => {
            let dead = format!("no `jackfield run` is alive in {}", folder.display());
            writeln!(
                text,
                "{}; what follows is from {} ago",
                console::paint(&dead, Colour::Red),
                span(age / 1000)
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
            span((now.at_ms - holding.since_ms) / 1000),
            console::one_line(&holding.reason)
        );
        let _ = writeln!(text, "{}", console::paint(&held, Colour::Yellow));
    }
    if now.not_stored > 0 {
        let _ = writeln!(text, "{} lines could not be stored and are lost", now.not_stored);
    }
    let _ = writeln!(
        text,
        "configuration {}; {} of at most {} libraries loaded",
        now.config.display(),
        now.mapped_images,
        now.image_limit
    );
    if let Some(reload) = &now.last_reload {
        let _ = writeln!(text, "last reload: {}", console::one_line(reload));
    }
    for spool in &now.spools {
        let _ = writeln!(text, "\n{}: {} events wait, {} bytes", spool.tool, spool.waiting, spool.bytes);
        for (reason, number) in &spool.dropped {
            let _ = writeln!(text, "  {number} events lost: {reason}");
        }
        if spool.quarantined > 0 {
            let _ = writeln!(text, "  {} events in the quarantine", spool.quarantined);
        }
        for problem in &spool.problems {
            let _ = writeln!(text, "  {}", console::one_line(problem));
        }
        let _ = text.write_str(&table(&spool.backends));
        for backend in &spool.backends {
            if let Some(error) = &backend.last_error {
                let ago = backend.last_error_s.unwrap_or_default();
                let ago = span(i64::try_from(ago).unwrap_or(i64::MAX));
                let _ = writeln!(text, "  {}: {ago} ago: {}", backend.name, console::one_line(error));
            }
            if let Some(reason) = &backend.not_swapped {
                let reason = console::one_line(reason);
                let _ = if backend.open {
                    writeln!(text, "  {}: stays as it was: {reason}", backend.name)
                } else {
                    writeln!(text, "  {}: can't be had yet: {reason}; its events wait", backend.name)
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

/// A time for people, in its largest unit.
fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
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
