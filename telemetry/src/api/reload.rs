//! Reloading by a call, and the backends of this process.

use jackfield_loader::{ForeignText, Isolation, Layout, Location, Stats};

use crate::api::telemetry::Telemetry;
use crate::delivery::backends::BackendView;
use crate::error::Error;
use crate::reload::reload::ReloadReport;
use crate::schedule::scheduler::LastReload;

/// One backend of this process now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LiveBackend {
    /// The name of the backend.
    pub name: String,
    /// The plugin; `None` before it is opened, and for a backend that is compiled in.
    pub plugin: Option<LivePlugin>,
    /// Whether the backend is open.
    pub open: bool,
    /// Where its calls run: `thread`, in this process, or `process`, in an isolated child. Before it is opened, what the
    /// configuration says.
    pub isolation: &'static str,
    /// The statistics since it was opened.
    pub stats: Stats,
    /// The number of swaps.
    pub swaps: u64,
    /// Why the last reload could not make it what the configuration says.
    pub not_swapped: Option<ForeignText>,
}

/// The plugin of an open backend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LivePlugin {
    /// The name in its metadata.
    pub name: ForeignText,
    /// The version in its metadata.
    pub version: ForeignText,
    /// Where it was loaded from.
    pub location: Location,
    /// How the layout of its tables was judged; `None` in an isolated child, whose log says it.
    pub layout: Option<Layout>,
}

impl Telemetry {
    /// Evaluates the configuration again, and swaps the backends that have changed. Delivery goes on meanwhile. A new backend
    /// is opened before this returns, and gets every batch from the next one on. A background thread closes the old
    /// backend, within its timeout.
    ///
    /// This call waits until each new backend is open and probed, for at most the backend's timeout, and until a plugin's file
    /// that is being written is complete. Before the first delivery it opens and swaps nothing.
    ///
    /// The trust policy judges each open backend again, as it judges a new one. A backend that the policy refuses is closed,
    /// for example after its key was revoked or its pin was changed.
    ///
    /// A reload ends every pause, as [`retry`](Self::retry) does.
    ///
    /// # Errors
    /// [`Error::Reload`] when a configuration file can't be used, or when no backend would be left, for example because the
    /// file was removed. Every backend then stays as it is, except one that the trust policy in force refuses.
    pub fn reload(&self) -> Result<ReloadReport, Error> {
        Ok(self.core().scheduler().reload(self.context())?)
    }

    /// Ends the pause of every backend that has failed: each is tried at the next delivery, which a service begins at once.
    /// Another process of the tool follows at its next delivery, unless it delivers at this moment and writes its pause back.
    pub fn retry(&self) {
        self.core().scheduler().retry(self.context());
    }

    /// The result of the last reload; `None` before the first.
    #[must_use]
    pub fn last_reload(&self) -> Option<LastReload> {
        self.core().scheduler().last_reload()
    }

    /// The backends of this process; empty before its first delivery.
    #[must_use]
    pub fn live_backends(&self) -> Vec<LiveBackend> {
        self.core().scheduler().backends().views(|BackendView { target, swaps, problem }| {
            let open = target.opened();
            let image = open.as_ref().and_then(|open| open.image.as_ref());
            let is_isolated = match image {
                Some(image) => image.is_isolated(),
                None => matches!(target.options.isolation, Isolation::Process(_)),
            };
            LiveBackend {
                name: target.name.clone(),
                plugin: image.map(|image| LivePlugin {
                    name: image.name.clone(),
                    version: image.version.clone(),
                    location: image.location.clone(),
                    layout: image.layout(),
                }),
                open: open.is_some(),
                isolation: if is_isolated { "process" } else { "thread" },
                stats: open.as_ref().map(|open| open.stats()).unwrap_or_default(),
                swaps,
                not_swapped: problem.map(|problem| problem.reason.clone()),
            }
        })
    }
}
