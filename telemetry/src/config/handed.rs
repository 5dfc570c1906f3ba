//! A backend's configuration as one process of a tool hands it to another: evaluated, with the values of its variables.

use std::{path::PathBuf, time::Duration};

use jackfield_loader::Trust;
use serde::{Deserialize, Serialize};

use super::{BackendConfig, PluginsConfig};

/// All of it but the lines of the file, which are for messages about a configuration that is refused.
#[derive(Serialize, Deserialize)]
pub(crate) struct Handed {
    plugin: String,
    name: String,
    timeout: Duration,
    config: String,
    variables: Vec<(String, String)>,
    path: Vec<PathBuf>,
    any: bool,
    folder: PathBuf,
}

impl Handed {
    /// `None` when a path can't be made absolute, which takes a working folder.
    pub(crate) fn new(
        config: &BackendConfig,
        plugins: &PluginsConfig,
        folder: &std::path::Path,
    ) -> Option<Self> {
        let BackendConfig { plugin, name, timeout, config, place: _, variables, lines: _ } = config.clone();
        let PluginsConfig { path, trust } = plugins;
        let path = path.iter().map(std::path::absolute).collect::<Result<_, _>>().ok()?;
        let any = match trust {
            Trust::Any => true,
            Trust::Owner => false,
            // What the other process would not know of.
            _ => return None,
        };
        let folder = std::path::absolute(folder).ok()?;
        Some(Self { plugin, name, timeout, config, variables, path, any, folder })
    }

    /// The backend, where its plugin is looked for, and where a relative path of it starts.
    pub(crate) fn take(self) -> (BackendConfig, PluginsConfig, PathBuf) {
        let Self { plugin, name, timeout, config, variables, path, any, folder } = self;
        let lines = std::collections::BTreeMap::new();
        let backend = BackendConfig { plugin, name, timeout, config, place: None, variables, lines };
        (backend, PluginsConfig { path, trust: if any { Trust::Any } else { Trust::Owner } }, folder)
    }
}
