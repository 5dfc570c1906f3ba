//! Platforms without children for plugins.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jackfield_plugin_api::abi::{self, Status};

use super::ProcessOptions;
use crate::{
    backend::BackendOptions,
    guard::{CallState, Explanation, Said, Work},
    os::Content,
};

/// What is remembered of one plugin file: nothing, here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Crash {
    /// How often it has crashed in a row.
    pub count: u32,
    /// How its process ended the last time.
    pub how: String,
    /// When that was, in seconds since 1970 in UTC.
    pub time: u64,
    /// Where the plugin's file was then.
    pub plugin: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub digest: String,
}

/// What is remembered in `folder`: nothing, here.
#[must_use]
pub fn crashes(_folder: &Path) -> Vec<Crash> {
    Vec::new()
}

pub(crate) struct Recipe;

impl Recipe {
    pub(crate) fn new(_: Arc<Content>, _: PathBuf, _: ProcessOptions, _: &BackendOptions) -> Arc<Self> {
        Arc::new(Self)
    }

    pub(crate) const fn refusal(&self) -> Option<String> {
        None
    }

    pub(crate) const fn gave_up(&self) -> bool {
        false
    }

    pub(crate) const fn restarts(&self) -> u64 {
        0
    }

    pub(crate) const fn has_diagnostics(&self) -> bool {
        false
    }

    pub(crate) const fn is_serial(&self) -> bool {
        false
    }
}

pub(crate) struct Process {
    recipe: Arc<Recipe>,
}

impl Process {
    pub(crate) const fn new(recipe: Arc<Recipe>) -> Self {
        Self { recipe }
    }

    pub(crate) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    pub(crate) const fn id(&self) -> Option<u32> {
        None
    }

    pub(crate) const fn kill(&self) {}

    pub(crate) const fn cancel(&self) {}

    pub(crate) fn run(&self, _: &Work, call: &CallState) -> Status {
        call.explain(Explanation {
            subject: "process".to_owned(),
            message: "there is no process isolation on this platform yet".to_owned(),
            said: Said::Stage,
        });
        abi::STATUS_UNAVAILABLE
    }

    pub(crate) const fn free(&self, _: bool) -> Status {
        abi::STATUS_OK
    }
}
