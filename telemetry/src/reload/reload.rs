//! Other backends while events flow.
//!
//! A reload reads the configuration anew and asks for each backend whether it is still the same: its configuration, and
//! the bytes of its plugin's file. What has changed is loaded, opened and probed beside the one that is open, which goes on
//! meanwhile. Then it takes that one's place between two batches, and the old one is closed while nobody waits. Where the
//! new one can't be had, the old one stays, and log and status say why.
//!
//! A platform that can't be reached keeps no backend from being swapped: it may be down for both. One that answers and
//! does not accept the new backend does: its events would be refused.
//!
//! What is open is judged anew by the trust policy as it is now, with the lock, keys and signature of this moment, whether
//! or not its file has changed. One that is refused, and in whose place nothing else can be had, does not stay: it is
//! closed between two batches, within its timeout, and its events wait.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::delivery::backend_state::Problem;
use crate::delivery::plan::{Plan, Plans, Step};
use crate::delivery::reload_report::ReloadReport;
use crate::delivery::target::Target;
use crate::error::error::Error;
use crate::instance::context::Context;
use crate::instance::select_backends::{Selected, SelectionReason, why_none};
use crate::reload::prepare::{Look, Verdict, prepare_all};

/// Finds out which backends are to be, and opens what is new.
pub(crate) fn reload(context: &Context, plans: &Arc<Plans>) -> Result<ReloadReport, Error> {
    let collection = context.consent.read().collection;
    let Selected { targets: wanted, info } = context.select_for(collection);
    let known = {
        let board = plans.board();
        board.targets.as_ref().map(|targets| targets.iter().map(Target::share).collect::<Vec<_>>())
    };
    if let SelectionReason::Broken(reason) = info.why {
        return Err(all_stay(context, plans, &known.unwrap_or_default(), reason));
    }
    // A file that was removed, or emptied, is a mistake rather than the wish to lose what comes.
    if wanted.is_empty() && known.as_ref().is_some_and(|known| !known.is_empty()) {
        return Err(all_stay(context, plans, &known.unwrap_or_default(), why_none(&context.settings)));
    }
    context.forget_recorder();
    // Whoever delivers first finds out by itself.
    let Some(known) = known else { return Ok(ReloadReport::default()) };
    let verdicts = prepare_all(&wanted, &|name| find(&known, name), Look::Everything);
    let local = info.stays_here(collection);
    let Decided { reloaded, problems, board, steps } = decide(context, &known, wanted, verdicts);
    {
        let mut now = plans.board();
        now.shut = shut(&problems, &board);
        now.problems = problems;
        for name in &reloaded.swapped {
            *now.swaps.entry(name.clone()).or_default() += 1;
        }
        now.targets = Some(board);
    }
    if let Some(kept) = context.states() {
        plans.keep_problems(&kept);
    }
    if reloaded.is_change() {
        tracing::info!(
            swapped = reloaded.swapped.join(", "),
            added = reloaded.added.join(", "),
            removed = reloaded.removed.join(", "),
            closed = reloaded.closed.join(", "),
            "telemetry: reloaded"
        );
        plans.post(Plan { steps, local: Some(local) });
    }
    Ok(reloaded)
}

fn find<'a>(targets: &'a [Target], name: &str) -> Option<&'a Target> {
    targets.iter().find(|target| target.name == name)
}

/// What a reload does.
#[derive(Default)]
struct Decided {
    reloaded: ReloadReport,
    problems: BTreeMap<String, Problem>,
    board: Vec<Target>,
    steps: Vec<(String, Step)>,
}

/// What becomes of each backend that is `known`, and of each that is `wanted`, by its verdict.
fn decide(context: &Context, known: &[Target], wanted: Vec<Target>, verdicts: Vec<Verdict>) -> Decided {
    let Decided { mut reloaded, mut problems, mut board, mut steps } = Decided::default();
    for (target, verdict) in wanted.into_iter().zip(verdicts) {
        let (name, old) = (target.name.clone(), find(known, &target.name));
        let keep = match (&verdict, old) {
            (Verdict::Same | Verdict::Refused(_), Some(old)) => Some(old.share()),
            // What is closed already can stay so.
            (Verdict::Distrusted(_), Some(old)) if old.opened().is_none() => Some(old.share()),
            _ => None,
        };
        let becomes = match (&verdict, old, &keep) {
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
                problems.insert(name.clone(), Problem { at_ms: context.now_ms(), reason: reason.clone() });
                match old {
                    None => reloaded.added.push(name.clone()),
                    Some(_) if keep.is_none() => reloaded.closed.push(name.clone()),
                    Some(_) => {}
                }
                reloaded.refused.push((name.clone(), reason));
            }
        }
        board.push(keep.as_ref().unwrap_or(&target).share());
        steps.push((name, if keep.is_some() { Step::Keep } else { Step::Put(Box::new(target)) }));
    }
    let gone = known.iter().filter(|old| find(&board, &old.name).is_none());
    reloaded.removed = gone.map(|target| target.name.clone()).collect();
    Decided { reloaded, problems, board, steps }
}

/// The backends whose problem is that they are not open.
fn shut(problems: &BTreeMap<String, Problem>, board: &[Target]) -> BTreeSet<String> {
    let is_shut = |name: &&String| find(board, name).is_some_and(|target| target.opened().is_none());
    problems.keys().filter(is_shut).cloned().collect()
}

/// Says why every backend stays as it is, but for those that the trust policy refuses which was in force: its lock and the
/// signatures may have changed although the configuration can't be used.
fn all_stay(context: &Context, plans: &Arc<Plans>, known: &[Target], reason: String) -> Error {
    let same: Vec<_> = known.iter().map(Target::unopened).collect();
    let verdicts = prepare_all(&same, &|name| find(known, name), Look::Trust);
    tracing::warn!("telemetry: all backends stay as they are: {reason}");
    let Decided { reloaded, problems, board, steps } = decide(context, known, same, verdicts);
    {
        let mut now = plans.board();
        let problem = Problem { at_ms: context.now_ms(), reason: reason.clone() };
        now.shut = shut(&problems, &board);
        now.problems = board.iter().map(|target| (target.name.clone(), problem.clone())).collect();
        now.problems.extend(problems);
        if now.targets.is_some() {
            now.targets = Some(board);
        }
    }
    if let Some(kept) = context.states() {
        plans.keep_problems(&kept);
    }
    if reloaded.closed.is_empty() {
        return Error::Reload { reason: reason.into() };
    }
    plans.post(Plan { steps, local: None });
    let names = reloaded.closed.join(", ");
    Error::Reload {
        reason: format!("{reason}; but closed, since it is not trusted any more: {names}").into(),
    }
}
