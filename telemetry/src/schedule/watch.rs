//! A reload by itself, when a configuration file, a plugin's file, its signature or the lock changes.
//!
//! The folders of these files are watched, since a file that is replaced is another one. What the system reports is only
//! the occasion to look: a reload follows when a file's size, times or identity have changed and nobody has written to it
//! for 300 ms, which a file that was renamed into place mostly need not wait for.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Weak, mpsc},
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::show_path;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::delivery::target::Source;
use crate::files::{Stamp, wait_until_stable};
use crate::instance::context::Context;
use crate::process::ReentrancyGuard;

/// One change of a file comes as several events.
const TOGETHER: Duration = Duration::from_millis(20);
/// How often it is looked whether there is a telemetry yet that may be reloaded.
const ALIVE: Duration = Duration::from_millis(500);
/// For how long a file may be written to before the others no longer wait for it.
const WRITING: Duration = Duration::from_secs(30);

/// What was seen of each file.
type Seen = Vec<File>;
type File = (PathBuf, Option<Stamp>);

/// What a change of a file makes reload.
pub(crate) trait Reload: Send + Sync {
    /// Whether the telemetry has been closed.
    fn is_closed(&self) -> bool;

    /// Reloads. What is wrong with the configuration goes to the log.
    fn reload(&self, context: &Context);
}

/// Watches for as long as the telemetry lives, on a thread of its own.
pub(crate) fn start(reload: Weak<dyn Reload>, context: &Arc<Context>) {
    let weak = (reload, Arc::downgrade(context));
    let (tell, told) = mpsc::channel();
    let report = move |event: notify::Result<notify::Event>| {
        // Reading, which a reload does itself, is no change.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            let _ = tell.send(());
        }
    };
    let started =
        notify::recommended_watcher(report).map_err(|error| error.to_string()).and_then(|watcher| {
            // What is so now is what is in force.
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
    mut before: Seen,
) {
    let _quiet = ReentrancyGuard::enter();
    let mut look = true;
    loop {
        {
            let (Some(reload), Some(context)) = (weak.0.upgrade(), weak.1.upgrade()) else { return };
            if reload.is_closed() {
                return;
            }
            if look {
                watched.update(folders(&context));
                let now = stable(&context);
                if !is_same(&before, &now) {
                    reload.reload(&context);
                    watched.update(folders(&context));
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

/// What the files are like once nobody writes to them.
fn stable(context: &Context) -> Seen {
    let deadline = Instant::now() + WRITING;
    loop {
        for (file, _) in seen(context) {
            wait_until_stable(&file, deadline);
        }
        let first = seen(context);
        if Instant::now() >= deadline || first.iter().all(|(file, _)| wait_until_stable(file, Instant::now()))
        {
            return first;
        }
    }
}

fn is_same(before: &Seen, now: &Seen) -> bool {
    let same = |(before, now): (&File, &File)| {
        before.0 == now.0
            && match (&before.1, &now.1) {
                (Some(before), Some(now)) => now.same_file(before),
                (before, now) => before.is_none() == now.is_none(),
            }
    };
    before.len() == now.len() && before.iter().zip(now).all(same)
}

fn config_files(context: &Context) -> impl Iterator<Item = PathBuf> {
    [&context.settings.ops_file, &context.settings.config_file].into_iter().flatten().cloned()
}

/// The files that decide.
fn seen(context: &Context) -> Seen {
    let mut files: Vec<PathBuf> = config_files(context).collect();
    for target in context.select().targets {
        if let Source::Plugin { config, plugins, folder } = &target.source {
            if let Ok(file) = jackfield_loader::find(&config.plugin, &plugins.path, folder) {
                // A signature may come after what it is of. It is beside the file, where a link leads to that.
                let mut signature = fs::canonicalize(&file).unwrap_or_else(|_| file.clone()).into_os_string();
                signature.push(".minisig");
                files.extend([file, signature.into()]);
            }
            files.extend(plugins.lock.clone());
        }
    }
    files.into_iter().map(|file| (Stamp::of_file(&file), file)).map(|(stamp, file)| (file, stamp)).collect()
}

/// The folders that they are in, and those in which one may appear.
fn folders(context: &Context) -> BTreeSet<PathBuf> {
    let of = |file: &Path| file.parent().map(Path::to_owned);
    let mut folders: BTreeSet<PathBuf> = config_files(context).filter_map(|file| of(&file)).collect();
    for target in context.select().targets {
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
    // What links lead to changes there.
    let files = seen(context).into_iter().filter_map(|(file, _)| fs::canonicalize(file).ok());
    folders.extend(files.filter_map(|file| of(&file)));
    folders.retain(|folder| folder.is_dir());
    folders
}
