//! Delivers the spools of tools.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use jackfield::{Collection, Telemetry, spool::Limits};
use jackfield_loader::show_path;

use crate::{console, log, run::service::service};

/// The tools whose spools were found below a folder.
pub(super) struct Tools {
    folder: PathBuf,
    config: PathBuf,
    watch: bool,
    limits: Limits,
    known: BTreeMap<PathBuf, Tool>,
    /// The tools whose events are not sent, and why.
    refused: BTreeMap<PathBuf, String>,
}

struct Tool {
    name: String,
    telemetry: Telemetry,
}

impl Tools {
    pub(super) fn new(folder: PathBuf, config: PathBuf, watch: bool, limits: Limits) -> Self {
        let (known, refused) = (BTreeMap::new(), BTreeMap::new());
        let mut tools = Self { folder, config, watch, limits, known, refused };
        tools.look();
        tools
    }

    /// Looks for new tools, and for events that wait. Drops a tool whose user has withdrawn consent.
    pub(super) fn look(&mut self) {
        let mut found = BTreeMap::new();
        for (name, data) in self.found() {
            if let Some(why) = refusal(&name) {
                if self.refused.insert(data.clone(), why.clone()).as_ref() != Some(&why) {
                    log::say(&format!(
                        "{}",
                        console::one_line(format_args!("the events of {name} wait: {why}"))
                    ));
                }
                continue;
            }
            self.refused.remove(&data);
            let tool = self.known.remove(&data).unwrap_or_else(|| {
                tracing::debug!("spool of {} in {}", console::one_line(&name), show_path(&data));
                let telemetry = service(&name, &self.config, &data, self.watch);
                let telemetry = telemetry.limits(self.limits.clone()).build();
                telemetry.retry();
                Tool { name, telemetry }
            });
            tool.telemetry.deliver_soon();
            found.insert(data, tool);
        }
        // A telemetry is closed when its last clone is dropped.
        self.known = found;
    }

    /// Names and data folders.
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

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn each<T>(&self, mut each: impl FnMut(&str, &Telemetry) -> T) -> Vec<T> {
        self.known.values().map(|tool| each(&tool.name, &tool.telemetry)).collect()
    }
}

/// Why the events of a tool are not sent; `None` when its user has consented. Only the usual file of the tool counts as
/// consent: a variable in the environment of this run is not that user's decision. A variable that opts out counts, too.
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

/// The name of the tool that a data folder belongs to.
pub(crate) fn name_of(data: &Path) -> Option<String> {
    let folder = if data.ends_with("telemetry") { data.parent()? } else { data };
    Some(folder.file_name()?.to_str()?.to_owned())
}
