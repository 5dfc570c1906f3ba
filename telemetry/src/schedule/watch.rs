//! An automatic reload when a configuration file, a file of a value in it, a plugin's file, its signature, the lock, or a file
//! that a backend has read when it opened, such as a certificate, changes.
//!
//! The folders of these files are watched, because a replaced file is another file. After each report of the system the files
//! are examined. A reload follows when size, times or identity of a file have changed, and nobody has written to the file for
//! 300 ms.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Weak, mpsc},
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{Location, show_path};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::delivery::configured_backend::Source;
use crate::files::{Stamp, Stamps, wait_until_stable};
use crate::instance::context::Context;
use crate::instance::select_backends::Selected;
use crate::process::ReentrancyGuard;

/// The time for which reports are collected. One change of a file causes several.
const TOGETHER: Duration = Duration::from_millis(20);
/// The interval of the check whether the telemetry still exists.
const ALIVE: Duration = Duration::from_millis(500);
/// The longest time that a reload waits for a file that somebody writes to.
const WRITING: Duration = Duration::from_secs(30);

/// A telemetry that is reloaded when a file changes.
pub(crate) trait Reload: Send + Sync {
    /// Whether the telemetry has been closed.
    fn is_closed(&self) -> bool;

    /// The files that open backends have read, with their stamps before that.
    fn inputs(&self) -> Stamps;

    /// Reloads. A fault of the configuration goes to the log.
    fn reload(&self, context: &Context);
}

/// Watches on its own thread until the telemetry is closed or dropped.
pub(crate) fn start(reload: Weak<dyn Reload>, context: &Arc<Context>) {
    let weak = (reload, Arc::downgrade(context));
    let (tell, told) = mpsc::channel();
    let report = move |event: notify::Result<notify::Event>| {
        // A reload itself reads the files.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            let _ = tell.send(());
        }
    };
    let started =
        notify::recommended_watcher(report).map_err(|error| error.to_string()).and_then(|watcher| {
            // The files are in force as they are now.
            let (seen, watched) = (seen(context), Watched { watcher, folders: BTreeSet::new() });
            let thread = thread::Builder::new().name(format!("watch-{}", context.settings.tool));
            thread.spawn(move || watch(&weak, &told, watched, seen)).map_err(|error| error.to_string())
        });
    if let Err(error) = started {
        tracing::warn!("telemetry: changes of the configuration take a reload or a restart: {error}");
    }
}

/// The folders that are watched.
struct Watched {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
}

impl Watched {
    fn update(&mut self, folders: BTreeSet<PathBuf>) {
        for gone in self.folders.difference(&folders) {
            let _ = self.watcher.unwatch(gone);
        }
        let mut watched = BTreeSet::new();
        for folder in folders {
            if !self.folders.contains(&folder)
                && let Err(error) = self.watcher.watch(&folder, RecursiveMode::NonRecursive)
            {
                tracing::debug!("{} is not watched: {error}", show_path(&folder));
                continue;
            }
            watched.insert(folder);
        }
        self.folders = watched;
    }
}

fn watch(
    weak: &(Weak<dyn Reload>, Weak<Context>),
    told: &mpsc::Receiver<()>,
    mut watched: Watched,
    mut before: Stamps,
) {
    let _quiet = ReentrancyGuard::enter();
    let (mut look, mut inputs) = (true, Stamps::new());
    // The inputs that the last reload tried: it may have kept a backend that has read others.
    let mut tried = Stamps::new();
    loop {
        {
            let (Some(reload), Some(context)) = (weak.0.upgrade(), weak.1.upgrade()) else { return };
            if reload.is_closed() {
                return;
            }
            // A backend has opened.
            let opened = reload.inputs();
            look |= opened != inputs;
            inputs = opened;
            if look {
                watched.update(folders(&context, &inputs));
                let now = stable(&context, &inputs);
                let found = Stamp::of_files(inputs.iter().map(|(file, _)| file.clone()));
                if before != now || found != inputs && found != tried {
                    reload.reload(&context);
                    tried = found;
                    inputs = reload.inputs();
                    watched.update(folders(&context, &inputs));
                }
                before = now;
            }
        }
        look = match told.recv_timeout(ALIVE) {
            Ok(()) => {
                thread::sleep(TOGETHER);
                while told.try_recv().is_ok() {}
                true
            }
            Err(mpsc::RecvTimeoutError::Timeout) => false,
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
    }
}

/// The files, once nobody writes to them.
fn stable(context: &Context, inputs: &Stamps) -> Stamps {
    let deadline = Instant::now() + WRITING;
    loop {
        for (file, _) in seen(context).iter().chain(inputs) {
            wait_until_stable(file, deadline);
        }
        let first = seen(context);
        let is_stable = |(file, _): &(PathBuf, Option<Stamp>)| wait_until_stable(file, Instant::now());
        if Instant::now() >= deadline || first.iter().chain(inputs).all(is_stable) {
            return first;
        }
    }
}

fn config_files(context: &Context) -> impl Iterator<Item = PathBuf> {
    [&context.settings.ops_file, &context.settings.config_file].into_iter().flatten().cloned()
}

/// The files that a reload depends on.
fn seen(context: &Context) -> Stamps {
    let Selected { targets, value_files, .. } = context.select();
    let mut files: Vec<PathBuf> = config_files(context).chain(value_files).collect();
    for target in targets {
        if let Source::Plugin { config, plugins, folder } = &target.source {
            let found = jackfield_loader::find(&config.plugin, &plugins.path, folder);
            if let Ok(Location::File(file)) = found {
                // A signature may be added after its file. It is beside the file that a link leads to.
                let mut signature = fs::canonicalize(&file).unwrap_or_else(|_| file.clone()).into_os_string();
                signature.push(".minisig");
                files.extend([file, signature.into()]);
            }
            files.extend(plugins.lock.clone());
        }
    }
    Stamp::of_files(files)
}

/// The folders of these files, and the folders where such a file may be added.
fn folders(context: &Context, inputs: &Stamps) -> BTreeSet<PathBuf> {
    let of = |file: &Path| file.parent().map(Path::to_owned);
    let inputs = || inputs.iter().map(|(file, _)| file.clone());
    let Selected { targets, value_files, .. } = context.select();
    let mut folders: BTreeSet<PathBuf> =
        config_files(context).chain(inputs()).chain(value_files).filter_map(|file| of(&file)).collect();
    for target in targets {
        if let Source::Plugin { config, plugins, folder } = &target.source {
            folders.extend(plugins.lock.as_deref().and_then(of));
            let name = Path::new(&config.plugin);
            if name.components().count() > 1 || name.extension().is_some() {
                folders.extend(of(&folder.join(name)));
            } else {
                folders.extend(plugins.path.iter().cloned());
            }
        }
    }
    // The file behind a link may change, too.
    let files = seen(context).into_iter().map(|(file, _)| file).chain(inputs());
    let files = files.filter_map(|file| fs::canonicalize(file).ok());
    folders.extend(files.filter_map(|file| of(&file)));
    folders.retain(|folder| folder.is_dir());
    folders
}
