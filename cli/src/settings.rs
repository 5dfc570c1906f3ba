//! Which configuration is used.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use jackfield::forward::{BackendConfig, ConfigFile};
use jackfield::{Config, Error};
use jackfield_loader::{BackendOptions, show_path};

/// The name of this command in its own events, and for plugins.
pub(crate) const TOOL: &str = "jackfield";
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The configuration that is used: `named`, or the first file of the usual places, or the embedded one.
///
/// # Errors
/// The file can't be read, can't be trusted or is wrong.
pub(crate) fn load(named: Option<&Path>) -> Result<Config, Error> {
    if let Some(file) = chosen(named) {
        return Config::read(&file);
    }
    for file in usual_places() {
        if let Some(found) = open_found(&file)? {
            tracing::debug!(file = %show_path(&file), "configuration found");
            return found.read();
        }
    }
    tracing::debug!("no configuration found, the embedded one is used");
    Ok(Config::embedded())
}

/// The file that the configuration is read from, as an absolute path; `None` where there is none.
///
/// # Errors
/// As [`load`].
pub(crate) fn file(named: Option<&Path>) -> Result<Option<PathBuf>, Error> {
    if let Some(file) = chosen(named) {
        return std::path::absolute(&file).map(Some).map_err(|source| Error::ReadConfig { file, source });
    }
    for file in usual_places() {
        if open_found(&file)?.is_some() {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// The file of the command line, or of the environment. A variable that is set and empty counts as not set: a script unsets
/// a variable for one command in that way.
fn chosen(named: Option<&Path>) -> Option<PathBuf> {
    let variable = || env::var_os("JACKFIELD_CONFIG").filter(|file| !file.is_empty()).map(PathBuf::from);
    named.map(Path::to_owned).or_else(variable)
}

/// The folder, in the state folder, where `send` and `run` record crashes of plugins.
const CRASHES: &str = "crashes";

/// What this command opens a backend with, for the one thread that uses it.
pub(crate) fn backend_options(config: &Config, backend: &BackendConfig) -> BackendOptions {
    // A plugin that crashes is left alone by the next run, too.
    let crashes = state_folder().map(|folder| folder.join(CRASHES));
    backend.options(&config.plugins, crashes.as_deref()).concurrency(1).tool(TOOL, VERSION)
}

/// Where `run` keeps what it has read, unless its command line says otherwise.
pub(crate) fn state_folder() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let base = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else {
        absolute("XDG_STATE_HOME").or_else(|| env::home_dir().map(|home| home.join(".local/state")))
    };
    base.map(|base| base.join("jackfield").join("run"))
}

/// The file of the user's consent for this command's own telemetry, beside the configuration.
pub(crate) fn consent_file() -> Option<PathBuf> {
    usual_places().first().map(|file| file.with_file_name("consent.toml"))
}

/// The current folder is not one of them: anybody who can write there would choose which code runs.
fn usual_places() -> Vec<PathBuf> {
    let below = |folder: PathBuf| folder.join("jackfield").join("config.toml");
    if cfg!(windows) {
        return env::var_os("APPDATA").map(|data| below(data.into())).into_iter().collect();
    }
    let xdg = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let own = xdg.or_else(|| env::home_dir().map(|home| home.join(".config")));
    own.map(below).into_iter().chain([PathBuf::from("/etc/jackfield/config.toml")]).collect()
}

/// Opens a file of the usual places, if it exists. It decides which code runs, so other users must not be able to write it.
fn open_found(file: &Path) -> Result<Option<ConfigFile>, Error> {
    let found = match ConfigFile::open(file) {
        Ok(found) => found,
        Err(Error::ReadConfig { source, .. })
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(refusal) => return Err(refusal),
    };
    found.check_owner()?;
    Ok(Some(found))
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    /// Opens a file with this mode in a folder with that mode, and says whether it is there or why it is refused.
    fn found(mode: u32, folder_mode: u32) -> Result<bool, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.toml");
        fs::write(&file, "").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("mode set");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(folder_mode)).expect("mode set");
        open_found(&file)
            .map(|found| found.is_some())
            .map_err(|refusal| refusal.to_string().replace(&*file.to_string_lossy(), "FILE"))
    }

    #[test]
    fn a_file_that_only_its_owner_writes_is_read() {
        assert_eq!(found(0o644, 0o755), Ok(true));
    }

    #[test]
    fn a_file_or_folder_that_others_can_write_is_refused() {
        for (modes, begin, mode) in [
            ((0o664, 0o755), "configuration FILE: can't be read: the file must not be writable", "mode 0664"),
            (
                (0o644, 0o1777),
                "configuration FILE: can't be read: its folder must not be writable",
                "mode 1777",
            ),
        ] {
            let refusal = found(modes.0, modes.1).expect_err("others can write it");
            assert!(refusal.starts_with(begin) && refusal.contains(mode), "{refusal}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_passed_over() {
        for path in ["/nonexistent/jackfield/config.toml", "/dev/null/config.toml"] {
            assert!(matches!(open_found(Path::new(path)), Ok(None)), "{path}");
        }
    }
}
