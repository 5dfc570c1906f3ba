//! Platforms without children for plugins.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jackfield_plugin_api::abi::{self, Status};

use super::crash::Crash;
use crate::{
    guard::{
        call::{CallState, Explanation, Origin},
        error::Stage,
        executor::{Entry, Executor, Work},
        options::{BackendOptions, ProcessOptions},
    },
    library::content::Content,
    load::tables::Abilities,
};

/// What is remembered in `folder`: nothing, here.
#[must_use]
pub fn crashes(_folder: &Path) -> Vec<Crash> {
    Vec::new()
}

pub(crate) struct ChildSpec;

impl ChildSpec {
    pub(crate) fn new(_: Arc<Content>, _: PathBuf, _: ProcessOptions, _: &BackendOptions) -> Arc<Self> {
        Arc::new(Self)
    }

    pub(crate) const fn refusal(&self) -> Option<String> {
        None
    }
}

impl Entry for Arc<ChildSpec> {
    fn executor(&self) -> Box<dyn Executor> {
        Box::new(NoChild)
    }

    fn abilities(&self) -> Abilities {
        Abilities::default()
    }
}

struct NoChild;

impl Executor for NoChild {
    fn run(&self, _: &Work, call: &Arc<CallState>) -> Status {
        call.explain(Explanation {
            message: "there is no process isolation on this platform yet".to_owned(),
            origin: Origin::Stage(Stage::Process),
            ..Explanation::default()
        });
        abi::STATUS_UNAVAILABLE
    }

    fn free(&self, _: bool) -> Status {
        abi::STATUS_OK
    }

    fn is_serial(&self) -> bool {
        false
    }
}
