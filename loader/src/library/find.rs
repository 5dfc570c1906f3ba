//! Finds the plugin that a configuration names: a file, or else one that is built in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::{env, fs, io};

use super::built_in::BuiltInPlugin;
use super::location::Location;
use crate::boundary::text::{self, in_prose, nearest};

/// Extensions of dynamic libraries, of any platform.
const EXTENSIONS: [&str; 3] = ["so", "dylib", "dll"];

/// Prefix and extension of a plugin's file on this platform, in the order of the search.
#[cfg(windows)]
const FORMS: &[(&str, &str)] = &[("", "dll"), ("lib", "dll")];
#[cfg(target_vendor = "apple")]
const FORMS: &[(&str, &str)] = &[("lib", "dylib"), ("", "dylib"), ("lib", "so"), ("", "so")];
#[cfg(not(any(windows, target_vendor = "apple")))]
const FORMS: &[(&str, &str)] = &[("lib", "so"), ("", "so")];

/// Why no file was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// No folder of the search path has the plugin, and it is not built in.
    #[error("no plugin {plugin:?}: searched {}{}{}", searched(.folders), or_built_in(.built_in), did_you_mean(.nearest.as_deref()))]
    NotOnPath {
        /// The name.
        plugin: String,
        /// The folders that were searched, and the state of each.
        folders: Vec<(PathBuf, FolderState)>,
        /// The names of the plugins that are built in.
        built_in: Vec<&'static str>,
        /// The plugin with the most similar name, if one is similar.
        nearest: Option<String>,
    },
    /// The path does not exist.
    #[error("no file {}: correct `plugin`, which is taken for a path because it has a separator or an extension", text::show(.path))]
    NoFile {
        /// The path, absolute or relative to the configuration's folder.
        path: PathBuf,
    },
    /// The name is empty.
    #[error("the plugin's name is empty: set `plugin` to a name such as \"file\" or to a path")]
    Empty,
}

/// The state of a folder of the search path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FolderState {
    /// It was searched.
    Searched,
    /// It does not exist.
    Missing,
    /// It can't be read, for this reason.
    Unreadable(String),
}

fn searched(folders: &[(PathBuf, FolderState)]) -> String {
    if folders.is_empty() {
        return "nothing, the search path is empty: set `path` under [plugins]".to_owned();
    }
    let each: Vec<_> = folders
        .iter()
        .map(|(folder, state)| match state {
            FolderState::Searched => text::show(folder).to_string(),
            FolderState::Missing => format!("{} (does not exist)", text::show(folder)),
            FolderState::Unreadable(why) => format!("{} ({why})", text::show(folder)),
        })
        .collect();
    each.join(", ")
}

fn or_built_in(names: &[&str]) -> String {
    if names.is_empty() { String::new() } else { format!("; built in: {}", in_prose(names)) }
}

fn did_you_mean(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("; did you mean {name:?}?"),
        None => String::new(),
    }
}

/// Finds `plugin`. See [`find`](crate::plugin::find).
pub(crate) fn find(plugin: &str, search_path: &[PathBuf], base: &Path) -> Result<Location, FindError> {
    if plugin.is_empty() {
        return Err(FindError::Empty);
    }
    if is_path(plugin) {
        let path = base.join(expand(Path::new(plugin)));
        return match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FindError::NoFile { path }),
            // The inspection reports any other error.
            _ => Ok(path.into()),
        };
    }

    let search_path: Vec<_> = search_path.iter().map(|folder| base.join(expand(folder))).collect();
    let names = file_names(plugin);
    for folder in &search_path {
        for name in &names {
            let path = folder.join(name);
            // A dangling link is found too, so that the inspection can report it.
            if fs::symlink_metadata(&path).is_ok() && !path.is_dir() {
                return Ok(path.into());
            }
        }
    }
    if let Some(plugin) = BuiltInPlugin::find(plugin) {
        return Ok(Location::BuiltIn(plugin));
    }

    let built_in = BuiltInPlugin::names();
    let most_similar = most_similar(plugin, &list(&search_path), &built_in);
    let folders = search_path.into_iter().map(|folder| (folder.clone(), state(&folder))).collect();
    Err(FindError::NotOnPath { plugin: plugin.to_owned(), folders, built_in, nearest: most_similar })
}

