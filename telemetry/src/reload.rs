//! Other backends while events flow.
//!
//! A reload reads the configuration anew and asks for each backend whether it is still the same: its configuration, and
//! the bytes of its plugin's file. What has changed is loaded, opened and probed beside the one that is open, which goes on
//! meanwhile. Then it takes that one's place between two batches, and the old one is closed while nobody waits. Where the
//! new one can't be had, the old one stays, and log and status say why.
//!
//! A platform that can't be reached keeps no backend from being swapped: it may be down for both. One that answers and
//! does not accept the new backend does: its events would be refused.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{Candidate, Isolation, Stats, image_limit, loaded_images, plugin_api::Probe};
use sha2::{Digest as _, Sha256};

use crate::{
    Error, Telemetry,
    outbox::{Loaded, Open, Plan, Plans, Problem, Source, Stamp, Step, Target, left, wait_until_stable},
    quiet::Quiet,
    selection::{Chosen, Selected, why_none},
    telemetry::Inner,
};

/// How long a file may be written to before a reload goes on without it.
const WRITING: Duration = Duration::from_secs(5);
/// What reading and mapping a library may take, besides what its `open` and `probe` may.
const LOADING: Duration = Duration::from_secs(10);

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
    /// Backends that are not what the configuration says: name and reason. One that was there before stays as it was;
    /// for one that is new events wait, and it is tried again.
    pub refused: Vec<(String, String)>,
}

impl Reloaded {
    /// Whether any backend is another than before.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !(self.swapped.is_empty() && self.added.is_empty() && self.removed.is_empty())
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
    /// # Errors
    /// [`Error::Reload`] when a configuration file can't be used, or when no backend would be left, as after its removal:
    /// every backend stays as it is.
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
                not_swapped: board.problems.get(&target.name).map(|problem| problem.reason.clone()),
            }
        };
        board.targets.iter().flatten().map(live).collect()
    }
}

/// What is to become of one backend.
enum Verdict {
    /// It is what it was.
    Same,
    /// It was opened.
    Ready,
    /// It can't be had.
    Refused(String),
}

/// Finds out which backends are to be, and opens what is new.
pub(crate) fn reload(inner: &Arc<Inner>, plans: &Arc<Plans>) -> Result<Reloaded, Error> {
    let collection = inner.consent.read().collection;
    let Selected { targets: wanted, info } = inner.select_for(collection);
    if let Chosen::Broken(reason) = info.why {
        return Err(all_stay(inner, plans, reason));
    }
    let known = {
        let board = plans.board();
        board.targets.as_ref().map(|targets| targets.iter().map(Target::share).collect::<Vec<_>>())
    };
    // A file that was removed, or emptied, is a mistake rather than the wish to lose what comes.
    if wanted.is_empty() && known.as_ref().is_some_and(|known| !known.is_empty()) {
        return Err(all_stay(inner, plans, why_none(&inner.settings)));
    }
    inner.forget_recorder();
    // Whoever delivers first finds out by itself.
    let Some(known) = known else { return Ok(Reloaded::default()) };
    let old_of = |name: &str| known.iter().find(|target| target.name == name);
    let verdicts = prepare_all(&wanted, &old_of);

    let mut reloaded = Reloaded::default();
    let (mut steps, mut board, mut problems) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut swapped = Vec::new();
    for (target, verdict) in wanted.into_iter().zip(verdicts) {
        let (name, old) = (target.name.clone(), old_of(&target.name));
        let keep = match (&verdict, old) {
            (Verdict::Same | Verdict::Refused(_), Some(old)) => Some(old.share()),
            _ => None,
        };
        match (verdict, old) {
            (Verdict::Same, _) => reloaded.unchanged.push(name.clone()),
            (Verdict::Ready, Some(_)) => {
                swapped.push(name.clone());
                reloaded.swapped.push(name.clone());
            }
            (Verdict::Ready, None) => reloaded.added.push(name.clone()),
            (Verdict::Refused(reason), old) => {
                let reason = target.conceal(&reason);
                let stays =
                    if old.is_some() { "stays as it is" } else { "can't be had yet, events wait for it" };
                tracing::warn!("telemetry: backend {name} {stays}: {reason}");
                problems.insert(name.clone(), Problem { at_ms: inner.now_ms(), reason: reason.clone() });
                if old.is_none() {
                    reloaded.added.push(name.clone());
                }
                reloaded.refused.push((name.clone(), reason));
            }
        }
        board.push(keep.as_ref().unwrap_or(&target).share());
        steps.push((name, if keep.is_some() { Step::Keep } else { Step::Put(Box::new(target)) }));
    }
    let gone = known.iter().filter(|old| !board.iter().any(|target| target.name == old.name));
    reloaded.removed = gone.map(|target| target.name.clone()).collect();
    {
        let mut now = plans.board();
        now.problems = problems;
        for name in swapped {
            *now.swaps.entry(name).or_default() += 1;
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
            "telemetry: reloaded"
        );
        plans.post(Plan { steps, local: info.stays_here(collection) });
    }
    Ok(reloaded)
}

