//! `jackfield lock`: records which plugins exist, for `trust = "pinned"`. It runs none of them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use jackfield::forward::Lock;
use jackfield::{Config, Error};
use jackfield_loader::{Candidate, Pin, Pins, Policy, Trust, count, show_path};
use serde::Serialize;

use crate::{
    common_args::{CommonArgs, Help},
    console,
    exit::{CommandError, Exit},
    log, output, settings,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield lock\n  jackfield lock --check\n  jackfield lock --update rabbitmq",
    notes: "The lock is the file of `lock` in [plugins], by default jackfield.lock beside the\nconfiguration. It has the \
         plugins of the backends and those on the search path. A line\n`minimum = \"1.2.0\"` that you add to a plugin \
         stays, and no older version is taken in.\nA plugin that is refused (its owner, its name, its version) is left \
         out.\n\nWith --json, one object: lock, plugins (how many), written, changes (change, name,\ntarget, old, \
         new: version and sha256), refusals.",
};

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// Write nothing, and fail if the lock is not as the plugins are
    #[arg(long)]
    pub(crate) check: bool,
    /// Take in the plugin that calls itself so, and leave the others as they are; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) update: Vec<String>,
}

/// What a run found.
#[derive(Serialize)]
struct Summary {
    lock: String,
    plugins: usize,
    written: bool,
    changes: Vec<Change>,
    refusals: Vec<String>,
}

/// A difference between the lock and the plugins.
#[derive(Serialize)]
struct Change {
    change: &'static str,
    name: String,
    target: String,
    old: Option<Was>,
    new: Option<Was>,
}

#[derive(Serialize)]
struct Was {
    version: String,
    sha256: String,
}

pub(crate) fn run(common: &CommonArgs, args: &LockArgs) -> Result<Exit, CommandError> {
    let (summary, exit) = lock(common, args)?;
    if common.json {
        output::json(&summary)?;
    } else {
        for refusal in &summary.refusals {
            log::error(refusal);
        }
        output::text(&summary.to_text())?;
    }
    Ok(exit)
}

