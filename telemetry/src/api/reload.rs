//! A reload as a tool's author asks for it, and the backends of this process.

use jackfield_loader::Isolation;

use crate::api::telemetry::Telemetry;
use crate::delivery::backends::BackendView;
use crate::delivery::reload_report::{LastReload, LiveBackend, LivePlugin, Reloaded};
use crate::error::error::Error;

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
        self.instance().scheduler().reload(self.context())
    }

    /// How the last reload has ended; `None` before the first.
    #[must_use]
    pub fn last_reload(&self) -> Option<LastReload> {
        self.instance().scheduler().last_reload()
    }

    /// The backends of this process, if it has delivered anything yet.
    #[must_use]
    pub fn live_backends(&self) -> Vec<LiveBackend> {
        self.instance().scheduler().backends().views(|BackendView { target, swaps, problem }| {
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
                swaps,
                not_swapped: problem.map(|problem| problem.reason.clone()),
            }
        })
    }
}