/// The libraries on `search_path`, sorted by name: for each name the file that `find` finds.
#[must_use]
pub fn list(search_path: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = BTreeMap::<OsString, (usize, usize, PathBuf)>::new();
    for (order, folder) in search_path.iter().enumerate() {
        let Ok(entries) = fs::read_dir(expand(folder)) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let named = name_of(&path).map(|(name, form)| (OsString::from(name.replace('-', "_")), form));
            let Some((name, form)) = named.or_else(|| not_utf8(&path)) else { continue };
            if path.is_dir() {
                continue;
            }
            let candidate = (order, form, path);
            let first = found.get(&name).is_none_or(|known| candidate < *known);
            if first {
                found.insert(name, candidate);
            }
        }
    }
    found.into_values().map(|(_, _, path)| path).collect()
}

fn is_path(plugin: &str) -> bool {
    plugin.contains(['/', MAIN_SEPARATOR])
        // `C:x` is a path of Windows, which joined to a folder would lead out of it.
        || cfg!(windows) && plugin.contains(':')
        || plugin.contains(".so.")
        || Path::new(plugin)
            .extension()
            .is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// The user's home folder; `None` when it is unknown or relative. A relative one would make the current folder decide which
/// code runs.
#[must_use]
pub fn home() -> Option<PathBuf> {
    env::home_dir().filter(|home| home.is_absolute())
}

/// Replaces `~/` at the start by the home folder.
fn expand(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

fn file_names(plugin: &str) -> Vec<String> {
    let mut names = Vec::new();
    for stem in [plugin.to_owned(), plugin.replace('-', "_")] {
        for (prefix, extension) in FORMS {
            let name = format!("{prefix}{stem}.{extension}");
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// The name by which [`find`] finds this file, and the index of its form.
fn name_of(path: &Path) -> Option<(&str, usize)> {
    let stem = path.file_stem()?.to_str()?;
    let extension = path.extension()?.to_str()?;
    FORMS
        .iter()
        .enumerate()
        .filter(|(_, (prefix, e))| {
            is_same(e, extension) && stem.len() > prefix.len() && stem.starts_with(prefix)
        })
        .max_by_key(|(_, (prefix, _))| prefix.len())
        .map(|(form, (prefix, _))| (&stem[prefix.len()..], form))
}

/// Whether the system takes these extensions for the same.
fn is_same(one: &str, other: &str) -> bool {
    if cfg!(windows) { one.eq_ignore_ascii_case(other) } else { one == other }
}

/// The name of a library that no configuration can name, because the name is not UTF-8, and the index of its form.
fn not_utf8(path: &Path) -> Option<(OsString, usize)> {
    let name = path.file_name().filter(|name| name.to_str().is_none())?;
    let form = FORMS.iter().position(|(_, extension)| path.extension() == Some(OsStr::new(extension)))?;
    Some((name.to_owned(), form))
}

fn most_similar(plugin: &str, files: &[PathBuf], built_in: &[&'static str]) -> Option<String> {
    let names = files.iter().filter_map(|path| name_of(path)).map(|(name, _)| name);
    nearest(plugin, names.chain(built_in.iter().copied())).map(str::to_owned)
}

fn state(folder: &Path) -> FolderState {
    match fs::read_dir(folder) {
        Ok(_) => FolderState::Searched,
        Err(error) if error.kind() == io::ErrorKind::NotFound => FolderState::Missing,
        Err(error) => FolderState::Unreadable(error.to_string()),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The file that is found.
    fn find(plugin: &str, search_path: &[PathBuf], base: &Path) -> Result<PathBuf, FindError> {
        super::find(plugin, search_path, base).map(|found| found.file().expect("a file").to_owned())
    }

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            fs::write(folder.path().join(file), "").expect("a file");
        }
        folder
    }

    #[test]
    fn a_name_is_found_with_lib_and_with_underscores() {
        let dir = folder(&["librabbitmq.so", "plain.so", "libmy_sink.so"]);
        let path = [dir.path().to_owned()];
        for (name, file) in
            [("rabbitmq", "librabbitmq.so"), ("plain", "plain.so"), ("my-sink", "libmy_sink.so")]
        {
            assert_eq!(find(name, &path, Path::new("/")).unwrap(), dir.path().join(file));
        }
    }

    #[test]
    fn the_first_folder_wins_and_list_agrees_with_find() {
        let (a, b) =
            (folder(&["x.so", "y-z.so"]), folder(&["libx.so", "liby_z.so", "libw.so", "note.txt", "x.dll"]));
        let path = [a.path().to_owned(), b.path().to_owned()];
        assert_eq!(find("x", &path, Path::new("/")).unwrap(), a.path().join("x.so"));
        assert_eq!(list(&path), [b.path().join("libw.so"), a.path().join("x.so"), a.path().join("y-z.so")]);
        for file in list(&path) {
            assert_eq!(find(name_of(&file).unwrap().0, &path, Path::new("/")).unwrap(), file);
        }
    }

    #[test]
    fn a_library_whose_name_is_not_utf8_is_listed() {
        use std::os::unix::ffi::OsStrExt as _;
        let dir = folder(&["x.so"]);
        let odd = dir.path().join(OsStr::from_bytes(b"lib\xff.so"));
        fs::write(&odd, "").expect("a file");
        assert_eq!(list(&[dir.path().to_owned()]), [odd, dir.path().join("x.so")]);
    }

    #[test]
    fn a_folder_with_a_plugins_name_is_no_plugin() {
        let (a, b) = (folder(&[]), folder(&["libx.so"]));
        fs::create_dir(a.path().join("libx.so")).unwrap();
        let path = [a.path().to_owned(), b.path().to_owned()];
        assert_eq!(find("x", &path, Path::new("/")).unwrap(), b.path().join("libx.so"));
        assert_eq!(list(&path), [b.path().join("libx.so")]);
    }

    #[test]
    fn paths_are_relative_to_the_configuration() {
        let dir = folder(&["libx.so", "other.dll"]);
        let base = dir.path();
        assert_eq!(find("./libx.so", &[], base).unwrap(), base.join("./libx.so"));
        assert_eq!(find("libx.so", &[], base).unwrap(), base.join("libx.so"));
        assert_eq!(find("other.dll", &[], base).unwrap(), base.join("other.dll"));
        assert_eq!(find("x", &[PathBuf::from(".")], base).unwrap(), base.join("./libx.so"));
        assert!(matches!(find("libx.so.1", &[], base), Err(FindError::NoFile { .. })));
    }

    #[test]
    fn a_tilde_at_the_start_is_the_home_folder() {
        let home = env::home_dir().unwrap();
        assert_eq!(expand(Path::new("~/lib")), home.join("lib"));
        assert_eq!(expand(Path::new("/a/~/lib")), Path::new("/a/~/lib"));
        assert_eq!(expand(Path::new("~other/lib")), Path::new("~other/lib"));
    }

    #[test]
    fn what_is_not_found_is_explained_in_one_line() {
        let dir = folder(&["librabbitmq.so"]);
        let path = [dir.path().to_owned(), PathBuf::from("/nowhere/at/all")];
        let line = find("rabitmq", &path, Path::new("/")).unwrap_err().to_string();
        assert_eq!(
            line,
            format!(
                "no plugin \"rabitmq\": searched {}, /nowhere/at/all (does not exist); did you mean \"rabbitmq\"?",
                dir.path().display()
            )
        );
        let line = find("zebra", &path, Path::new("/")).unwrap_err().to_string();
        assert!(!line.contains("did you mean"), "{line}");
        let line = find("zebra", &[], Path::new("/")).unwrap_err().to_string();
        assert!(line.contains("the search path is empty"), "{line}");
        let line = find("./zebra", &[], dir.path()).unwrap_err().to_string();
        assert!(line.starts_with(&format!("no file {}/./zebra: ", dir.path().display())), "{line}");
    }
}
