//! Parsing the text of a configuration.

use std::{
    collections::BTreeMap,
    env, iter,
    ops::Range,
    path::{self, Path, PathBuf},
};

use jackfield_loader::{ForeignText, Trust};

use serde_json::json;

use crate::config::effective::{self, EffectiveValue};
use crate::config::interpolation::{Used, Values};
use crate::config::model::{BackendConfig, Config, PluginsConfig, conceal};
use crate::config::sandbox;
use crate::config::source_file::ConfigFile;
use crate::config::syntax::DeValue;
use crate::config::toml::{Document, Entry, Mistakes};
use crate::config::values::absolute;
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
    /// [`Error::Config`] or [`Error::ConfigValue`] with the line: the first mistake.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        let (config, mistakes) = Self::parse_all(text, file, false);
        mistakes.into_iter().next().map_or(Ok(config), Err)
    }

    /// Parses `text` as [`parse`](Self::parse) does, and goes on behind a mistake. Returns all mistakes, and the
    /// configuration, which has a default or nothing in the place of each. The files of values are not judged if the
    /// configuration `is_trusted`.
    pub(crate) fn parse_all(text: &str, file: &Path, is_trusted: bool) -> (Self, Vec<Error>) {
        parse(text, file, &Values::new(&|name| env::var_os(name), &folder_of(file), is_trusted))
    }
}

impl ConfigFile {
    /// Reads and parses the file. Relative paths start at its folder.
    ///
    /// # Errors
    /// [`Error::ReadConfig`], also for a file of more than 1 MiB, or [`Error::Config`] or [`Error::ConfigValue`] with the
    /// line.
    pub fn read(self) -> Result<Config, Error> {
        let (_, config, mistakes) = self.parse_all()?;
        mistakes.into_iter().next().map_or(Ok(config), Err)
    }

    /// Reads and parses the file as [`read`](Self::read) does, and goes on behind a mistake.
    ///
    /// # Errors
    /// [`Error::ReadConfig`].
    pub fn read_all(self) -> Result<Reading, Error> {
        let path = self.path().to_owned();
        let (text, config, mut mistakes) = self.parse_all()?;
        mistakes.sort_by_key(|mistake| mistake.place().map(|place| place.line));
        let values = effective::values(&config, &text, &path);
        Ok(Reading { config, mistakes, values })
    }

    fn parse_all(self) -> Result<(String, Config, Vec<Error>), Error> {
        let (file, is_trusted) = (self.path().to_owned(), self.is_trusted);
        let text = self.text()?;
        let (config, mistakes) = Config::parse_all(&text, &file, is_trusted);
        Ok((text, config, mistakes))
    }
}

/// A configuration file as far as it could be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reading {
    /// The configuration, with a default or nothing in the place of each mistake.
    pub config: Config,
    /// All mistakes, in the order of their lines.
    pub mistakes: Vec<Error>,
    /// What is in force if there is no mistake.
    pub values: Vec<EffectiveValue>,
}

/// A configuration that no file has, such as the embedded one.
impl From<Config> for Reading {
    fn from(config: Config) -> Self {
        let values = effective::values(&config, "", Path::new(""));
        Self { config, mistakes: Vec::new(), values }
    }
}

/// The absolute folder of a configuration file.
fn folder_of(file: &Path) -> PathBuf {
    let file = path::absolute(file).unwrap_or_else(|_| file.to_owned());
    file.parent().unwrap_or(Path::new("/")).to_owned()
}

/// Parses the text. A message shows references instead of their values.
fn parse(text: &str, file: &Path, values: &Values<'_>) -> (Config, Vec<Error>) {
    let mistakes = Mistakes::default();
    let config = parse_values(Document { file, text, values, mistakes: &mistakes });
    let used = values.used_since(Default::default()).values;
    let concealed = |reason: ForeignText| conceal(&used, reason.as_raw()).into();
    let concealed = |error| match error {
        Error::Config { at, reason } => Error::Config { at, reason: concealed(reason) },
        Error::ConfigValue { at, file, reason } => Error::ConfigValue { at, file, reason: concealed(reason) },
        other => other,
    };
    (config, mistakes.take().into_iter().map(concealed).collect())
}

fn parse_values(document: Document<'_>) -> Config {
    let folder = folder_of(document.file);
    let mut plugins = PluginsConfig { lock: Some(folder.join(LOCK)), ..PluginsConfig::default() };
    let mut backends = Vec::new();
    let table = document.parse();
    let table = table.as_ref().map(|table| document.entries(table.get_ref(), "", &["plugins", "backend"]));
    for entry in table.unwrap_or_default() {
        if entry.key == "plugins" {
            parse_plugins(document, &entry, &folder, &mut plugins);
        } else {
            let tables = document.tables(&entry);
            backends = tables.iter().map(|item| parse_backend(document, item, &folder)).collect();
        }
    }
    let file = Some(document.file.to_owned());
    Config { plugins, backends: named(document, backends), folder, file }
}

