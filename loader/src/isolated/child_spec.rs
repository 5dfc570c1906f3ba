//! The specification of a backend's child processes.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::{
    crash_history::CrashHistory,
    protocol::{BUILD, Setup},
};
use crate::{
    boundary::process::process_id,
    guard::options::{BackendOptions, ProcessOptions},
    library::content::Content,
    load::tables::Abilities,
};

/// Most calls that may be inside one child at once.
const MOST_CHANNELS: usize = 16;

/// What a child process needs: the same after each failure.
pub(crate) struct ChildSpec {
    pub(super) options: ProcessOptions,
    pub(super) content: Arc<Content>,
    path: PathBuf,
    pub(super) backend: String,
    tool_name: String,
    tool_version: String,
    config: String,
    pub(super) timeout: Duration,
    pub(super) channels: usize,
    pub(super) history: CrashHistory,
    /// What the plugin of the last child has.
    pub(super) abilities: AtomicU64,
    pub(super) starts: AtomicU64,
    pub(super) gave_up: AtomicBool,
}

impl ChildSpec {
    pub(crate) fn new(
        content: Arc<Content>,
        path: PathBuf,
        process: ProcessOptions,
        options: &BackendOptions,
    ) -> Arc<Self> {
        Arc::new(Self {
            history: CrashHistory::new(process.crashes.clone(), &path, options.circuit_backoff),
            options: process,
            content,
            path,
            backend: options.name.clone(),
            tool_name: options.tool_name.clone(),
            tool_version: options.tool_version.clone(),
            config: options.config.clone(),
            timeout: options.timeout,
            channels: options.concurrency.clamp(1, MOST_CHANNELS),
            abilities: AtomicU64::new(0),
            starts: AtomicU64::new(0),
            gave_up: AtomicBool::new(false),
        })
    }

    /// Why the plugin is not started now, by its crash history.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.history.refusal(|| self.content.digest(), SystemTime::now())
    }

    /// Whether the plugin has crashed too often to be tried again.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Acquire)
    }

    /// How often a child was started after the first one.
    pub(super) fn restarts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// What the plugin has beside the functions of every plugin. Known once an instance has been opened.
    pub(super) fn abilities(&self) -> Abilities {
        Abilities(self.abilities.load(Ordering::Acquire))
    }

    pub(super) fn setup(&self) -> String {
        let setup = Setup {
            build: BUILD.to_owned(),
            parent: process_id(),
            path: self.path.clone(),
            backend: self.backend.clone(),
            tool_name: self.tool_name.clone(),
            tool_version: self.tool_version.clone(),
            config: self.config.clone(),
            limits: self.options.limits.clone(),
            sandbox: self.options.sandbox.clone(),
        };
        serde_json::to_string(&setup).unwrap_or_default()
    }
}
