//! Opens the changed backends of a reload beside the old ones. `reload.rs` decides what happens then to each backend.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{Candidate, Location, Trust, image_limit, loaded_images, plugin_api::Probe};

use crate::delivery::configured_backend::{ConfiguredBackend, Open, Source};
use crate::delivery::open_backend::{Loaded, OpenError, PluginSource};
use crate::files::{Stamp, wait_until_stable};
use crate::process::{ReentrancyGuard, left};

/// The longest time that a reload waits for a file that somebody writes to.
const WRITING: Duration = Duration::from_secs(5);
/// The time for reading and mapping a library, besides the time of its `open` and `probe`.
const LOADING: Duration = Duration::from_secs(10);

/// The result for one backend.
pub(super) enum Prepared {
    /// The backend has not changed.
    Same,
    /// The new backend is open.
    Ready,
    /// The new backend can't be opened.
    Refused(OpenError),
    /// The new backend can't be opened, and the trust policy refuses the open one.
    Distrusted(OpenError),
}

/// The subject of a reload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Everything,
    /// Only whether the trust policy still allows the open backends.
    Trust,
}

/// A message of the thread that prepares one backend.
enum Told {
    /// The trust policy refuses the open backend. This message comes first.
    Distrust(OpenError),
    Prepared(Prepared),
}

/// A backend that a thread prepares.
struct Asked {
    backend: String,
    told: mpsc::Receiver<Told>,
    deadline: Instant,
    limit: Duration,
}

impl Asked {
    /// Waits for the result.
    fn prepared(self) -> Prepared {
        let Self { backend, told, deadline, limit } = self;
        let mut distrust = None;
        let prepared = loop {
            match told.recv_timeout(left(deadline)) {
                Ok(Told::Distrust(reason)) => distrust = Some(reason),
                Ok(Told::Prepared(prepared)) => break prepared,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let reason = format!("it was not loaded and open after {limit:?}");
                    break Prepared::Refused(OpenError::Unavailable { reason: reason.into() });
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    break Prepared::Refused(OpenError::panicked(&backend));
                }
            }
        };
        match (prepared, distrust) {
            (Prepared::Same, Some(reason)) => Prepared::Distrusted(reason),
            (Prepared::Refused(new), Some(old)) if new == old => Prepared::Distrusted(new),
            (Prepared::Refused(new), Some(old)) => {
                let reason = format!("{new}; and the one that was open: {old}");
                Prepared::Distrusted(OpenError::Plugin { reason: reason.into(), ran: false })
            }
            (prepared, _) => prepared,
        }
    }
}

/// Prepares each backend on its own thread, so that a plugin that hangs does not delay the others.
pub(super) fn prepare_all<'a>(
    wanted: &[Arc<ConfiguredBackend>],
    old_of: &dyn Fn(&str) -> Option<&'a Arc<ConfiguredBackend>>,
    look: Look,
) -> Vec<Prepared> {
    let asked: Vec<_> = wanted.iter().map(|target| ask(target, old_of(&target.name), look)).collect();
    asked.into_iter().map(|asked| asked.map_or_else(|prepared| prepared, Asked::prepared)).collect()
}

/// Starts the thread of one backend, or returns the result when no thread is needed or can be started.
fn ask(
    target: &Arc<ConfiguredBackend>,
    old: Option<&Arc<ConfiguredBackend>>,
    look: Look,
) -> Result<Asked, Prepared> {
    let limit = WRITING + LOADING + target.options.opening_limit();
    let deadline = Instant::now() + limit;
    let same_config = old.is_some_and(|old| old.same_configuration(target));
    let same_trust = old.is_some_and(|old| same_trust(old, target));
    let open = old.and_then(|old| old.opened());
    let untouched = look == Look::Trust || same_config && is_untouched(target, open.as_deref());
    if untouched && !is_judged(target) {
        return Err(Prepared::Same);
    }
    let (tell, told) = mpsc::sync_channel(2);
    let backend = target.name.clone();
    let name = format!("open-{backend}");
    let target = Arc::clone(target);
    let work = move || {
        let _quiet = ReentrancyGuard::enter();
        let distrust = distrust(&target, open.as_deref(), untouched);
        let trusted = distrust.is_none();
        if let Some(reason) = distrust {
            let _ = tell.send(Told::Distrust(reason));
        }
        let prepared = if untouched {
            Prepared::Same
        } else {
            let open = open.filter(|_| same_trust && trusted);
            prepare(&target, open.as_deref(), same_config)
                .unwrap_or_else(|error| Prepared::Refused(target.explained(error)))
        };
        // The receiver has given up.
        if let Err(mpsc::SendError(_)) = tell.send(Told::Prepared(prepared)) {
            target.close(target.options.timeout);
        }
    };
    match thread::Builder::new().name(name).spawn(work) {
        Ok(_) => Ok(Asked { backend, told, deadline, limit }),
        Err(error) => Err(Prepared::Refused(OpenError::no_thread(&backend, &error))),
    }
}

