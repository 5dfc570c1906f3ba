//! The spools that a run delivers, and the telemetries that deliver the events of other programs.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield::{Builder, Collection, Deliver, Status, Telemetry, spool::Limits};
use jackfield_loader::{ForeignText, show_path};

use crate::{
    console, log,
    settings::{OperatorsFile, VERSION},
};

/// An event waits for other events at most for `interval`; this many events are delivered at once.
const DELIVER: Deliver = Deliver::InBackground {
    interval: Duration::from_millis(100),
    events: 500,
    within: Duration::from_millis(500),
};
/// The limit of a tool's spool in bytes, and that of any spool in events.
const SPOOL_BYTES: u64 = 1 << 30;
const SPOOL_EVENTS: u64 = 10_000_000;

/// Waiting events are counted so seldom that counting takes at most one part in `SHARE` of the time.
const SHARE: u32 = 20;

/// A telemetry for the events of another program. It is enabled, because the user who starts a run has
/// decided that the events are sent.
pub(crate) fn service(tool: &str, config: &OperatorsFile, folder: &Path, watch: bool) -> Builder {
    config
        .set(Telemetry::builder(tool, VERSION))
        .environment(|_: &str| None::<OsString>)
        .force_enabled(true)
        .data_folder(folder)
        .limits(limits(SPOOL_BYTES))
        .deliver(DELIVER)
        .watch(watch)
}

pub(super) fn limits(bytes: u64) -> Limits {
    let mut limits = Limits::default();
    (limits.max_bytes, limits.max_events) = (bytes, SPOOL_EVENTS);
    limits
}

/// The status of a spool at one moment, with the number of its waiting events.
#[derive(Clone)]
pub(super) struct Counted {
    pub(super) status: Status,
    /// When the waiting events are counted again, which reads all of them.
    pub(super) again: Instant,
}

impl Counted {
    pub(super) fn now(telemetry: &Telemetry) -> Self {
        let started = Instant::now();
        let status = telemetry.status();
        let now = Instant::now();
        Self { status, again: now + (now - started) * SHARE }
    }
}

/// A spool that a run delivers.
#[derive(Clone)]
pub(super) struct Tool {
    /// The name of the tool that the events are of, which may be that of a folder.
    pub(super) name: ForeignText,
    pub(super) telemetry: Telemetry,
    /// The spool before this run has delivered anything.
    pub(super) before: Arc<Counted>,
}

impl Tool {
    pub(super) fn new(name: &str, telemetry: Telemetry) -> Self {
        let before = Arc::new(Counted::now(&telemetry));
        Self { name: name.into(), telemetry, before }
    }

    /// Its data folder.
    pub(super) fn folder(&self) -> PathBuf {
        self.telemetry.data_folder().unwrap_or_default()
    }
}

/// The tools whose spools were found below a folder.
pub(super) struct Tools {
    pub(super) folder: PathBuf,
    config: OperatorsFile,
    watch: bool,
    limits: Limits,
    /// By data folder.
    known: BTreeMap<PathBuf, Tool>,
    /// The tools without consent, and why their events are not sent.
    refused: BTreeMap<PathBuf, String>,
}

impl Tools {
    pub(super) fn new(folder: PathBuf, config: OperatorsFile, watch: bool, limits: Limits) -> Self {
        let (known, refused) = (BTreeMap::new(), BTreeMap::new());
        let mut tools = Self { folder, config, watch, limits, known, refused };
        tools.look();
        tools
    }

    /// Looks for new tools, delivers the events of all, and drops a tool whose user has withdrawn consent.
    pub(super) fn look(&mut self) {
        let mut found = BTreeMap::new();
        for (name, data) in self.found() {
            if let Some(why) = refusal(&name) {
                if self.refused.insert(data.clone(), why.clone()).as_ref() != Some(&why) {
                    log::say(console::one_line(format_args!("the events of {name} wait: {why}")));
                }
                continue;
            }
            self.refused.remove(&data);
            let tool = self.known.remove(&data).unwrap_or_else(|| {
                tracing::debug!("spool of {} in {}", console::one_line(&name), show_path(&data));
                let telemetry = service(&name, &self.config, &data, self.watch);
                let tool = Tool::new(&name, telemetry.limits(self.limits.clone()).build());
                tool.telemetry.retry();
                tool
            });
            tool.telemetry.deliver_soon();
            found.insert(data, tool);
        }
        // A telemetry is closed when its last clone is dropped.
        self.known = found;
    }

    /// The names and data folders of all tools.
    fn found(&self) -> Vec<(String, PathBuf)> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let tool = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let has_spool = |data: &Path| data.join("spool").is_dir();
            let data =
                [entry.path(), entry.path().join("telemetry")].into_iter().find(|data| has_spool(data))?;
            Some((name, data))
        };
        entries.flatten().filter_map(tool).collect()
    }

    pub(super) fn all(&self) -> Vec<Tool> {
        self.known.values().cloned().collect()
    }
}

/// Why the events of a tool are not sent; `None` when its user has consented. Consent has to be in the tool's
/// usual file, because a variable in the environment of this run may not be that user's decision. A variable
/// that opts out counts, too.
pub(crate) fn refusal(tool: &str) -> Option<String> {
    let here = Telemetry::builder(tool, "0").build().consent();
    let is_opt_in = |name: &str| name.ends_with("TELEMETRY_ENABLED");
    let by_file = Telemetry::builder(tool, "0")
        .environment(move |name: &str| if is_opt_in(name) { None } else { env::var_os(name) })
        .build()
        .consent();
    [here, by_file].into_iter().find(|consent| consent.collection != Collection::On).map(|consent| {
        match consent.local.filter(|_| consent.collection == Collection::LocalOnly) {
            Some(variable) => variable.to_string(),
            None => consent.why.to_string(),
        }
    })
}

/// The name of the tool with this data folder.
pub(crate) fn name_of(data: &Path) -> Option<String> {
    let folder = if data.ends_with("telemetry") { data.parent()? } else { data };
    Some(folder.file_name()?.to_str()?.to_owned())
}
