//! `jackfield status`: shows what a `jackfield run` is doing.

mod screen;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use clap::{Args, ValueHint};
use jackfield_loader::show_path;
use serde_json::json;
use terminal::Term;

use self::screen::{page, screen};
use crate::{
    console,
    exit::{CommandError, Exit},
    run_state::{self, Snapshot},
    settings::{CommonArgs, Help},
    signals,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield status\n  jackfield status --state /var/lib/jackfield --json | jq .spools",
    notes: "On a terminal the screen is updated until Ctrl-C. Elsewhere, and with --once, it is printed\n\
         once. If no `jackfield run` is alive in the folder, the exit code is 7.\n\n\
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
}

/// The time between two updates of the screen.
const REFRESH: Duration = Duration::from_millis(500);

pub(crate) fn run(common: &CommonArgs, args: &StatusArgs) -> Result<Exit, CommandError> {
    let folder = run_state::folder(args.state.as_deref())?;
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
        (Ok((alive, snapshot)), false) => console::print(&screen(&folder, *alive, snapshot))?,
        (Err(_), false) => {}
    }
    seen.map(|(alive, _)| if alive { Exit::Done } else { Exit::Io })
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
        let text = match look(folder) {
            Ok((alive, snapshot)) => screen(folder, alive, &snapshot),
            Err(refusal) => format!("{refusal}\n"),
        };
        result = draw(&page(&text, Term::stdout().size_checked()));
        if interrupted.recv_timeout(REFRESH).is_ok() {
            break;
        }
    }
    let _ = draw("\x1b[?25h\x1b[?1049l");
}
