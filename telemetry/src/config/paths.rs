//! The default places of a tool's files, and the environment that they depend on.
//!
//! | | consent and settings | spool, machine id, state |
//! | --- | --- | --- |
//! | Linux, BSD | `$XDG_CONFIG_HOME/TOOL/config.toml`, `~/.config/…` | `$XDG_STATE_HOME/TOOL/telemetry`, `~/.local/state/…` |
//! | macOS | `~/Library/Application Support/TOOL/config.toml` | `~/Library/Application Support/TOOL/telemetry` |
//! | Windows | `%APPDATA%\TOOL\config.toml` | `%LOCALAPPDATA%\TOOL\telemetry` |
//!
//! The operators' file of a machine is `/etc/TOOL/telemetry.toml` (`%ProgramData%\TOOL\telemetry.toml` on Windows). If
//! `PREFIX_TELEMETRY_CONFIG` is set, it is the file that the variable names, which must exist and name backends.

use std::{
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use jackfield_loader::FindError;

/// Folders and files of one tool. A place that needs a home folder is `None` when there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paths {
    pub(crate) consent: Option<PathBuf>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) ops: Option<PathBuf>,
    /// The variable that names the operators' file, if it is set. The file must then exist.
    pub(crate) ops_by: Option<String>,
}

impl Paths {
    pub(crate) fn of(tool: &str, prefix: Option<&str>, environment: &dyn Environment) -> Self {
        let folder = folder_name(tool);
        let path = |name: &str| {
            let value = PathBuf::from(environment.var(name)?);
            // The base directory specification ignores relative paths.
            value.is_absolute().then_some(value)
        };
        let home = path("HOME").or_else(jackfield_loader::home);
        let under = |parts: &str| home.as_ref().map(|home| home.join(parts));
        let (config, state, machine) = if cfg!(windows) {
            (path("APPDATA"), path("LOCALAPPDATA"), path("ProgramData"))
        } else if cfg!(target_os = "macos") {
            let support = under("Library/Application Support");
            (support.clone(), support, Some(PathBuf::from("/etc")))
        } else {
            (
                path("XDG_CONFIG_HOME").or_else(|| under(".config")),
                path("XDG_STATE_HOME").or_else(|| under(".local/state")),
                Some(PathBuf::from("/etc")),
            )
        };
        let variable = prefix.map(|prefix| format!("{prefix}_TELEMETRY_CONFIG"));
        let named = variable.and_then(|variable| {
            let value = environment.var(&variable).filter(|value| !value.is_empty())?;
            Some((PathBuf::from(value), variable))
        });
        let (ops, ops_by) = named.unzip();
        let own = |base: Option<PathBuf>, file: &str| base.map(|base| base.join(&folder).join(file));
        Self {
            consent: own(config, "config.toml"),
            data: own(state, "telemetry"),
            ops: ops.or_else(|| own(machine, "telemetry.toml")),
            ops_by,
        }
    }
}

/// The tool's name as the name of a folder: a character that could lead out of the parent folder becomes `_`.
fn folder_name(tool: &str) -> PathBuf {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ') { c } else { '_' };
    let name: String = tool.chars().map(plain).collect();
    if Path::new(&name).file_name().is_none() { PathBuf::from("_") } else { PathBuf::from(name) }
}

/// Where environment variables are looked up.
///
/// Any `Fn(&str) -> Option<OsString>` is one.
pub trait Environment: Send + Sync {
    /// The value of the variable `name`, if it is set.
    fn var(&self, name: &str) -> Option<OsString>;
}

impl fmt::Debug for dyn Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

impl<F: Fn(&str) -> Option<OsString> + Send + Sync> Environment for F {
    fn var(&self, name: &str) -> Option<OsString> {
        self(name)
    }
}

/// The variable with the search path.
pub(crate) const SEARCH_PATH: &str = "JACKFIELD_PLUGIN_PATH";

/// The value of the variable with the search path, if it is set and not empty.
pub(crate) fn search_path_variable() -> Option<OsString> {
    env::var_os(SEARCH_PATH).filter(|paths| !paths.is_empty())
}

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
    if let Some(paths) = search_path_variable() {
        return env::split_paths(&paths).filter(|path| path.is_absolute()).collect();
    }
    let mut paths = Vec::new();
    if cfg!(windows) {
        paths.extend(env::var_os("LOCALAPPDATA").map(|data| Path::new(&data).join("jackfield\\plugins")));
    } else {
        paths.extend(jackfield_loader::home().map(|home| home.join(".local/lib/jackfield")));
        paths.extend(["/usr/local/lib/jackfield", "/usr/lib/jackfield"].map(PathBuf::from));
    }
    paths.extend(env::current_exe().ok().as_deref().and_then(Path::parent).map(beside).unwrap_or_default());
    paths
}

/// The folders of plugins of a program in `folder`. One that is called `bin` has the programs of a whole system, of which
/// some are libraries, such as `ld.so`.
fn beside(folder: &Path) -> Vec<PathBuf> {
    let own = Some(folder).filter(|folder| !folder.ends_with("bin"));
    [folder.join("plugins")].into_iter().chain(own.map(PathBuf::from)).collect()
}

/// The value of `plugin = "..."` that leads to `file`: the name in its metadata, else the file's name, else the path.
#[must_use]
pub fn accepted_plugin_name(file: &Path, own: Option<&str>, search_path: &[PathBuf]) -> String {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let names = [own, stem.and_then(|stem| stem.strip_prefix("lib")), stem];
    let leads_here = |name: &&str| {
        jackfield_loader::find(name, search_path, Path::new("/"))
            .is_ok_and(|found| found.file() == Some(file))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_systems_programs_is_no_folder_of_plugins() {
        assert_eq!(beside(Path::new("/usr/bin")), [PathBuf::from("/usr/bin/plugins")]);
        assert_eq!(beside(Path::new("/opt/tool")), ["/opt/tool/plugins", "/opt/tool"].map(PathBuf::from));
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    #[test]
    fn folders_are_those_of_the_base_directory_specification() {
        let none = |name: &str| (name == "HOME").then(|| OsString::from("/home/me"));
        let places = Paths::of("tool", Some("TOOL"), &none);
        assert_eq!(places.consent.as_deref(), Some(Path::new("/home/me/.config/tool/config.toml")));
        assert_eq!(places.data.as_deref(), Some(Path::new("/home/me/.local/state/tool/telemetry")));
        assert_eq!(places.ops.as_deref(), Some(Path::new("/etc/tool/telemetry.toml")));
        let all = |name: &str| match name {
            "XDG_CONFIG_HOME" => Some(OsString::from("/c")),
            "XDG_STATE_HOME" => Some(OsString::from("relative")),
            "TOOL_TELEMETRY_CONFIG" => Some(OsString::from("/ops.toml")),
            other => none(other),
        };
        let places = Paths::of("tool", Some("TOOL"), &all);
        assert_eq!(places.consent.as_deref(), Some(Path::new("/c/tool/config.toml")));
        assert_eq!(places.data.as_deref(), Some(Path::new("/home/me/.local/state/tool/telemetry")));
        assert_eq!(places.ops.as_deref(), Some(Path::new("/ops.toml")));
    }

    #[test]
    fn a_name_leads_to_no_other_folder() {
        for (tool, folder) in
            [("a/../b", "a_.._b"), ("..", "_"), (".", "_"), ("", "_"), ("my tool", "my tool")]
        {
            assert_eq!(folder_name(tool), Path::new(folder), "{tool}");
        }
    }
}
