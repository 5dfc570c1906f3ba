//! A backend's configuration as one process of a tool hands it to another: evaluated, with the values of its variables.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jackfield_loader::{Limits, Sandbox};
use serde::{Deserialize, Serialize};

use crate::config::model::{BackendConfig, PluginsConfig};
use crate::error::error::Place;

/// All of it, the lines of the file too: a configuration is perhaps refused by the other process.
#[derive(Serialize, Deserialize)]
pub(crate) struct Handed {
    plugin: String,
    name: String,
    timeout: Duration,
    config: String,
    variables: Vec<(String, String)>,
    path: Vec<PathBuf>,
    trust: String,
    keys: Vec<String>,
    revoked: Vec<String>,
    lock: Option<PathBuf>,
    lock_is_named: bool,
    helper: Option<PathBuf>,
    isolated: bool,
    limits: Limits,
    sandbox: Option<Sandbox>,
    folder: PathBuf,
    place: Option<Place>,
    lines: BTreeMap<String, Place>,
}

impl Handed {
    /// `None` when a path can't be made absolute, which takes a working folder.
    pub(crate) fn new(
        config: &BackendConfig,
        plugins: &PluginsConfig,
        folder: &std::path::Path,
    ) -> Option<Self> {
        let BackendConfig {
            plugin,
            name,
            timeout,
            config,
            isolated,
            limits,
            sandbox,
            place,
            variables,
            lines,
        } = config.clone();
        let PluginsConfig { path, trust, lock, keys, revoked, lock_is_named, helper } = plugins.clone();
        let path = path.iter().map(std::path::absolute).collect::<Result<_, _>>().ok()?;
        let lock = lock.map(std::path::absolute).transpose().ok()?;
        let helper = helper.map(std::path::absolute).transpose().ok()?;
        let folder = std::path::absolute(folder).ok()?;
        Some(Self {
            plugin,
            name,
            timeout,
            config,
            variables,
            path,
            trust: trust.to_string(),
            keys: keys.iter().map(ToString::to_string).collect(),
            revoked: revoked.iter().map(ToString::to_string).collect(),
            lock,
            lock_is_named,
            helper,
            isolated,
            limits,
            sandbox,
            folder,
            place,
            lines,
        })
    }

    /// The backend, where its plugin is looked for, and where a relative path of it starts. `None` when it is not what
    /// [`new`](Self::new) has made.
    pub(crate) fn take(self) -> Option<(BackendConfig, PluginsConfig, PathBuf)> {
        let Self {
            plugin,
            name,
            timeout,
            config,
            variables,
            path,
            trust,
            keys,
            revoked,
            lock,
            lock_is_named,
            helper,
            isolated,
            limits,
            sandbox,
            folder,
            place,
            lines,
        } = self;
        let backend = BackendConfig {
            plugin,
            name,
            timeout,
            config,
            isolated,
            limits,
            sandbox,
            place,
            variables,
            lines,
        };
        let plugins = PluginsConfig {
            path,
            trust: trust.parse().ok()?,
            lock,
            keys: keys.iter().map(|key| key.parse()).collect::<Result<_, _>>().ok()?,
            revoked: revoked.iter().map(|id| id.parse()).collect::<Result<_, _>>().ok()?,
            lock_is_named,
            helper,
        };
        Some((backend, plugins, folder))
    }
}
