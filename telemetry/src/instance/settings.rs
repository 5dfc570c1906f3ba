//! The decisions of a tool's author.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use jackfield_loader::{Backend, BackendOptions, plugin_api::Backend as PluginBackend};

use crate::config::model::{BackendConfig, Config, PluginsConfig};
use crate::delivery::configured_backend::OpenStatic;
use crate::delivery::settle::DeliveryMode;
use crate::event::author_rules::AuthorRules;
use crate::event::value::Value;
use crate::identity::deletion::Requestor;
use crate::instance::for_tests::ForTests;
use crate::process::GuardedBackend;
use crate::redact::personal::PersonalData;
use crate::spool::store::Limits;

/// When events leave the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deliver {
    /// When the tool has ended, by a child process: the tool waits for no backend. One child delivers for all runs of
    /// the tool, whose events it finds in the spool. Events that it leaves wait for the next run. No child is started
    /// when no event waits, without consent, or while every circuit is open.
    ///
    /// The child is the tool's own executable, whose `main` has to begin with [`init`](crate::init). When no child can
    /// be started, this is [`AtExit`](Self::AtExit): also for a [backend in code](crate::Builder::backend) that
    /// [`init_with`](crate::init_with) does not name, on a [file system](crate::Builder::file_system) of the tool's own,
    /// and when the tool is process number 1 of a container, which ends with it.
    ///
    /// In a tool that goes on after [`Telemetry::close`](crate::Telemetry::close), a thread waits for the child. A tool
    /// that waits for the end of any child may get the end of this one.
    ///
    /// # Platform
    /// On Unix process number 1 has to reap children of others, as every init and
    /// `docker run --init` do.
    Detached {
        /// The time after which the child is ended; 60 s unless set.
        lifetime: Duration,
        /// The time that the tool waits when there is no child; 250 ms unless set.
        within: Duration,
    },
    /// When the tool ends, for a limited time. Events that are left wait for the next run.
    AtExit {
        /// 250 ms unless set.
        within: Duration,
    },
    /// On a thread, which starts with the first event. For services.
    InBackground {
        /// The longest time that an event waits for others; 10 s unless set.
        interval: Duration,
        /// The number of events that wait at most; 100 unless set.
        events: u32,
        /// The time that the service waits at its end; 2 s unless set. A call that then still runs is cancelled, and its
        /// outcomes so far are noted within another half second.
        within: Duration,
    },
    /// Only by [`Telemetry::flush`](crate::Telemetry::flush).
    ByHand,
}

impl Deliver {
    /// When the tool has ended, by a child process of at most 60 s; without a child at the end, for at most 250 ms.
    #[must_use]
    pub const fn detached() -> Self {
        Self::Detached { lifetime: Duration::from_secs(60), within: Duration::from_millis(250) }
    }

    /// When the tool ends, for at most 250 ms.
    #[must_use]
    pub const fn at_exit() -> Self {
        Self::AtExit { within: Duration::from_millis(250) }
    }

    /// On a thread, every 10 s or 100 events; at the end for at most 2 s.
    #[must_use]
    pub const fn in_background() -> Self {
        Self::InBackground { interval: Duration::from_secs(10), events: 100, within: Duration::from_secs(2) }
    }

    /// The longest time of [`Telemetry::close`](crate::Telemetry::close).
    pub(crate) const fn within(self) -> Duration {
        match self {
            Self::Detached { within, .. } | Self::AtExit { within } | Self::InBackground { within, .. } => {
                within
            }
            Self::ByHand => Duration::ZERO,
        }
    }
}

impl Default for Deliver {
    fn default() -> Self {
        Self::detached()
    }
}

/// A backend in the tool's code.
#[derive(Clone)]
pub(crate) struct StaticBackend {
    pub(crate) name: String,
    pub(crate) open: OpenStatic,
}

impl StaticBackend {
    /// A backend of the values that `make` makes.
    pub(crate) fn new<B: PluginBackend>(
        name: impl Into<String>,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(make);
        let open = move |options: &BackendOptions| {
            let make = Arc::clone(&make);
            Backend::open_with(options, move || GuardedBackend::make(&*make))
        };
        Self { name: name.into(), open: Arc::new(open) }
    }
}

impl fmt::Debug for StaticBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StaticBackend").field(&self.name).finish()
    }
}

/// Headers for the collector. They may hold credentials, so `Debug` shows the names only.
#[derive(Clone, Default)]
pub(crate) struct Headers(pub(crate) Vec<(String, String)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// The decisions of a tool's author.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) tool: String,
    pub(crate) version: String,
    pub(crate) prefix: Option<String>,
    pub(crate) deliver: Deliver,
    #[cfg(feature = "watch")]
    pub(crate) watch: bool,
    pub(crate) limits: Limits,
    /// Whether the spool is on the machine's file system.
    pub(crate) on_disk: bool,
    pub(crate) mode: DeliveryMode,
    pub(crate) metadata: Vec<(String, Value<'static>)>,
    pub(crate) rules: AuthorRules,
    pub(crate) extended: bool,
    pub(crate) personal_data: PersonalData,
    pub(crate) local_only_wins: bool,
    pub(crate) ops_file: Option<PathBuf>,
    /// The variable that names `ops_file`; the file must then exist.
    pub(crate) ops_by: Option<String>,
    /// Whether `ops_file` must exist and name backends.
    pub(crate) ops_required: bool,
    /// Whether `ops_file` may be a file that others can write.
    pub(crate) ops_trusted: bool,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) config: Option<Config>,
    /// Backends of plugins whose options the author gives in code.
    pub(crate) platforms: Vec<BackendConfig>,
    pub(crate) statics: Vec<StaticBackend>,
    pub(crate) plugins: Option<PluginsConfig>,
    pub(crate) otel_endpoint: Option<String>,
    pub(crate) otel_headers: Headers,
    pub(crate) otel_insecure: bool,
    pub(crate) endpoint: Option<String>,
    pub(crate) requestors: Vec<Requestor>,
    pub(crate) help: Option<String>,
    /// In a test of the tool: what takes the events instead of the spool.
    pub(crate) for_tests: Option<ForTests>,
}

impl Settings {
    /// With extended collection, what happens to personal data in arguments and error messages.
    pub(crate) fn extended(&self) -> Option<PersonalData> {
        self.extended.then_some(self.personal_data)
    }
}
