//! The backends of the configuration that a command is about.

use jackfield::{Config, forward::BackendConfig};

use crate::exit::CommandError;

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
