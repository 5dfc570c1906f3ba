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
    path::PathBuf,
    sync::Arc,
};

use jackfield_loader::{Isolation, Stats};

use crate::api::telemetry::{Inner, Telemetry};
use crate::delivery::backend_state::Problem;
use crate::delivery::plan::{Plan, Plans, Step};
use crate::delivery::target::Target;
use crate::error::error::Error;
use crate::instance::select_backends::{Chosen, Selected, why_none};
use crate::reload::prepare::{Look, Verdict, prepare_all};

/// What a reload has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// Backends that were open or waited to be, and are others now.
    pub swapped: Vec<String>,
    /// Backends that are new.
    pub added: Vec<String>,
    /// Backends that get nothing more.
    pub removed: Vec<String>,
    /// Backends that are what they were.
    pub unchanged: Vec<String>,
    /// Backends that are closed because the trust policy refuses them by now. Events wait for them, and they are tried
    /// again; `refused` has the reason.
    pub closed: Vec<String>,
    /// Backends that are not what the configuration says: name and reason. One that was there before stays as it was,
    /// unless it is `closed`; for one that is new events wait, and it is tried again.
    pub refused: Vec<(String, String)>,
}

impl Reloaded {
    /// Whether any backend is another than before.
    #[must_use]
    pub fn is_change(&self) -> bool {
        let Self { swapped, added, removed, closed, .. } = self;
        [swapped, added, removed, closed].into_iter().any(|names| !names.is_empty())
    }
}

/// How the last reload of this process has ended, whether code asked for it or a file that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastReload {
    /// How many there were, this one included.
    pub number: u64,
    /// What it has come to, or why nothing was changed.
    pub outcome: Result<Reloaded, String>,
}

/// One backend at this moment, as this process has it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LiveBackend {
    /// What it is called.
    pub name: String,
    /// Name, version and file of the plugin; `None` before it is opened, and for a backend that is compiled in.
    pub plugin: Option<LivePlugin>,
    /// Whether it is open.
    pub open: bool,
    /// Where its calls run: `thread`, this process, or `process`, one of its own.
    pub isolation: &'static str,
    /// What it has done since it was opened.
    pub stats: Stats,
    /// How often it was swapped.
    pub swaps: u64,
    /// Why it is not what the configuration says, since the last reload.
    pub not_swapped: Option<String>,
}

/// The plugin of an open backend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LivePlugin {
    /// Its name, as it says.
    pub name: String,
    /// Its version, as it says.
    pub version: String,
    /// The file that it was loaded from.
    pub file: PathBuf,
}

impl Telemetry {
    /// Evaluates anew which backends get the events, and swaps those that have changed: see [`Reloaded`]. Events go on
    /// meanwhile. What is new is opened before this returns, and gets the batches from the next one on; the old one is
    /// closed behind the caller's back, within its timeout.
    ///
    /// This waits for the new backends to open and to be probed, each for at most its timeout, and for a plugin's file
    /// that somebody is writing to. Before the first delivery there is nothing to swap, and nothing is opened.
    ///
    /// A backend that is open is judged by the trust policy once more, as a new one is. One that is refused by now, as after
    /// its key was revoked or its pin has changed, is closed.
    ///
    /// # Errors
    /// [`Error::Reload`] when a configuration file can't be used, or when no backend would be left, as after its removal:
    /// every backend stays as it is, unless the trust policy that was in force refuses it by now.
    pub fn reload(&self) -> Result<Reloaded, Error> {
        let inner = self.inner();
        inner.courier().reload(inner)
    }

    /// How the last reload has ended; `None` before the first.
    #[must_use]
    pub fn last_reload(&self) -> Option<LastReload> {
        self.inner().courier().plans().last_reload().clone()
    }

