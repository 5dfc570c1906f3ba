//! Opens the changed backends of a reload beside the old ones. The verdict for each backend: unchanged, opened, refused, or
//! distrusted. `reload.rs` decides what follows from it.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{Candidate, Trust, image_limit, loaded_images, plugin_api::Probe, show_path};

use crate::delivery::open_backend::{Loaded, OpenError, PluginSource};
use crate::delivery::target::{Open, Source, Target};
use crate::files::{Stamp, wait_until_stable};
use crate::process::{ReentrancyGuard, left};

/// How long a file may be written to before a reload goes on without it.
const WRITING: Duration = Duration::from_secs(5);
/// What reading and mapping a library may take, besides what its `open` and `probe` may.
const LOADING: Duration = Duration::from_secs(10);

/// What is to become of one backend.
pub(super) enum Verdict {
    /// It is what it was.
    Same,
    /// It was opened.
    Ready,
    /// It can't be had.
    Refused(String),
    /// It can't be had, and the trust policy refuses the one that is open, too.
    Distrusted(String),
}

/// What a reload is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Other backends.
    Everything,
    /// Only whether those that are open are trusted still.
    Trust,
}

/// What the thread says that looks after one backend: first whether the trust policy refuses the one that is open.
enum Told {
    Distrust(String),
    Verdict(Verdict),
}

struct Asked {
    told: mpsc::Receiver<Told>,
    deadline: Instant,
    limit: Duration,
}

impl Asked {
    fn verdict(self) -> Verdict {
        let Self { told, deadline, limit } = self;
        let mut distrust = None;
        let verdict = loop {
            match told.recv_timeout(left(deadline)) {
                Ok(Told::Distrust(reason)) => distrust = Some(reason),
                Ok(Told::Verdict(verdict)) => break verdict,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    break Verdict::Refused(format!("it was not loaded and open after {limit:?}"));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    break Verdict::Refused("opening it panicked".to_owned());
                }
            }
        };
        match (verdict, distrust) {
            (Verdict::Same, Some(reason)) => Verdict::Distrusted(reason),
            (Verdict::Refused(new), Some(old)) if new == old => Verdict::Distrusted(new),
            (Verdict::Refused(new), Some(old)) => {
                Verdict::Distrusted(format!("{new}; and the one that was open: {old}"))
            }
            (verdict, _) => verdict,
        }
    }
}

/// Each on a thread of its own: one that hangs in its constructors keeps the others from nothing.
pub(super) fn prepare_all<'a>(
    wanted: &[Arc<Target>],
    old_of: &dyn Fn(&str) -> Option<&'a Arc<Target>>,
    look: Look,
) -> Vec<Verdict> {
    let asked: Vec<_> = wanted.iter().map(|target| ask(target, old_of(&target.name), look)).collect();
    asked.into_iter().map(|asked| asked.map_or_else(|verdict| verdict, Asked::verdict)).collect()
}

fn ask(target: &Arc<Target>, old: Option<&Arc<Target>>, look: Look) -> Result<Asked, Verdict> {
    let limit = WRITING + LOADING + target.options.timeout.saturating_mul(2);
    let deadline = Instant::now() + limit;
    let same_config = old.is_some_and(|old| same_config(old, target));
    let same_trust = old.is_some_and(|old| same_trust(old, target));
    let open = old.and_then(|old| old.opened());
    let untouched = look == Look::Trust || same_config && is_untouched(target, open.as_deref());
    if untouched && !is_judged(target) {
        return Err(Verdict::Same);
    }
    let (tell, told) = mpsc::sync_channel(2);
    let name = format!("open-{}", target.name);
    let target = Arc::clone(target);
    let work = move || {
        let _quiet = ReentrancyGuard::enter();
        let distrust = distrust(&target, open.as_deref(), untouched);
        let trusted = distrust.is_none();
        if let Some(reason) = distrust {
            let _ = tell.send(Told::Distrust(reason));
        }
        let verdict = if untouched {
            Verdict::Same
        } else {
            prepare(&target, open.filter(|_| same_trust && trusted).as_deref(), same_config)
        };
        // Nobody waits for it any more.
        if let Err(mpsc::SendError(_)) = tell.send(Told::Verdict(verdict)) {
            target.close(target.options.timeout);
        }
    };
    match thread::Builder::new().name(name).spawn(work) {
        Ok(_) => Ok(Asked { told, deadline, limit }),
        Err(error) => Err(Verdict::Refused(format!("no thread to open it on: {error}"))),
    }
}

/// Whether a trust policy has anything to ask of a backend.
fn is_judged(target: &Target) -> bool {
    matches!(&target.source, Source::Plugin { plugins, .. } if plugins.trust != Trust::Any)
}

/// Why the trust policy refuses the open plugin or, if the backend is closed and stays closed, the file that would be opened.
fn distrust(target: &Target, open: Option<&Open>, stays: bool) -> Option<String> {
    let Source::Plugin { config, plugins, folder } = &target.source else { return None };
    let policy = plugins.policy();
    let judged = match open {
        Some(open) => open.image.as_ref()?.still_allowed_by(&policy),
        None if stays => jackfield_loader::find(&config.plugin, &plugins.path, folder)
            .and_then(|file| Candidate::open(&file)?.allowed_by(&policy)),
        None => return None,
    };
    match judged {
        Err(error @ jackfield_loader::Error::Verify { .. }) => Some(config.conceal(&error.to_string())),
        _ => None,
    }
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
    let stamps = || Stamp::of_file(file).zip(image.stamp.as_ref());
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
        Err(error) => Verdict::Refused(target.explained(error).to_string()),
    }
}

fn try_to_prepare(target: &Target, old: Option<&Open>, same_config: bool) -> Result<Verdict, OpenError> {
    let timeout = target.options.timeout;
    let open = match &target.source {
        Source::Static(open) => target.open_static(open, timeout)?,
        Source::Plugin { config, plugins, folder } => {
            let plugin = PluginSource { config, plugins, folder };
            let file = plugin.find()?;
            let image = old.and_then(|old| old.image.as_ref());
            // What is in this process needs no second look.
            if let Some(image) =
                image.filter(|image| image.is_for(&target.options.isolation) && is_image_of(image, &file))
            {
                target.open_loaded(plugin, image, timeout)?
            } else {
                if !wait_until_stable(&file, Instant::now() + WRITING) {
                    let file = show_path(&file);
                    return Ok(Verdict::Refused(format!(
                        "{file}: somebody is still writing to it after {WRITING:?}; reload once more when it is whole"
                    )));
                }
                let file = plugin.read_from(file)?;
                if same_config && image.is_some_and(|old| old.digest == file.digest) {
                    // It may have been found in another place.
                    plugin.trusts(&file)?;
                    return Ok(Verdict::Same);
                }
                target.open_file(plugin, file, timeout)?
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
