//! The configuration of a backend as a tool passes it to its child process: evaluated, with the values of its references.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf, absolute},
    time::Duration,
};

use jackfield_loader::{Limits, Sandbox};
use serde::{Deserialize, Serialize};

use crate::config::model::{BackendConfig, PluginsConfig};
use crate::error::Place;

/// A backend, where its plugin is looked for, and the folder where its relative paths start.
#[derive(Serialize, Deserialize)]
pub(crate) struct Handed {
    #[serde(with = "BackendFields")]
    backend: BackendConfig,
    path: Vec<PathBuf>,
    trust: String,
    keys: Vec<String>,
    revoked: Vec<String>,
    lock: Option<PathBuf>,
    lock_is_named: bool,
    helper: Option<PathBuf>,
    helper_place: Option<Place>,
    folder: PathBuf,
}

/// The places in the file are for error messages of the child.
#[derive(Serialize, Deserialize)]
#[serde(remote = "BackendConfig")]
struct BackendFields {
    plugin: String,
    name: String,
    timeout: Duration,
    longest_pause: Duration,
    config: String,
    isolated: Option<bool>,
    limits: Limits,
    sandbox: Option<Sandbox>,
    place: Option<Place>,
    references: Vec<(String, String)>,
    value_files: Vec<PathBuf>,
    filled_options: BTreeSet<String>,
    lines: BTreeMap<String, Place>,
}

impl Handed {
    /// Makes all paths absolute, because the child may have another working folder.
    ///
    /// # Errors
    /// When there is no working folder.
    pub(crate) fn new(backend: &BackendConfig, plugins: &PluginsConfig, folder: &Path) -> io::Result<Self> {
        Ok(Self {
            backend: backend.clone(),
            path: plugins.path.iter().map(absolute).collect::<Result<_, _>>()?,
            trust: plugins.trust.to_string(),
            keys: plugins.keys.iter().map(ToString::to_string).collect(),
            revoked: plugins.revoked.iter().map(ToString::to_string).collect(),
            lock: plugins.lock.as_deref().map(absolute).transpose()?,
            lock_is_named: plugins.lock_is_named,
            helper: plugins.helper.as_deref().map(absolute).transpose()?,
            helper_place: plugins.helper_place.clone(),
            folder: absolute(folder)?,
        })
    }

    /// Backend, plugins and folder; `None` when a value is not what [`new`](Self::new) has written.
    pub(crate) fn take(self) -> Option<(BackendConfig, PluginsConfig, PathBuf)> {
        let plugins = PluginsConfig {
            path: self.path,
            trust: self.trust.parse().ok()?,
            keys: self.keys.iter().map(|key| key.parse()).collect::<Result<_, _>>().ok()?,
            revoked: self.revoked.iter().map(|id| id.parse()).collect::<Result<_, _>>().ok()?,
            lock: self.lock,
            lock_is_named: self.lock_is_named,
            helper: self.helper,
            helper_place: self.helper_place,
        };
        Some((self.backend, plugins, self.folder))
    }
}
