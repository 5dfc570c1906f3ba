//! Plugins on the search path: the default path, and the names by which plugins are found.

use std::{
    env,
    path::{Path, PathBuf},
};

use jackfield_loader::FindError;

/// The absolute folders in `$JACKFIELD_PLUGIN_PATH`, split as `$PATH` is, if it is set and not empty. Otherwise, in this
/// order:
///
/// 1. `~/.local/lib/jackfield`, `/usr/local/lib/jackfield`, `/usr/lib/jackfield`
///    (on Windows `%LOCALAPPDATA%\jackfield\plugins`),
/// 2. the folder `plugins` beside the running executable, and the executable's own folder, so that an unpacked archive
///    works without an installation.
///
/// The current folder is never searched: another user who can write there could choose the code that runs.
#[must_use]
pub fn default_search_path() -> Vec<PathBuf> {
    if let Some(paths) = env::var_os("JACKFIELD_PLUGIN_PATH").filter(|paths| !paths.is_empty()) {
        return env::split_paths(&paths).filter(|path| path.is_absolute()).collect();
    }
    let mut paths = Vec::new();
    if cfg!(windows) {
        paths.extend(env::var_os("LOCALAPPDATA").map(|data| Path::new(&data).join("jackfield\\plugins")));
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

/// The value of `plugin = "..."` that leads to `file`: the name in its metadata, else the file's name, else the path.
#[must_use]
pub fn accepted_plugin_name(file: &Path, own: Option<&str>, search_path: &[PathBuf]) -> String {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let names = [own, stem.and_then(|stem| stem.strip_prefix("lib")), stem];
    let leads_here = |name: &&str| {
        jackfield_loader::find(name, search_path, Path::new("/")).is_ok_and(|found| found == file)
    };
    let name = names.into_iter().flatten().find(leads_here);
    name.map_or_else(|| file.to_string_lossy().into_owned(), str::to_owned)
}

/// The refusal of a plugin that is in no folder of the search path. When the metadata of another file there has that name,
/// the refusal says what to write.
pub(crate) fn explain_missing(refusal: &FindError, search_path: &[PathBuf]) -> String {
    let text = refusal.to_string();
    let FindError::NotOnPath { plugin, nearest, .. } = refusal else { return text };
    let has_name = |file: &PathBuf| {
        jackfield_loader::inspect(file).is_ok_and(|inspection| inspection.metadata.name == *plugin)
    };
    let Some(file) = jackfield_loader::list(search_path).into_iter().find(has_name) else {
        return text;
    };
    // The name in the metadata replaces the similar name of a file.
    let nearest = nearest.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
    let text = text.strip_suffix(&nearest).unwrap_or(&text);
    let name = accepted_plugin_name(&file, None, search_path);
    format!("{text}; did you mean `plugin = {name:?}`, which calls itself {plugin:?}?")
}