    /// The backends of this process, if it has delivered anything yet.
    #[must_use]
    pub fn live_backends(&self) -> Vec<LiveBackend> {
        let plans = self.inner().courier().plans();
        let board = plans.board();
        let live = |target: &Target| {
            let open = target.opened();
            let image = open.as_ref().and_then(|open| open.image.as_ref());
            LiveBackend {
                name: target.name.clone(),
                plugin: image.map(|image| LivePlugin {
                    name: image.name.clone(),
                    version: image.version.clone(),
                    file: image.file.clone(),
                }),
                open: open.is_some(),
                isolation: if matches!(target.options.isolation, Isolation::Thread) {
                    "thread"
                } else {
                    "process"
                },
                stats: open.as_ref().map(|open| open.stats()).unwrap_or_default(),
                swaps: board.swaps.get(&target.name).copied().unwrap_or(0),
                not_swapped: board.problem(&target.name).map(|problem| problem.reason.clone()),
            }
        };
        board.targets.iter().flatten().map(live).collect()
    }
}

/// Finds out which backends are to be, and opens what is new.
pub(crate) fn reload(inner: &Arc<Inner>, plans: &Arc<Plans>) -> Result<Reloaded, Error> {
    let collection = inner.consent.read().collection;
    let Selected { targets: wanted, info } = inner.select_for(collection);
    let known = {
        let board = plans.board();
        board.targets.as_ref().map(|targets| targets.iter().map(Target::share).collect::<Vec<_>>())
    };
    if let Chosen::Broken(reason) = info.why {
        return Err(all_stay(inner, plans, &known.unwrap_or_default(), reason));
    }
    // A file that was removed, or emptied, is a mistake rather than the wish to lose what comes.
    if wanted.is_empty() && known.as_ref().is_some_and(|known| !known.is_empty()) {
        return Err(all_stay(inner, plans, &known.unwrap_or_default(), why_none(&inner.settings)));
    }
    inner.forget_recorder();
    // Whoever delivers first finds out by itself.
    let Some(known) = known else { return Ok(Reloaded::default()) };
    let verdicts = prepare_all(&wanted, &|name| find(&known, name), Look::Everything);
    let local = info.stays_here(collection);
    let Decided { reloaded, problems, board, steps } = decide(inner, &known, wanted, verdicts);
    {
        let mut now = plans.board();
        now.shut = shut(&problems, &board);
        now.problems = problems;
        for name in &reloaded.swapped {
            *now.swaps.entry(name.clone()).or_default() += 1;
        }
        now.targets = Some(board);
    }
    if let Some(kept) = inner.states() {
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
    reloaded: Reloaded,
    problems: BTreeMap<String, Problem>,
    board: Vec<Target>,
    steps: Vec<(String, Step)>,
}

/// What becomes of each backend that is `known`, and of each that is `wanted`, by its verdict.
fn decide(inner: &Inner, known: &[Target], wanted: Vec<Target>, verdicts: Vec<Verdict>) -> Decided {
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
                problems.insert(name.clone(), Problem { at_ms: inner.now_ms(), reason: reason.clone() });
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
fn all_stay(inner: &Inner, plans: &Arc<Plans>, known: &[Target], reason: String) -> Error {
    let same: Vec<_> = known.iter().map(Target::unopened).collect();
    let verdicts = prepare_all(&same, &|name| find(known, name), Look::Trust);
    tracing::warn!("telemetry: all backends stay as they are: {reason}");
    let Decided { reloaded, problems, board, steps } = decide(inner, known, same, verdicts);
    {
        let mut now = plans.board();
        let problem = Problem { at_ms: inner.now_ms(), reason: reason.clone() };
        now.shut = shut(&problems, &board);
        now.problems = board.iter().map(|target| (target.name.clone(), problem.clone())).collect();
        now.problems.extend(problems);
        if now.targets.is_some() {
            now.targets = Some(board);
        }
    }
    if let Some(kept) = inner.states() {
        plans.keep_problems(&kept);
    }
    if reloaded.closed.is_empty() {
        return Error::Reload { reason };
    }
    plans.post(Plan { steps, local: None });
    let names = reloaded.closed.join(", ");
    Error::Reload { reason: format!("{reason}; but closed, since it is not trusted any more: {names}") }
}
