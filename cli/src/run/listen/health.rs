//! What `/healthz` and `/readyz` say.

use std::time::Duration;

use jackfield_loader::span;

use super::board::View;
use crate::{run_state::BackendNow, status_text};

/// A main thread that has written no status for this time hangs. It is long, because whoever asks may kill the
/// process, and a slow disk is no reason for that.
const HANGS: Duration = Duration::from_secs(30);

/// Whether the main thread of the run goes on. While backends are being opened it does: each open has a deadline.
///
/// # Errors
/// Why not.
pub(super) fn healthy(view: Option<&View>) -> Result<(), String> {
    match view {
        Some(View { age, .. }) if *age > HANGS => {
            Err(format!("the run has written no status for {}", span(age.as_secs())))
        }
        _ => Ok(()),
    }
}

/// Whether the input is read and every backend is open. A backend whose circuit is open is open: its events wait in the
/// spool, and the input is read on.
///
/// # Errors
/// Why not.
pub(super) fn ready(view: Option<&View>) -> Result<(), String> {
    let Some(view) = view else { return Err("the run starts: its backends are being opened".to_owned()) };
    healthy(Some(view))?;
    let now = &view.snapshot;
    if now.state != "running" {
        return Err(format!("the run is {}", now.state));
    }
    if let Some(holding) = status_text::holding(now) {
        return Err(holding);
    }
    // The backends of a tool are opened when the tool has events.
    let is_missing =
        |backend: &&BackendNow| !backend.open && (!now.of_tools || backend.not_swapped.is_some());
    match now.spools.iter().flat_map(|spool| &spool.backends).find(is_missing) {
        None => Ok(()),
        Some(backend) => Err(status_text::not_as_configured(backend)
            .unwrap_or_else(|| format!("{}: not open yet; its events wait", backend.name))),
    }
}
