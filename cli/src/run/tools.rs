//! The spools of tools, delivered by this run.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use jackfield::{Collection, Telemetry, Why};

use super::service;

/// The tools whose spools were found below a folder.
pub(super) struct Tools {
    folder: PathBuf,
    config: PathBuf,
    watch: bool,
    known: BTreeMap<PathBuf, Tool>,
}

struct Tool {
    name: String,
    telemetry: Telemetry,
}

impl Tools {
    pub(super) fn new(folder: PathBuf, config: PathBuf, watch: bool) -> Self {
        let mut tools = Self { folder, config, watch, known: BTreeMap::new() };
        tools.look();
        tools
    }

    /// Looks for tools that are new, and at what waits. A tool whose user has said no meanwhile is let go of.
    pub(super) fn look(&mut self) {
        let mut found = BTreeMap::new();
        for (name, data) in self.found() {
            if has_refused(&name) {
                continue;
            }
            let tool = self.known.remove(&data).unwrap_or_else(|| {
                tracing::debug!("spool of {name} in {}", data.display());
                let telemetry = service(&name, &self.config, &data, self.watch).build();
                Tool { name, telemetry }
            });
            tool.telemetry.deliver_soon();
            found.insert(data, tool);
        }
        // Their last clones close them.
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

    pub(super) fn telemetries(&self) -> Vec<Telemetry> {
        self.known.values().map(|tool| tool.telemetry.clone()).collect()
    }

    pub(super) fn each<T>(&self, mut each: impl FnMut(&str, &Telemetry) -> T) -> Vec<T> {
        self.known.values().map(|tool| each(&tool.name, &tool.telemetry)).collect()
    }
}

/// Whether the user has said no in the usual place of the tool. What is in a spool was recorded with consent, and a tool
/// that is told no empties its spool itself; so where nothing is said there, the spool speaks.
fn has_refused(tool: &str) -> bool {
    let consent = Telemetry::builder(tool, "0").build().consent();
    consent.collection == Collection::Off && !matches!(consent.why, Why::NoAnswer)
}