/// Says why every backend stays as it is.
fn all_stay(inner: &Inner, plans: &Plans, reason: String) -> Error {
    tracing::warn!("telemetry: all backends stay as they are: {reason}");
    {
        let mut board = plans.board();
        let names: Vec<_> = board.targets.iter().flatten().map(|target| target.name.clone()).collect();
        let problem = Problem { at_ms: inner.now_ms(), reason: reason.clone() };
        board.problems = names.into_iter().map(|name| (name, problem.clone())).collect();
    }
    if let Some(kept) = inner.states() {
        plans.keep_problems(&kept);
    }
    Error::Reload { reason }
}

/// Each on a thread of its own: one that hangs in its constructors keeps the others from nothing.
fn prepare_all<'a>(wanted: &[Target], old_of: &dyn Fn(&str) -> Option<&'a Target>) -> Vec<Verdict> {
    let asked: Vec<_> = wanted
        .iter()
        .map(|target| {
            let old_target = old_of(&target.name);
            let old = old_target.map(Target::share);
            let limit = WRITING + LOADING + target.options.timeout.saturating_mul(2);
            let deadline = Instant::now() + limit;
            let same_config = old.as_ref().is_some_and(|old| same_config(old, target));
            let old = old.and_then(|old| old.opened());
            if same_config && is_untouched(target, old.as_deref()) {
                return Err(Verdict::Same);
            }
            let same_trust = old_target.is_some_and(|old| same_trust(old, target));
            let (answer, answered) = mpsc::sync_channel(1);
            let target = target.share();
            let work = move || {
                let _quiet = Quiet::enter();
                let verdict = prepare(&target, old.filter(|_| same_trust).as_deref(), same_config);
                // Nobody waits for it any more.
                if let Err(mpsc::SendError(_)) = answer.send(verdict) {
                    target.close(target.options.timeout);
                }
            };
            let started = thread::Builder::new().name("jackfield-reload".to_owned()).spawn(work);
            match started {
                Ok(_) => Ok((answered, deadline, limit)),
                Err(error) => Err(Verdict::Refused(format!("no thread to open it on: {error}"))),
            }
        })
        .collect();
    let answer = |asked: Result<(mpsc::Receiver<Verdict>, Instant, Duration), Verdict>| match asked {
        Err(verdict) => verdict,
        Ok((answered, deadline, limit)) => match answered.recv_timeout(left(deadline)) {
            Ok(verdict) => verdict,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                Verdict::Refused(format!("it was not loaded and open after {limit:?}"))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Verdict::Refused("opening it panicked".to_owned()),
        },
    };
    asked.into_iter().map(answer).collect()
}

