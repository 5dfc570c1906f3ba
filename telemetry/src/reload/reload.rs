//! What a reload does with each backend: swap, add, remove, close, or keep.
//!
//! A reload reads the configuration again, and compares each backend with the one in force: its configuration, and the bytes
//! of its plugin's file. A changed backend is loaded, opened and probed while the old one delivers. Then it replaces the old
//! one between two batches, and a background thread closes the old one. When the new one can't be opened, the old one
//! stays, and log and status tell the reason.
//!
//! A platform that can't be reached does not prevent a swap: it may be down for both. A platform that answers and does not
//! accept the new backend prevents the swap, because it would refuse the events.
//!
//! The trust policy judges each open backend again, with the lock, keys and signature of this moment, whether or not the file
//! has changed. A refused backend without a replacement is closed between two batches, within its timeout, and its events
//! wait.

use std::sync::Arc;

use crate::delivery::backend_changes::{BackendChanges, Change};
use crate::delivery::backend_handle::Refusal;
use crate::delivery::backend_state::Problem;
use crate::delivery::backends::Backends;
use crate::delivery::reload_report::ReloadReport;
use crate::delivery::target::Target;
use crate::error::Error;
use crate::instance::context::Context;
use crate::instance::select_backends::{Selected, SelectionReason, why_none};
use crate::reload::prepare::{Look, Verdict, prepare_all};

/// Finds out which backends are to be, and opens what is new.
pub(crate) fn reload(context: &Context, backends: &Arc<Backends>) -> Result<ReloadReport, Error> {
    let collection = context.consent.read().collection;
    let Selected { targets: wanted, info } = context.select_for(collection);
    let known = backends.configured();
    if let SelectionReason::Broken(reason) = info.why {
        return Err(all_stay(context, backends, &known.unwrap_or_default(), reason));
    }
    // A file that was removed, or emptied, is a mistake rather than the wish to lose what comes.
    if wanted.is_empty() && known.as_ref().is_some_and(|known| !known.is_empty()) {
        return Err(all_stay(context, backends, &known.unwrap_or_default(), why_none(&context.settings)));
    }
    context.forget_recorder();
    // Whoever delivers first finds out by itself.
    let Some(known) = known else { return Ok(ReloadReport::default()) };
    let wanted = wanted.into_iter().map(Arc::new).collect();
    let Decided { reloaded, mut changes } = decide(context, &known, wanted, Look::Everything);
    if reloaded.is_change() {
        changes.local = Some(info.stays_here(collection));
        tracing::info!(
            swapped = reloaded.swapped.join(", "),
            added = reloaded.added.join(", "),
            removed = reloaded.removed.join(", "),
            closed = reloaded.closed.join(", "),
            "telemetry: reloaded"
        );
    }
    apply(context, backends, changes);
    Ok(reloaded)
}

fn apply(context: &Context, backends: &Arc<Backends>, changes: BackendChanges) {
    backends.apply(changes);
    if let Some(kept) = context.states() {
        backends.keep_problems(&kept);
    }
}

fn find<'a>(targets: &'a [Arc<Target>], name: &str) -> Option<&'a Arc<Target>> {
    targets.iter().find(|target| target.name == name)
}

/// What a reload does.
#[derive(Default)]
struct Decided {
    reloaded: ReloadReport,
    changes: BackendChanges,
}

/// What becomes of each backend that is `known`, and of each that is `wanted`.
fn decide(context: &Context, known: &[Arc<Target>], wanted: Vec<Arc<Target>>, look: Look) -> Decided {
    let verdicts = prepare_all(&wanted, &|name| find(known, name), look);
    let Decided { mut reloaded, mut changes } = Decided::default();
    for (target, verdict) in wanted.into_iter().zip(verdicts) {
        let (name, old) = (target.name.clone(), find(known, &target.name));
        let keep = match (&verdict, old) {
            (Verdict::Same | Verdict::Refused(_), old) => old,
            // What is closed already can stay so.
            (Verdict::Distrusted(_), Some(old)) if old.opened().is_none() => Some(old),
            _ => None,
        };
        let becomes = match (&verdict, old, keep) {
            (Verdict::Distrusted(_), Some(_), None) => "is closed, events wait for it",
            (_, Some(old), _) if old.opened().is_some() => "stays as it is",
            _ => "can't be had yet, events wait for it",
        };
        match (verdict, old) {
            (Verdict::Same, _) => reloaded.unchanged.push(name.clone()),
            (Verdict::Ready, Some(_)) => reloaded.swapped.push(name.clone()),
            (Verdict::Ready, None) => reloaded.added.push(name.clone()),
            (Verdict::Refused(reason) | Verdict::Distrusted(reason), old) => {
                let reason = target.conceal(&reason);
                tracing::warn!("telemetry: backend {name} {becomes}: {reason}");
                let problem = Problem { at_ms: context.now_ms(), reason: reason.clone() };
                let until_open = keep.unwrap_or(&target).opened().is_none();
                changes.refusals.insert(name.clone(), Refusal { problem, until_open });
                match old {
                    None => reloaded.added.push(name.clone()),
                    Some(_) if keep.is_none() => reloaded.closed.push(name.clone()),
                    Some(_) => {}
                }
                reloaded.refused.push((name.clone(), reason));
            }
        }
        let change = if keep.is_some() { Change::Keep } else { Change::Put(target) };
        changes.backends.push((name, change));
    }
    let is_gone = |old: &&Arc<Target>| changes.backends.iter().all(|(name, _)| *name != old.name);
    reloaded.removed = known.iter().filter(is_gone).map(|target| target.name.clone()).collect();
    Decided { reloaded, changes }
}

/// Reports why every backend stays as it is, except those that the old trust policy now refuses: lock and signatures may have
/// changed although the configuration can't be used.
fn all_stay(context: &Context, backends: &Arc<Backends>, known: &[Arc<Target>], reason: String) -> Error {
    let same = known.iter().map(|target| Arc::new(target.unopened())).collect();
    let Decided { reloaded, mut changes } = decide(context, known, same, Look::Trust);
    tracing::warn!("telemetry: all backends stay as they are: {reason}");
    let problem = Problem { at_ms: context.now_ms(), reason: reason.clone() };
    for target in known {
        let refusal = || Refusal { problem: problem.clone(), until_open: false };
        changes.refusals.entry(target.name.clone()).or_insert_with(refusal);
    }
    apply(context, backends, changes);
    if reloaded.closed.is_empty() {
        return Error::Reload { reason: reason.into() };
    }
    let names = reloaded.closed.join(", ");
    Error::Reload {
        reason: format!("{reason}; but closed, since it is not trusted any more: {names}").into(),
    }
}
