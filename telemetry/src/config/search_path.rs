//! The default search path for plugins.

use std::{env, path::PathBuf};

/// The absolute folders in `$JACKFIELD_PLUGIN_PATH`, split as `$PATH` is, if it is set and not empty. Otherwise, in this
/// order:
///
/// 1. `~/.local/lib/jackfield`, `/usr/local/lib/jackfield`, `/usr/lib/jackfield`
///    (on Windows `%LOCALAPPDATA%\jackfield\plugins`),
/// 2. the folder `plugins` beside the running executable, and the executable's own folder: an unpacked archive works
///    without an installation.
///
/// The current folder is never searched: another user who can write there could choose the code that runs.
#[must_use]
pub fn default_search_path() -> Vec<PathBuf> {
    if let Some(paths) = env::var_os("JACKFIELD_PLUGIN_PATH").filter(|paths| !paths.is_empty()) {
        return env::split_paths(&paths).filter(|path| path.is_absolute()).collect();
    }
    let mut paths = Vec::new();
    if cfg!(windows) {
        paths.extend(
            env::var_os("LOCALAPPDATA").map(|data| PathBuf::from(data).join("jackfield").join("plugins")),
        );
    } else {
        paths.extend(env::home_dir().map(|home| home.join(".local/lib/jackfield")));
        paths.extend(["/usr/local/lib/jackfield", "/usr/lib/jackfield"].map(PathBuf::from));
    }
    if let Some(folder) = env::current_exe().ok().and_then(|exe| exe.parent().map(PathBuf::from)) {
        paths.push(folder.join("plugins"));
        paths.push(folder);
    }
    paths
}
