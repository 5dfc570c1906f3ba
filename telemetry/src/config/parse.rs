//! Parsing the text of a configuration.

use std::{
    collections::BTreeMap,
    env, iter,
    ops::Range,
    path::{self, Path, PathBuf},
};

use jackfield_loader::{ForeignText, Trust};
use toml::de::DeValue;

use crate::config::interpolation::{Used, Values};
use crate::config::model::{BackendConfig, Config, PluginsConfig, conceal};
use crate::config::sandbox;
use crate::config::source_file::ConfigFile;
use crate::config::toml::{Document, Entry};
use crate::config::values::{absolute, parse_duration};
use crate::error::Error;

/// The default name of the lock file, beside the configuration.
const LOCK: &str = "jackfield.lock";

impl Config {
    /// Reads a regular file of at most 1 MiB.
    ///
    /// # Errors
    /// [`Error::ReadConfig`], or [`Error::Config`] or [`Error::ConfigValue`] with the line.
    pub fn read(file: &Path) -> Result<Self, Error> {
        ConfigFile::open(file)?.read()
    }

    /// Parses `text`, the content of `file`. Relative paths start at the folder of `file`; its name is for messages.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::ConfigValue`] with the line.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        parse(text, file, &Values::new(&|name| env::var_os(name), &folder_of(file), false))
    }
}

impl ConfigFile {
    /// Reads and parses the file. Relative paths start at its folder.
    ///
    /// # Errors
    /// [`Error::ReadConfig`], also for a file of more than 1 MiB, or [`Error::Config`] or [`Error::ConfigValue`] with the
    /// line.
    pub fn read(self) -> Result<Config, Error> {
        let (file, is_trusted) = (self.path().to_owned(), self.is_trusted);
        let text = self.text()?;
        parse(&text, &file, &Values::new(&|name| env::var_os(name), &folder_of(&file), is_trusted))
    }
}

/// The absolute folder of a configuration file.
fn folder_of(file: &Path) -> PathBuf {
    let file = path::absolute(file).unwrap_or_else(|_| file.to_owned());
    file.parent().unwrap_or(Path::new("/")).to_owned()
}

/// Parses the text. An error message shows references instead of their values.
fn parse(text: &str, file: &Path, values: &Values<'_>) -> Result<Config, Error> {
    parse_values(Document { file, text, values }).map_err(|error| {
        let concealed = |reason: ForeignText| {
            conceal(&values.used_since(Default::default()).values, reason.as_raw()).into()
        };
        match error {
            Error::Config { at, reason } => Error::Config { at, reason: concealed(reason) },
            Error::ConfigValue { at, file, reason } => {
                Error::ConfigValue { at, file, reason: concealed(reason) }
            }
            other => other,
        }
    })
}

fn parse_values(document: Document<'_>) -> Result<Config, Error> {
    let table = document.parse()?;
    let folder = folder_of(document.file);
    let mut plugins = PluginsConfig { lock: Some(folder.join(LOCK)), ..PluginsConfig::default() };
    let mut backends = Vec::new();
    for entry in document.entries(table.get_ref(), "", &["plugins", "backend"])? {
        if entry.key == "plugins" {
            parse_plugins(document, &entry, &folder, &mut plugins)?;
        } else {
            let tables = document.tables(&entry)?;
            backends =
                tables.map(|item| parse_backend(document, &item, &folder)).collect::<Result<_, _>>()?;
        }
    }
    Ok(Config { plugins, backends: named(document, backends)?, folder })
}

fn parse_plugins(
    document: Document<'_>,
    entry: &Entry<'_, '_>,
    folder: &Path,
    plugins: &mut PluginsConfig,
) -> Result<(), Error> {
    let mut trust_at = None;
    for entry in document.table(entry, &["path", "trust", "lock", "keys", "revoked", "helper"])? {
        match entry.key {
            "path" => {
                plugins.path = document.strings(&entry)?.iter().map(|path| absolute(path, folder)).collect();
            }
            "helper" => {
                plugins.helper = Some(absolute(&document.not_empty(&entry)?, folder));
                plugins.helper_place = Some(document.place(&entry.key_at));
            }
            "trust" => {
                plugins.trust = document.choice(&entry, &Trust::ALL)?;
                trust_at = Some(entry.value.span());
            }
            "lock" => {
                plugins.lock = Some(absolute(&document.not_empty(&entry)?, folder));
                plugins.lock_is_named = true;
            }
            "keys" => plugins.keys = document.list(&entry)?,
            _ => plugins.revoked = document.list(&entry)?,
        }
    }
    match trust_at {
        Some(at) if plugins.trust == Trust::Signed && plugins.keys.is_empty() => {
            let reason = "`plugins.trust`: \"signed\" takes `plugins.keys`, a list of minisign public keys";
            Err(document.error(at, reason))
        }
        _ => Ok(()),
    }
}

const BACKEND_KEYS: [&str; 8] =
    ["plugin", "name", "timeout", "longest_pause", "isolation", "config", "limits", "sandbox"];

/// A backend, and the place of its name, or of its table when it has no name.
type MaybeNamed = (BackendConfig, Range<usize>);