/// Whether the configurations say the same.
fn same_config(old: &Target, new: &Target) -> bool {
    match (&old.source, &new.source) {
        (Source::Static(old), Source::Static(new)) => Arc::ptr_eq(old, new),
        (
            Source::Plugin { config: old_config, plugins: old_plugins, folder: old_folder },
            Source::Plugin { config, plugins, folder },
        ) => {
            let text = |target: &Target, config| format!("{:?} {config:?}", target.options);
            old_config.config == config.config
                && text(old, old_config) == text(new, config)
                && format!("{old_plugins:?}") == format!("{plugins:?}")
                && old_folder == folder
        }
        _ => false,
    }
}

/// Whether a backend of the same configuration need not be looked at any closer.
fn is_untouched(target: &Target, old: Option<&Open>) -> bool {
    let Source::Plugin { config, plugins, folder } = &target.source else { return true };
    // What is not open takes the file as it is when it opens.
    let Some(old) = old.and_then(|old| old.image.as_ref()) else { return true };
    let file = jackfield_loader::find(&config.plugin, &plugins.path, folder);
    file.is_ok_and(|file| is_image_of(old, &file))
}

/// Whether the file certainly holds the library that was loaded from it.
fn is_image_of(image: &Loaded, file: &Path) -> bool {
    let stamps = || Stamp::of(file).zip(image.stamp.as_ref());
    file == image.file && stamps().is_some_and(|(stamp, earlier)| stamp.is_still(earlier))
}

/// Whether a library that was loaded for the one may be used by the other.
fn same_trust(old: &Target, new: &Target) -> bool {
    match (&old.source, &new.source) {
        (Source::Plugin { plugins: old, .. }, Source::Plugin { plugins: new, .. }) => {
            format!("{old:?}") == format!("{new:?}")
        }
        _ => false,
    }
}

/// Loads, opens and probes a backend, unless it has the configuration of `old` and its bytes, too.
fn prepare(target: &Target, old: Option<&Open>, same_config: bool) -> Verdict {
    match try_to_prepare(target, old, same_config) {
        Ok(verdict) => verdict,
        Err(error) => Verdict::Refused(error.to_string()),
    }
}

fn try_to_prepare(
    target: &Target,
    old: Option<&Open>,
    same_config: bool,
) -> Result<Verdict, jackfield_loader::Error> {
    let timeout = target.options.timeout;
    let open = match &target.source {
        Source::Static(open) => target.open_static(open)?,
        Source::Plugin { config, plugins, folder } => {
            let file = jackfield_loader::find(&config.plugin, &plugins.path, folder)?;
            let image = old.and_then(|old| old.image.as_ref());
            // What is in this process needs no second look.
            if let Some(image) = image.filter(|image| target.can_share(image) && is_image_of(image, &file)) {
                target.open_loaded(image, timeout)?
            } else {
                if !wait_until_stable(&file, Instant::now() + WRITING) {
                    let file = file.display();
                    return Ok(Verdict::Refused(format!(
                        "{file}: somebody is still writing to it after {WRITING:?}; reload once more when it is whole"
                    )));
                }
                let stamp = Stamp::of(&file);
                let candidate = Candidate::open(&file)?;
                let digest: [u8; 32] = Sha256::digest(candidate.bytes()).into();
                if same_config && image.is_some_and(|old| old.digest == digest) {
                    return Ok(Verdict::Same);
                }
                target.open_candidate(plugins, candidate, (file, stamp), timeout)?
            }
        }
    };
    let (images, limit) = (loaded_images(), image_limit());
    if images * 10 >= limit * 9 {
        tracing::warn!(
            "telemetry: {images} libraries are loaded of at most {limit}, and none is ever unloaded: restart the tool \
             some time, or use isolation = \"process\" for what changes often"
        );
    }
    let name = &target.name;
    match open.probe(timeout) {
        Probe::Refused(text) => {
            target.close(timeout);
            return Ok(Verdict::Refused(format!("its platform does not accept it: {text}")));
        }
        Probe::Unreachable(text) => {
            tracing::warn!(
                "telemetry: backend {name}: its platform can't be reached: {}",
                target.conceal(&text)
            );
        }
        Probe::Reachable(text) | Probe::Unsupported(text) => tracing::debug!("backend {name}: {text}"),
    }
    Ok(Verdict::Ready)
}
