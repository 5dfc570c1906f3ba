//! `jackfield lock`: records which plugins exist, for `trust = "pinned"`. It runs none of them.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use jackfield::forward::Lock;
use jackfield::{Config, Error};
use jackfield_loader::{Candidate, Pin, Pins, Policy, Trust, count, show_path};
use serde::Serialize;

use crate::{
    console,
    exit::{CommandError, Exit},
    help::Help,
    log,
    settings::CommonArgs,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield lock\n  jackfield lock --check\n  jackfield lock --update rabbitmq",
    notes: "The lock file is that of `lock` in [plugins], by default jackfield.lock beside the\n\
         configuration. It has the plugins of the backends and those on the search path. A line\n\
         `minimum = \"1.2.0\"` that you add to a plugin is kept, and no older version is recorded.\n\
         A plugin whose owner, name or version is refused is left out.\n\n\
         With --json, one object: lock, plugins (how many), written, changes (change, name,\n\
         target, old, new: version and sha256), refusals.",
};

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// Write nothing, and fail if the lock file differs from the plugins
    #[arg(long)]
    check: bool,
    /// Record only the plugin whose metadata has this name; may be given several times
    #[arg(long, value_name = "NAME")]
    update: Vec<String>,
}

/// The result of a run.
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
    old: Option<Build>,
    new: Option<Build>,
}

#[derive(Serialize)]
struct Build {
    version: String,
    sha256: String,
}

pub(crate) fn run(common: &CommonArgs, args: &LockArgs) -> Result<Exit, CommandError> {
    let (summary, exit) = lock(&common.configuration()?, args)?;
    if common.json {
        console::print_json(&summary)?;
    } else {
        summary.refusals.iter().for_each(log::error);
        console::print(&summary.to_text())?;
    }
    Ok(exit)
}