fn lock(common: &CommonArgs, args: &LockArgs) -> Result<(Summary, Exit), CommandError> {
    let config = settings::load(common.config.as_deref())?;
    let Some(file) = &config.plugins.lock else {
        let refusal = "there is no configuration file that the lock could lie beside: name one by --config";
        return Err(CommandError::ConfigContent(refusal.to_owned()));
    };
    let old = match Lock::read(file) {
        Ok(lock) => lock,
        Err(Error::ReadLock { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Lock::new(file, Vec::new())
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let mut found = Found::default();
    let wanted = |name: &str| args.update.is_empty() || args.update.iter().any(|wanted| wanted == name);
    for (path, configured) in files(&config, &mut found.refusals) {
        found.take(&path, configured, file, &old, &wanted);
    }
    for name in args.update.iter().filter(|name| !found.pins.keys().any(|(found, _)| found == *name)) {
        found
            .refusals
            .push(format!("no plugin that calls itself {name:?} is on the search path or configured"));
    }
    // The pin of a plugin that was not asked for, or that is refused, stays as it is.
    let kept = old.pins().iter().filter(|pin| !wanted(&pin.name) || found.kept.contains(&key(pin)));
    for pin in kept {
        found.pins.entry(key(pin)).or_insert_with(|| pin.clone());
    }
    let changes = changes(old.pins(), &found.pins);
    let new = old.with(found.pins.into_values().collect());
    let written = !args.check && (!changes.is_empty() || fs::symlink_metadata(file).is_err());
    if written {
        new.write().map_err(|error| CommandError::Unusable(error.to_string()))?;
    }
    let differs = args.check && !changes.is_empty();
    let exit = if differs || !found.refusals.is_empty() { Exit::Plugin } else { Exit::Done };
    let summary = Summary {
        lock: show_path(file).to_string(),
        plugins: new.pins().len(),
        written,
        changes,
        refusals: found.refusals,
    };
    Ok((summary, exit))
}

/// A plugin's name and target.
type Key = (String, String);

fn key(pin: &Pin) -> Key {
    (pin.name.clone(), pin.target.clone())
}

/// The plugins that the configuration's backends use, and then those on the search path; each file once, and whether it is
/// configured.
fn files(config: &Config, refusals: &mut Vec<String>) -> Vec<(PathBuf, bool)> {
    let mut files = Vec::<(PathBuf, bool)>::new();
    let plugins = &config.plugins;
    for backend in &config.backends {
        match jackfield_loader::find(&backend.plugin, &plugins.path, &config.folder) {
            Ok(file) => files.push((file, true)),
            Err(refusal) => refusals.push(format!("backend `{}`: {refusal}", backend.name)),
        }
    }
    files.extend(jackfield_loader::list(&plugins.path).into_iter().map(|file| (file, false)));
    let mut seen = Vec::new();
    files.retain(|(file, _)| {
        let real = fs::canonicalize(file).unwrap_or_else(|_| file.clone());
        let new = !seen.contains(&real);
        seen.push(real);
        new
    });
    files
}

#[derive(Default)]
struct Found {
    pins: BTreeMap<Key, Pin>,
    /// The plugins whose file is refused: their old pins stay.
    kept: Vec<Key>,
    refusals: Vec<String>,
}

impl Found {
    /// Adds a file, unless the policy would refuse the file even with its pin.
    fn take(
        &mut self,
        path: &Path,
        configured: bool,
        lock: &Path,
        old: &Lock,
        wanted: &dyn Fn(&str) -> bool,
    ) {
        let candidate = match Candidate::open(path) {
            Ok(candidate) => candidate,
            Err(refusal) if configured => return self.refusals.push(refusal.to_string()),
            Err(refusal) => return log::warn(format_args!("left out: {refusal}")),
        };
        let metadata = &candidate.inspection().metadata;
        if !wanted(metadata.name.as_raw()) {
            return;
        }
        let mut pin = Pin {
            name: metadata.name.as_raw().to_owned(),
            version: metadata.version.as_raw().to_owned(),
            sha256: candidate.digest(),
            size: candidate.bytes().len() as u64,
            target: metadata.target.as_raw().to_owned(),
            minimum: None,
        };
        let key = key(&pin);
        pin.minimum = old.pins().iter().find(|old| self::key(old) == key).and_then(|old| old.minimum.clone());
        if let Some(first) = self.pins.get(&key) {
            if first.sha256 != pin.sha256 {
                let (name, target) = key;
                let path = show_path(path);
                log::warn(format_args!("left out: {path}: another {name} for {target} comes before it"));
            }
            return;
        }
        let policy = Policy::new(Trust::Pinned).pins(Ok(Pins::new(lock, vec![pin.clone()])));
        match candidate.allowed_by(policy) {
            Ok(()) => drop(self.pins.insert(key, pin)),
            Err(refusal) => {
                self.kept.push(key);
                self.refusals.push(refusal.to_string());
            }
        }
    }
}

fn changes(old: &[Pin], new: &BTreeMap<Key, Pin>) -> Vec<Change> {
    let was = |pin: &Pin| Was { version: pin.version.clone(), sha256: pin.sha256.to_string() };
    let change = |change, old: Option<&Pin>, new: Option<&Pin>| {
        let (name, target) = new.or(old).map(key).unwrap_or_default();
        Change { change, name, target, old: old.map(was), new: new.map(was) }
    };
    let removed =
        old.iter().filter(|pin| !new.contains_key(&key(pin))).map(|pin| change("removed", Some(pin), None));
    let there = new.values().filter_map(|pin| match old.iter().find(|old| key(old) == key(pin)) {
        None => Some(change("added", None, Some(pin))),
        Some(old) if old != pin => Some(change("changed", Some(old), Some(pin))),
        Some(_) => None,
    });
    there.chain(removed).collect()
}

impl Summary {
    fn to_text(&self) -> String {
        let mut lines = Vec::new();
        for Change { change, name, target, old, new } in &self.changes {
            let what = |was: &Was| format!("{} sha256 {}", was.version, was.sha256);
            let what = match (old, new) {
                (Some(old), Some(new)) => format!("{}, now {}", what(old), what(new)),
                (old, new) => old.iter().chain(new).map(what).collect(),
            };
            lines.push(format!("{change:<7} {name} for {target}: {what}"));
        }
        let state = match (self.changes.is_empty(), self.written) {
            (true, false) => "up to date",
            (_, true) => "written",
            (false, false) => "differs from the plugins",
        };
        lines.push(format!("{}: {}, {state}", self.lock, count(self.plugins, "plugin")));
        lines.iter().map(|line| format!("{}\n", console::one_line(line))).collect()
    }
}
