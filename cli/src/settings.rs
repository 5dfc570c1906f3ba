//! Which configuration is used.

use std::{
    env,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use jackfield::Config;

/// The configuration that is used: `named`, or the first file of the usual places, or the embedded one.
///
/// # Errors
/// One line with the file.
pub(crate) fn load(named: Option<&Path>) -> Result<Config, String> {
    if let Some(file) = named {
        return Config::read(file).map_err(|e| e.to_string());
    }
    for file in usual_places() {
        if let Some(text) =
            read_found(&file).map_err(|reason| format!("configuration {}: {reason}", file.display()))?
        {
            tracing::debug!(file = %file.display(), "configuration found");
            return Config::parse(&text, &file).map_err(|e| e.to_string());
        }
    }
    tracing::debug!("no configuration found, the embedded one is used");
    Ok(Config::embedded())
}

/// The current folder is not among them: whoever can write there would choose what code runs.
fn usual_places() -> Vec<PathBuf> {
    let below = |folder: PathBuf| folder.join("jackfield").join("config.toml");
    if cfg!(windows) {
        return env::var_os("APPDATA").map(|data| below(data.into())).into_iter().collect();
    }
    let xdg = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let own = xdg.or_else(|| env::home_dir().map(|home| home.join(".config")));
    own.map(below).into_iter().chain([PathBuf::from("/etc/jackfield/config.toml")]).collect()
}

/// The text of a file that nobody named, if it is there. It decides what code runs, so others must not be able to write it.
fn read_found(file: &Path) -> Result<Option<String>, String> {
    let mut handle = match File::open(file) {
        Ok(handle) => handle,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(format!("can't be read: {e}")),
    };
    check_owner(&handle, file)?;
    let mut text = String::new();
    handle.read_to_string(&mut text).map_err(|e| format!("can't be read: {e}"))?;
    Ok(Some(text))
}

#[cfg(unix)]
fn check_owner(handle: &File, file: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;

    let user = rustix::process::geteuid().as_raw();
    let check = |what: &str, metadata: io::Result<std::fs::Metadata>| {
        let metadata = metadata.map_err(|e| format!("{what} can't be examined: {e}"))?;
        if metadata.uid() != 0 && metadata.uid() != user {
            let owner = metadata.uid();
            return Err(format!("{what} must belong to root or user {user}, and belongs to user {owner}"));
        }
        if metadata.mode() & 0o022 != 0 {
            let mode = metadata.mode() & 0o7777;
            return Err(format!(
                "{what} must not be writable by group or others, and has mode {mode:04o}: chmod go-w, or name the file with --config"
            ));
        }
        Ok(())
    };
    check("the file", handle.metadata())?;
    check("its folder", file.parent().unwrap_or(Path::new("/")).metadata())
}

#[cfg(not(unix))]
fn check_owner(_handle: &File, _file: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    /// Reads a file with this mode in a folder with that mode.
    fn read(mode: u32, folder_mode: u32) -> Result<Option<String>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.toml");
        fs::write(&file, "text").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("mode set");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(folder_mode)).expect("mode set");
        read_found(&file)
    }

    #[test]
    fn a_file_that_only_its_owner_writes_is_read() {
        assert_eq!(read(0o644, 0o755), Ok(Some("text".to_owned())));
    }

    #[test]
    fn a_file_or_folder_that_others_can_write_is_refused() {
        let refusal = read(0o664, 0o755).expect_err("writable by the group");
        assert!(
            refusal.starts_with("the file must not be writable") && refusal.contains("mode 0664"),
            "{refusal}"
        );
        let refusal = read(0o644, 0o1777).expect_err("writable by all");
        assert!(
            refusal.starts_with("its folder must not be writable") && refusal.contains("mode 1777"),
            "{refusal}"
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_passed_over() {
        assert_eq!(read_found(Path::new("/nonexistent/jackfield/config.toml")), Ok(None));
        assert_eq!(read_found(Path::new("/dev/null/config.toml")), Ok(None));
    }
}
