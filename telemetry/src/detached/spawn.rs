//! Starting the detached child at the end of a tool, when one is needed.

use std::io;
use std::time::Duration;

use jackfield_loader::Program;
use jackfield_loader::reexec::{Spawn, hand_over};

use crate::consent::consent::Collection;
use crate::delivery::backend_state::due;
use crate::delivery::configured_backend::{ConfiguredBackend, Source};
use crate::delivery::missing_plugins::leave_out_missing;
use crate::delivery::progress::PassResult;
use crate::detached::child::JOB;
use crate::detached::job::{DeliveryJob, mark};
use crate::detached::lock::{self, LockAttempt};
use crate::instance::code_backends;
use crate::instance::context::Context;
use crate::instance::settings::Settings;

/// Why no child can deliver for this tool and these backends, in a few words.
pub(crate) fn obstacle(settings: &Settings, targets: &[ConfiguredBackend]) -> Option<&'static str> {
    let unnamed = targets.iter().any(|target| {
        matches!(target.source, Source::Static(_)) && code_backends::find(&target.name).is_none()
    });
    decide(settings, program(targets).is_available(), std::process::id(), unnamed)
}

/// The executable of the child: the tool's own, or else the helper that the configuration names.
fn program(targets: &[ConfiguredBackend]) -> Program {
    let helper = targets.iter().find_map(|target| match &target.source {
        Source::Plugin { plugins, .. } => plugins.helper.clone(),
        Source::Static(_) => None,
    });
    match helper {
        Some(helper) if !Program::Own.is_available() => Program::At(helper),
        _ => Program::Own,
    }
}

fn decide(settings: &Settings, available: bool, process: u32, unnamed: bool) -> Option<&'static str> {
    let obstacles = [
        (!available, "add `jackfield::init();` as the first line of `main`, or name a `helper` in [plugins]"),
        // When process number 1 ends, the system ends every other process of its namespace.
        (process == 1, "this process is number 1 of its container"),
        (unnamed, "`jackfield::init_with` does not name a backend that is in the tool's code"),
        (!settings.on_disk, "the spool is on a file system of the tool's own"),
    ];
    obstacles.into_iter().find_map(|(applies, why)| applies.then_some(why))
}

/// Starts a child, unless nothing can be sent now or a child delivers already. `None` when a child is needed and none can be
/// started.
pub(crate) fn spawn_child(context: &Context, lifetime: Duration) -> Option<PassResult> {
    let nothing = PassResult::default();
    let collection = context.consent.read().collection;
    let (Some(data), Some(states), Some(spools)) =
        (context.trusted_data(), context.states(), &context.spools)
    else {
        return Some(nothing);
    };
    if !context.enabled || collection == Collection::Off {
        return Some(nothing);
    }
    let selected = context.select_for(collection);
    if obstacle(&context.settings, &selected.targets).is_some() {
        return None;
    }
    let local = selected.info.stays_here(collection);
    let spool = spools.get(local);
    let due = due(&selected.targets, &states, spool.now_ms());
    if due.is_empty() {
        return Some(nothing);
    }
    if !spool.has_waiting(&due) {
        return Some(PassResult { emptied: true, ..nothing });
    }
    let there = leave_out_missing(&selected.targets, due, &states, spool.now_ms());
    if there.is_empty() || !spool.has_waiting(&there) {
        return Some(nothing);
    }
    let start = || -> io::Result<()> {
        let job = DeliveryJob::new(context, data, local, collection, &selected.targets, lifetime)?;
        let text = serde_json::to_vec(&job)?;
        let held = match lock::take(data, local, &mark(&text))? {
            LockAttempt::Taken(held) | LockAttempt::Awaited(held) => held,
            // The child that holds the lock checks the spool once more before it ends.
            LockAttempt::Held => return Ok(()),
        };
        let mut files = vec![hand_over(&text)?];
        files.extend(lock::hand_over(held)?);
        let child = Spawn::new(program(&selected.targets), JOB.name)
            .title(format!("for {}", context.settings.tool))
            .files(files)
            .outlives()
            .start()?;
        if let Err(error) = child.reap() {
            tracing::debug!("nobody waits for the child that delivers: {error}");
        }
        Ok(())
    };
    match start() {
        Ok(()) => Some(nothing),
        Err(error) => {
            tracing::debug!("no child delivers: {error}");
            None
        }
    }
}

#[cfg(test)]
#[path = "spawn_tests.rs"]
mod tests;