fn parse_backend(document: Document<'_>, item: &Entry<'_, '_>, folder: &Path) -> Result<MaybeNamed, Error> {
    let mark = document.values.mark();
    let at = item.value.span();
    let mut name_at = at.clone();
    let mut backend = BackendConfig::of("", "{}".to_owned());
    backend.place = Some(document.place(&at));
    // The first key that needs a process of its own.
    let mut process_only = None;
    for entry in document.table(item, &BACKEND_KEYS)? {
        let lines = &mut backend.lines;
        if let DeValue::Table(keys) = entry.value.get_ref() {
            lines.insert(entry.key.to_owned(), document.place(&entry.key_at));
            for key in keys.keys() {
                lines.insert(format!("{}.{}", entry.key, key.get_ref()), document.place(&key.span()));
            }
        }
        match entry.key {
            "plugin" => backend.plugin = document.not_empty(&entry)?,
            "name" => {
                backend.name = label(document, &entry)?;
                name_at = entry.key_at.clone();
            }
            "timeout" | "longest_pause" => {
                let duration = parse_duration(&document.string(&entry)?)
                    .map_err(|reason| document.refuse(&entry, reason))?;
                *(if entry.key == "timeout" { &mut backend.timeout } else { &mut backend.longest_pause }) =
                    duration;
            }
            "isolation" => {
                backend.isolated = document.choice(&entry, &[("thread", false), ("process", true)])?;
            }
            "limits" => {
                backend.limits = sandbox::limits(document, &entry)?;
                process_only.get_or_insert((entry.path, entry.key_at));
            }
            "sandbox" => {
                backend.sandbox = Some(sandbox::sandbox(document, &entry, folder)?);
                process_only.get_or_insert((entry.path, entry.key_at));
            }
            _ => {
                if !matches!(entry.value.get_ref(), DeValue::Table(_)) {
                    return Err(document.wrong_type(&entry, "a table"));
                }
                let mut seen = |key: &str, at| drop(lines.insert(key.to_owned(), document.place(&at)));
                backend.config = document.json(entry.value, &entry.path, "config", &mut seen)?.to_string();
            }
        }
    }
    if backend.plugin.is_empty() {
        return Err(document.error(at, "`backend.plugin`: expected a plugin's name or path, found nothing"));
    }
    if let (Some((path, at)), false) = (process_only, backend.isolated) {
        let reason =
            format!("`{path}`: expected `isolation = \"process\"` beside it: a thread can't be confined");
        return Err(document.error(at, reason));
    }
    let Used { values, files, keys } = document.values.used_since(mark);
    backend.references = values;
    backend.value_files = files;
    let option = |key: &String| key.strip_prefix("backend.config.").map(str::to_owned);
    backend.filled_options = keys.iter().filter_map(option).collect();
    Ok((backend, name_at))
}

fn is_label(character: char) -> bool {
    character.is_ascii_alphanumeric() || "._-".contains(character)
}

/// A name that can be a part of a file's name.
fn label(document: Document<'_>, entry: &Entry<'_, '_>) -> Result<String, Error> {
    const LONGEST: usize = 64;
    let text = document.not_empty(entry)?;
    if text.len() > LONGEST || text.starts_with('.') || !text.chars().all(is_label) {
        return Err(document.refuse(
            entry,
            format_args!(
                "expected at most {LONGEST} letters, digits, `.`, `_` and `-`, not beginning with `.`, found {text:?}"
            ),
        ));
    }
    Ok(text)
}

/// Gives every backend a unique name.
fn named(document: Document<'_>, backends: Vec<MaybeNamed>) -> Result<Vec<BackendConfig>, Error> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for (BackendConfig { name, .. }, name_at) in backends.iter().filter(|(it, _)| !it.name.is_empty()) {
        if let Some(first) = taken.insert(name.clone(), document.place(name_at).line) {
            let reason =
                format!("`backend.name`: {name:?} is the name of the backend at line {first} already");
            return Err(document.error(name_at.clone(), reason));
        }
    }
    let name = |(mut backend, _): MaybeNamed| {
        if backend.name.is_empty() {
            let base = default_name(&backend.conceal(&backend.plugin));
            let mut names = iter::once(base.clone()).chain((2..).map(|number| format!("{base}-{number}")));
            backend.name = names.find(|name| !taken.contains_key(name)).unwrap_or(base);
            taken.insert(backend.name.clone(), 0);
        }
        backend
    };
    Ok(backends.into_iter().map(name).collect())
}

/// `rabbitmq` for `rabbitmq`, `librabbitmq.so` and `./lib/rabbitmq.dll`.
fn default_name(plugin: &str) -> String {
    let file = plugin.rsplit(['/', path::MAIN_SEPARATOR]).next().unwrap_or(plugin);
    let stem = match file.rsplit_once('.') {
        Some((stem, "so" | "dll" | "dylib")) => stem.strip_prefix("lib").unwrap_or(stem),
        _ => file,
    };
    let name: String = stem.chars().map(|c| if is_label(c) { c } else { '-' }).collect();
    // A `${NAME}` becomes the variable's name.
    let name = name.trim_start_matches('.').trim_matches('-');
    if name.is_empty() { "backend".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
