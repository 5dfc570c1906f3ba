//! `jackfield status`: shows what a `jackfield run` is doing.

mod screen;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use clap::{Args, ValueHint};
use jackfield_loader::{show_path, span};
use serde_json::json;
use terminal::Term;

use self::screen::{page, screen};
use crate::{
    console,
    exit::{CommandError, Exit},
    help::Help,
    run_state::{self, Snapshot, now_ms},
    settings::CommonArgs,
    signals,
    status_text::seconds,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield status\n  jackfield status --state /var/lib/jackfield --json | jq .spools",
    notes: "On a terminal the screen is updated until Ctrl-C. Elsewhere, and with --once, it is printed\n\
         once. If no `jackfield run` is alive in the folder, the exit code is 7.\n\n\
         With --check, one line for each problem, and exit code 6 if there is one: the input is not\n\
         read, lines could not be stored, the circuit of a backend is open, a backend is not as\n\
         configured, a spool has a problem; exit code 7 if the run has written no status for 5 s.\n\
         Events that were dropped or rejected earlier are no problem.\n\n\
         With --json, one object: alive, and refusal where there is no status; else state, version,\n\
         pid, started_ms, at_ms, config, input, of_tools (with --spools), lines, events, bad_lines,\n\
         not_stored, holding (reason, since_ms; null while the input is read), mapped_images,\n\
         image_limit, kept (library_bytes, host_handles, host_handle_bytes, log_targets,\n\
         stuck_calls), last_reload, and\n\
         spools: a list of\n  \
         tool, folder, waiting, bytes, oldest_s, dropped, dead_letters, problems, and\n  \
         backends: a list of\n    \
         name, plugin (name, version, file), isolation, open, events_per_s, p50_ms, p99_ms, calls,\n    \
         call_times (sum_s, at_most: a list of seconds and the number of calls that took no\n    \
         longer), restarts, waiting, delivered, rejected, circuit (open or closed), paused_s,\n    \
         last_error, last_error_s, last_delivery_s, swaps, not_swapped.",
};

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// State folder of the run
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    state: Option<PathBuf>,
    /// Print once, even on a terminal
    #[arg(long)]
    once: bool,
    /// Print what is wrong, and end with another code than 0 if anything is
    #[arg(long)]
    check: bool,
}

/// The time between two updates of the screen.
const REFRESH: Duration = Duration::from_millis(500);

pub(crate) fn run(common: &CommonArgs, args: &StatusArgs) -> Result<Exit, CommandError> {
    let folder = run_state::folder(args.state.as_deref())?;
    if args.check {
        return check(common, &folder);
    }
    if !common.json && !args.once && io::stdout().is_terminal() {
        follow(&folder);
        return Ok(Exit::Done);
    }
    let seen = look(&folder);
    match (&seen, common.json) {
        (Ok((alive, snapshot)), true) => {
            let mut value = serde_json::to_value(snapshot).unwrap_or_default();
            value["alive"] = (*alive).into();
            console::print_json(&value)?;
        }
        (Err(refusal), true) => {
            let alive = run_state::is_alive(&folder);
            console::print_json(&json!({ "alive": alive, "refusal": refusal.to_string() }))?;
        }
        (Ok((alive, snapshot)), false) => {
            let size = Term::stdout().size_checked().map(|(_, columns)| columns.into());
            console::print(&screen(&folder, *alive, snapshot, size))?;
        }
        (Err(_), false) => {}
    }
    seen.map(|(alive, _)| if alive { Exit::Done } else { Exit::Io })
}

/// Prints what is wrong with the run.
fn check(common: &CommonArgs, folder: &Path) -> Result<Exit, CommandError> {
    let (alive, snapshot) = look(folder)?;
    let late = now_ms().saturating_sub(snapshot.at_ms);
    let (problems, exit) = if !alive {
        (vec![format!("no `jackfield run` is alive in {}", show_path(folder))], Exit::Io)
    } else if late > run_state::LATE_MS {
        let silent = span(seconds(late));
        (vec![format!("process {} has written no status for {silent}", snapshot.pid)], Exit::Io)
    } else {
        let problems = snapshot.problems();
        let exit = if problems.is_empty() { Exit::Done } else { Exit::Events };
        (problems, exit)
    };
    if common.json {
        console::print_json(&json!({ "alive": alive, "problems": problems, "exit_code": exit.code() }))?;
    } else {
        let lines: String = problems.iter().map(|line| format!("{line}\n")).collect();
        console::print(if lines.is_empty() { "nothing is wrong\n" } else { &lines })?;
    }
    Ok(exit)
}

/// Whether the run is alive, and its status.
fn look(folder: &Path) -> Result<(bool, Snapshot), CommandError> {
    let alive = run_state::is_alive(folder);
    let shown = show_path(folder);
    let refusal = match run_state::read(folder) {
        Ok(Some(snapshot)) => return Ok((alive, snapshot)),
        Ok(None) if alive => format!(
            "the run in {shown} has written no status: wait, or see its standard error for a full disk"
        ),
        Ok(None) => {
            format!("no `jackfield run` is alive in {shown}, and none has been: name its folder with --state")
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            format!(
                "the status in {shown} is damaged, or of another version of jackfield: use that version, or start the run again"
            )
        }
        Err(error) => format!("the status in {shown} can't be read: {error}"),
    };
    Err(CommandError::Unusable(refusal))
}

/// Draws the screen until Ctrl-C, on the terminal's alternate screen, so that the normal one stays.
fn follow(folder: &Path) {
    let (interrupt, interrupted) = mpsc::channel();
    let handler = interrupt.clone();
    let end = move || {
        let _ = handler.send(());
    };
    if let Err(error) = signals::install(end, None) {
        tracing::debug!("Ctrl-C does not restore the screen: {error}");
    }
    let mut out = io::stdout().lock();
    let mut draw = |text: &str| out.write_all(text.as_bytes()).and_then(|()| out.flush());
    let mut result = draw("\x1b[?1049h\x1b[?25l");
    while result.is_ok() {
        let size = Term::stdout().size_checked();
        let text = match look(folder) {
            Ok((alive, snapshot)) => {
                screen(folder, alive, &snapshot, size.map(|(_, columns)| columns.into()))
            }
            Err(refusal) => format!("{refusal}\n"),
        };
        result = draw(&page(&text, size));
        if interrupted.recv_timeout(REFRESH).is_ok() {
            break;
        }
    }
    let _ = draw("\x1b[?25h\x1b[?1049l");
}
