//! The backends of the configuration that a command is about.

use std::path::{Path, PathBuf};

use jackfield::{
    Config,
    forward::{BackendConfig, ConfigFile},
};

use crate::{exit::CommandError, settings};

/// The configuration file, judged by its owner, and what it says; it has a backend.
///
/// # Errors
/// There is no file, or it can't be trusted, is wrong or has no backend.
pub(crate) fn of_file(named: Option<&Path>) -> Result<(PathBuf, Config), CommandError> {
    let Some(path) = settings::file(named)? else {
        let refusal = "there is no configuration: write one, or name it with --config".to_owned();
        return Err(CommandError::ConfigContent(refusal));
    };
    let file = ConfigFile::open(&path)?;
    file.check_owner()?;
    let config = file.read()?;
    chosen(&config, &[])?;
    Ok((path, config))
}

/// The backends whose names are in `only`, or all when `only` is empty.
///
/// # Errors
/// The configuration has no backend, or none of a name in `only`.
pub(crate) fn chosen<'c>(
    config: &'c Config,
    only: &[String],
) -> Result<Vec<&'c BackendConfig>, CommandError> {
    let names: Vec<_> = config.backends.iter().map(|backend| backend.name.as_str()).collect();
    if names.is_empty() {
        return Err(CommandError::ConfigContent("the configuration has no [[backend]]".to_owned()));
    }
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        let names = names.join("`, `");
        return Err(CommandError::Usage(format!(
            "--only: no backend {unknown:?} in the configuration, which has `{names}`"
        )));
    }
    let backends = config.backends.iter();
    Ok(backends.filter(|backend| only.is_empty() || only.contains(&backend.name)).collect())
}