fn parse_plugins(document: Document<'_>, entry: &Entry<'_, '_>, folder: &Path, plugins: &mut PluginsConfig) {
    let (mut trust_at, mut has_keys) = (None, false);
    for entry in document.table(entry, &["path", "trust", "lock", "keys", "revoked", "helper"]) {
        let mut read = || {
            match entry.key {
                "path" => {
                    let paths = document.strings(&entry)?;
                    plugins.path = paths.iter().map(|path| absolute(path, folder)).collect();
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
                "keys" => {
                    // Keys with a mistake are keys, too.
                    has_keys = true;
                    plugins.keys = document.list(&entry)?;
                    has_keys = !plugins.keys.is_empty();
                }
                _ => plugins.revoked = document.list(&entry)?,
            }
            Ok(())
        };
        document.noted(read());
    }
    if let Some(at) = trust_at.filter(|_| plugins.trust == Trust::Signed && !has_keys) {
        let reason = "`plugins.trust`: \"signed\" takes `plugins.keys`, a list of minisign public keys";
        document.mistakes.note(document.error(at, reason));
    }
}

const BACKEND_KEYS: [&str; 8] =
    ["plugin", "name", "timeout", "longest_pause", "isolation", "config", "limits", "sandbox"];

/// A backend, and the place of its name, or of its table when it has no name.
type MaybeNamed = (BackendConfig, Range<usize>);

fn parse_backend(document: Document<'_>, item: &Entry<'_, '_>, folder: &Path) -> MaybeNamed {
    let mark = document.values.mark();
    let at = item.value.span();
    let mut name_at = at.clone();
    let mut backend = BackendConfig::new("", &json!({}));
    backend.place = Some(document.place(&at));
    // The first key that needs a process of its own.
    let mut process_only = None;
    let (mut has_plugin, mut isolation_is_wrong) = (false, false);
    for entry in document.table(item, &BACKEND_KEYS) {
        let lines = &mut backend.lines;
        if let DeValue::Table(keys) = entry.value.get_ref() {
            lines.insert(entry.key.to_owned(), document.place(&entry.key_at));
            for key in keys.keys() {
                lines.insert(format!("{}.{}", entry.key, key.get_ref()), document.place(&key.span()));
            }
        }
        let mut read = || {
            match entry.key {
                "plugin" => {
                    has_plugin = true;
                    backend.plugin = document.not_empty(&entry)?;
                }
                "name" => {
                    name_at = entry.key_at.clone();
                    backend.name = label(document, &entry)?;
                }
                "timeout" | "longest_pause" => {
                    let duration = document.duration(&entry)?;
                    *(if entry.key == "timeout" {
                        &mut backend.timeout
                    } else {
                        &mut backend.longest_pause
                    }) = duration;
                }
                "isolation" => {
                    isolation_is_wrong = true;
                    backend.isolated =
                        Some(document.choice(&entry, &[("thread", false), ("process", true)])?);
                    isolation_is_wrong = false;
                }
                "limits" => {
                    backend.limits = sandbox::limits(document, &entry);
                    process_only.get_or_insert((entry.path.clone(), entry.key_at.clone()));
                }
                "sandbox" => {
                    backend.sandbox = Some(sandbox::sandbox(document, &entry, folder));
                    process_only.get_or_insert((entry.path.clone(), entry.key_at.clone()));
                }
                _ => {
                    if !matches!(entry.value.get_ref(), DeValue::Table(_)) {
                        return Err(document.wrong_type(&entry, "a table"));
                    }
                    let mut seen = |key: &str, at| drop(lines.insert(key.to_owned(), document.place(&at)));
                    backend.config = document.json(entry.value, &entry.path, "config", &mut seen).to_string();
                }
            }
            Ok(())
        };
        document.noted(read());
    }
    if !has_plugin {
        let reason = "`backend.plugin`: expected a plugin's name or path, found nothing";
        document.mistakes.note(document.error(at, reason));
    }
    if let Some((path, at)) = process_only.filter(|_| backend.isolated != Some(true) && !isolation_is_wrong) {
        let reason =
            format!("`{path}`: expected `isolation = \"process\"` beside it: a thread can't be confined");
        document.mistakes.note(document.error(at, reason));
    }
    let Used { values, files, keys } = document.values.used_since(mark);
    backend.references = values;
    backend.value_files = files;
    let option = |key: &String| key.strip_prefix("backend.config.").map(str::to_owned);
    backend.filled_options = keys.iter().filter_map(option).collect();
    (backend, name_at)
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
fn named(document: Document<'_>, backends: Vec<MaybeNamed>) -> Vec<BackendConfig> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for (BackendConfig { name, .. }, name_at) in backends.iter().filter(|(it, _)| !it.name.is_empty()) {
        if let Some(first) = taken.insert(name.clone(), document.place(name_at).line) {
            let reason =
                format!("`backend.name`: {name:?} is the name of the backend at line {first} already");
            document.mistakes.note(document.error(name_at.clone(), reason));
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
    backends.into_iter().map(name).collect()
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
