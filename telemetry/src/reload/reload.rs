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

use jackfield_loader::ForeignText;

use crate::delivery::backend_changes::{BackendChanges, Change};
use crate::delivery::backend_state::Problem;
use crate::delivery::backends::{Backends, Refusal};
use crate::delivery::configured_backend::ConfiguredBackend;
use crate::error::Error;
use crate::instance::context::Context;
use crate::instance::select_backends::{Selected, SelectionReason, why_none};
use crate::reload::prepare::{Look, Prepared, prepare_all};

/// The result of a reload: the names of backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadReport {
    /// Backends that were replaced.
    pub swapped: Vec<String>,
    /// New backends.
    pub added: Vec<String>,
    /// Backends that were removed.
    pub removed: Vec<String>,
    /// Backends that have not changed.
    pub unchanged: Vec<String>,
    /// Backends that were closed because the trust policy refuses them now. Their events wait, and they are tried again;
    /// `refused` has the reason.
    pub closed: Vec<String>,
    /// Backends that are not what the configuration says, and the reasons. An old backend stays as it was, unless it is
    /// `closed`. The events of a new backend wait, and it is tried again.
    pub refused: Vec<(String, String)>,
}

impl ReloadReport {
    /// Whether any backend has changed.
    #[must_use]
    pub fn is_change(&self) -> bool {
        let Self { swapped, added, removed, closed, .. } = self;
        [swapped, added, removed, closed].into_iter().any(|names| !names.is_empty())
    }
}

/// Why a reload has changed no backend, except for backends that the trust policy refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all backends stay as they are: {reason}")]
pub struct ReloadError {
    /// What is wrong with the configuration.
    pub reason: ForeignText,
}

impl From<ReloadError> for Error {
    fn from(error: ReloadError) -> Self {
        Self::Reload { reason: error.reason }
    }
}

/// Selects the backends again, and opens the changed ones.
pub(crate) fn reload(context: &Context, backends: &Arc<Backends>) -> Result<ReloadReport, ReloadError> {
    let collection = context.consent.read().collection;
    let Selected { targets: wanted, info, .. } = context.select_for(collection);
    let known = backends.configured();
    if let SelectionReason::Broken(reason) = info.why {
        return Err(all_stay(context, backends, &known.unwrap_or_default(), reason.to_string()));
    }
    // A configuration file that was removed or emptied is probably a mistake.
    if wanted.is_empty() && known.as_ref().is_some_and(|known| !known.is_empty()) {
        return Err(all_stay(context, backends, &known.unwrap_or_default(), why_none(&context.settings)));
    }
    context.forget_recorder();
    // The first delivery selects the backends itself.
    let Some(known) = known else { return Ok(ReloadReport::default()) };
    let wanted = wanted.into_iter().map(Arc::new).collect();
    let (reloaded, mut changes) = decide(context, &known, wanted, Look::Everything);
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

fn find<'a>(targets: &'a [Arc<ConfiguredBackend>], name: &str) -> Option<&'a Arc<ConfiguredBackend>> {
    targets.iter().find(|target| target.name == name)
}

/// Decides what happens to each backend that is `known` or `wanted`.
fn decide(
    context: &Context,
    known: &[Arc<ConfiguredBackend>],
    wanted: Vec<Arc<ConfiguredBackend>>,
    look: Look,
) -> (ReloadReport, BackendChanges) {
    let prepared = prepare_all(&wanted, &|name| find(known, name), look);
    let (mut reloaded, mut changes) = (ReloadReport::default(), BackendChanges::default());
    for (target, prepared) in wanted.into_iter().zip(prepared) {
        let (name, old) = (target.name.clone(), find(known, &target.name));
        let keep = match (&prepared, old) {
            (Prepared::Same | Prepared::Refused(_), old) => old,
            // A closed backend need not be closed again.
            (Prepared::Distrusted(_), Some(old)) if old.opened().is_none() => Some(old),
            _ => None,
        };
        let becomes = match (&prepared, old, keep) {
            (Prepared::Distrusted(_), Some(_), None) => "is closed, events wait for it",
            (_, Some(old), _) if old.opened().is_some() => "stays as it is",
            _ => "can't be had yet, events wait for it",
        };
        match (prepared, old) {
            (Prepared::Same, _) => reloaded.unchanged.push(name.clone()),
            (Prepared::Ready, Some(_)) => reloaded.swapped.push(name.clone()),
            (Prepared::Ready, None) => reloaded.added.push(name.clone()),
            (Prepared::Refused(error) | Prepared::Distrusted(error), old) => {
                let reason = error.to_string();
                tracing::warn!("telemetry: backend {name} {becomes}: {reason}");
                let problem = Problem { at_ms: context.now_ms(), reason: reason.as_str().into() };
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
    let is_gone = |old: &&Arc<ConfiguredBackend>| changes.backends.iter().all(|(name, _)| *name != old.name);
    reloaded.removed = known.iter().filter(is_gone).map(|target| target.name.clone()).collect();
    (reloaded, changes)
}

/// Keeps every backend, except for those that the old trust policy refuses now: lock and signatures may have changed although
/// the configuration can't be used. Returns the error of the reload.
fn all_stay(
    context: &Context,
    backends: &Arc<Backends>,
    known: &[Arc<ConfiguredBackend>],
    mut reason: String,
) -> ReloadError {
    let same = known.iter().map(|target| Arc::new(target.unopened())).collect();
    let (reloaded, mut changes) = decide(context, known, same, Look::Trust);
    tracing::warn!("telemetry: all backends stay as they are: {reason}");
    let problem = Problem { at_ms: context.now_ms(), reason: reason.as_str().into() };
    for target in known {
        let refusal = || Refusal { problem: problem.clone(), until_open: false };
        changes.refusals.entry(target.name.clone()).or_insert_with(refusal);
    }
    apply(context, backends, changes);
    if !reloaded.closed.is_empty() {
        reason += "; but closed, since it is not trusted any more: ";
        reason += &reloaded.closed.join(", ");
    }
    ReloadError { reason: reason.into() }
}