fn lock(config: &Config, args: &LockArgs) -> Result<(Summary, Exit), CommandError> {
    let Some(file) = &config.plugins.lock else {
        let refusal =
            "without a configuration file there is no place for the lock file: name one by --config";
        return Err(CommandError::ConfigContent(refusal.to_owned()));
    };
    let old = match Lock::read(file) {
        Ok(lock) => lock,
        Err(Error::ReadLock { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            Lock::new(file, Vec::new())
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let mut refusals = Vec::new();
    let files = files(config, &mut refusals);
    let (pins, kept) = (BTreeMap::new(), Vec::new());
    let mut found = Found { old: old.pins(), lock: file, only: &args.update, pins, kept, refusals };
    for (path, configured) in files {
        found.take(&path, configured);
    }
    for name in args.update.iter().filter(|name| !found.pins.keys().any(|(found, _)| found == *name)) {
        let refusal = format!("no plugin that calls itself {name:?} is on the search path or configured");
        found.refusals.push(refusal);
    }
    found.keep_old_pins();
    let changes = changes(found.old, &found.pins);
    let Found { pins, refusals, .. } = found;
    let new = old.with(pins.into_values().collect());
    let written = !args.check && (!changes.is_empty() || fs::symlink_metadata(file).is_err());
    if written {
        new.write().map_err(|error| CommandError::Unusable(error.to_string()))?;
    }
    let differs = args.check && !changes.is_empty();
    let exit = if differs || !refusals.is_empty() { Exit::Plugin } else { Exit::Done };
    let (lock, plugins) = (show_path(file).to_string(), new.pins().len());
    Ok((Summary { lock, plugins, written, changes, refusals }, exit))
}

/// A plugin's name and target.
type Key = (String, String);

fn key(pin: &Pin) -> Key {
    (pin.name.clone(), pin.target.clone())
}

/// The plugins of the configuration's backends, and then those on the search path: each file once, and
/// whether a backend uses it.
fn files(config: &Config, refusals: &mut Vec<String>) -> Vec<(PathBuf, bool)> {
    let mut files = Vec::<(PathBuf, bool)>::new();
    let plugins = &config.plugins;
    for backend in &config.backends {
        match jackfield_loader::find(&backend.plugin, &plugins.path, &config.folder) {
            // What is built in is pinned with the program.
            Ok(plugin) => files.extend(plugin.file().map(|file| (file.to_owned(), true))),
            Err(refusal) => refusals.push(format!("backend `{}`: {refusal}", backend.name)),
        }
    }
    files.extend(jackfield_loader::list(&plugins.path).into_iter().map(|file| (file, false)));
    let mut seen = HashSet::new();
    files.retain(|(file, _)| seen.insert(fs::canonicalize(file).unwrap_or_else(|_| file.clone())));
    files
}

struct Found<'a> {
    /// The pins of the lock as it is.
    old: &'a [Pin],
    lock: &'a Path,
    /// The names of the plugins to record; all if empty.
    only: &'a [String],
    pins: BTreeMap<Key, Pin>,
    /// The plugins whose file is refused. Their old pins are kept.
    kept: Vec<Key>,
    refusals: Vec<String>,
}

impl Found<'_> {
    fn is_wanted(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == name)
    }

    /// Adds a file, unless the policy would refuse the file even with its pin.
    fn take(&mut self, path: &Path, configured: bool) {
        let candidate = match Candidate::open(path) {
            Ok(candidate) => candidate,
            Err(refusal) if configured => return self.refusals.push(refusal.to_string()),
            Err(refusal) => return log::warn(format_args!("left out: {refusal}")),
        };
        let metadata = &candidate.inspection().metadata;
        if !self.is_wanted(metadata.name.as_raw()) {
            return;
        }
        let (name, target) = (metadata.name.as_raw().to_owned(), metadata.target.as_raw().to_owned());
        let key = (name.clone(), target.clone());
        let place = candidate.place_allowed_by(Trust::Pinned);
        let content = place.and_then(|()| Ok((candidate.digest()?, candidate.bytes()?.len() as u64)));
        let (sha256, size) = match content {
            Ok(content) => content,
            Err(refusal) if self.pins.contains_key(&key) => {
                return log::warn(format_args!("left out: {refusal}"));
            }
            Err(refusal) => {
                self.kept.push(key);
                return self.refusals.push(refusal.to_string());
            }
        };
        let minimum = self.old.iter().find(|old| self::key(old) == key).and_then(|old| old.minimum.clone());
        let version = metadata.version.as_raw().to_owned();
        let pin = Pin { name, version, sha256, size, target, minimum };
        if let Some(first) = self.pins.get(&key) {
            if first.sha256 != pin.sha256 {
                let ((name, target), path) = (key, show_path(path));
                log::warn(format_args!("left out: {path}: another {name} for {target} comes before it"));
            }
            return;
        }
        let policy = Policy::new(Trust::Pinned).pins(Ok(Pins::new(self.lock, vec![pin.clone()])));
        match candidate.allowed_by(policy) {
            Ok(()) => drop(self.pins.insert(key, pin)),
            Err(refusal) => {
                self.kept.push(key);
                self.refusals.push(refusal.to_string());
            }
        }
    }

    /// Keeps the pins of plugins that are not wanted or whose file is refused.
    fn keep_old_pins(&mut self) {
        for pin in self.old {
            if !self.is_wanted(&pin.name) || self.kept.contains(&key(pin)) {
                self.pins.entry(key(pin)).or_insert_with(|| pin.clone());
            }
        }
    }
}

fn changes(old: &[Pin], new: &BTreeMap<Key, Pin>) -> Vec<Change> {
    let build = |pin: &Pin| Build { version: pin.version.clone(), sha256: pin.sha256.to_string() };
    let change = |change, (name, target): Key, old: Option<&Pin>, new: Option<&Pin>| Change {
        change,
        name,
        target,
        old: old.map(build),
        new: new.map(build),
    };
    let removed = old.iter().filter(|pin| !new.contains_key(&key(pin)));
    let removed = removed.map(|pin| change("removed", key(pin), Some(pin), None));
    let present = new.values().filter_map(|pin| match old.iter().find(|old| key(old) == key(pin)) {
        None => Some(change("added", key(pin), None, Some(pin))),
        Some(old) if old != pin => Some(change("changed", key(pin), Some(old), Some(pin))),
        Some(_) => None,
    });
    present.chain(removed).collect()
}

impl Summary {
    fn to_text(&self) -> String {
        let mut lines = Vec::new();
        for Change { change, name, target, old, new } in &self.changes {
            let what = |build: &Build| format!("{} sha256 {}", build.version, build.sha256);
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