/// Whether a trust policy judges the backend.
fn is_judged(target: &ConfiguredBackend) -> bool {
    matches!(&target.source, Source::Plugin { plugins, .. } if plugins.trust != Trust::Any)
}

/// Why the trust policy refuses the open plugin or, if the backend is closed and stays closed, the file of the plugin.
fn distrust(target: &ConfiguredBackend, open: Option<&Open>, stays: bool) -> Option<OpenError> {
    let Source::Plugin { config, plugins, folder } = &target.source else { return None };
    let policy = plugins.policy();
    let judged = match open {
        Some(open) => open.image.as_ref()?.still_allowed_by(&policy),
        None if stays => jackfield_loader::find(&config.plugin, &plugins.path, folder)
            .and_then(|file| Candidate::open(&file)?.allowed_by(&policy)),
        None => return None,
    };
    match judged {
        Err(error @ jackfield_loader::Error::Verify { .. }) => {
            Some(OpenError::of(&error, config.conceal(&error.to_string())))
        }
        _ => None,
    }
}

/// Whether a backend with an equal configuration has certainly not changed.
fn is_untouched(target: &ConfiguredBackend, old: Option<&Open>) -> bool {
    let Source::Plugin { config, plugins, folder } = &target.source else { return true };
    // A closed backend reads the file when it opens.
    let Some(old) = old.and_then(|old| old.image.as_ref()) else { return true };
    let found = jackfield_loader::find(&config.plugin, &plugins.path, folder);
    found.is_ok_and(|location| is_image_of(old, &location)) && old.has_same_inputs()
}

/// Whether the plugin there is certainly the one that was loaded from there. What is built in never changes.
fn is_image_of(image: &Loaded, location: &Location) -> bool {
    let is_same = |file| {
        let stamps = Stamp::of_file(file).zip(image.stamp.as_ref());
        stamps.is_some_and(|(stamp, earlier)| stamp.is_still(earlier))
    };
    *location == image.location && location.file().is_none_or(is_same)
}

/// Whether a library that was loaded for one backend may be used by the other.
fn same_trust(old: &ConfiguredBackend, new: &ConfiguredBackend) -> bool {
    match (&old.source, &new.source) {
        (Source::Plugin { plugins: old, .. }, Source::Plugin { plugins: new, .. }) => {
            format!("{old:?}") == format!("{new:?}")
        }
        _ => false,
    }
}

/// Loads, opens and probes a backend, unless its configuration and its bytes are those of `old`.
fn prepare(target: &ConfiguredBackend, old: Option<&Open>, same_config: bool) -> Result<Prepared, OpenError> {
    let timeout = target.options.timeout;
    let open = match &target.source {
        Source::Static(open) => target.open_static(open, timeout)?,
        Source::Plugin { config, plugins, folder } => {
            let plugin = PluginSource { config, plugins, folder };
            let location = plugin.find()?;
            let image = old.and_then(|old| old.image.as_ref());
            let reusable =
                |image: &&Loaded| image.is_for(&target.options.isolation) && is_image_of(image, &location);
            if let Some(image) = image.filter(reusable) {
                target.open_loaded(plugin, image, timeout)?
            } else {
                if location.file().is_some_and(|file| !wait_until_stable(file, Instant::now() + WRITING)) {
                    let reason = format!(
                        "{location}: somebody is still writing to it after {WRITING:?}; reload once more when it is whole"
                    );
                    return Err(OpenError::Unavailable { reason: reason.into() });
                }
                let file = plugin.read_from(location)?;
                if same_config && image.is_some_and(|old| old.has_same_inputs() && old.is_of(&file)) {
                    // The file may have been found in another place.
                    plugin.trusts(&file)?;
                    return Ok(Prepared::Same);
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
            let reason = format!("its platform does not accept it: {}", target.conceal(&text));
            return Err(OpenError::Plugin { reason: reason.into(), ran: true });
        }
        Probe::Unreachable(text) => {
            let text = target.conceal(&text);
            tracing::warn!("telemetry: backend {name}: its platform can't be reached: {text}");
        }
        Probe::Reachable(text) | Probe::Unsupported(text) => tracing::debug!("backend {name}: {text}"),
    }
    Ok(Prepared::Ready)
}
