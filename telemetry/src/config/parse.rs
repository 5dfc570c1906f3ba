//! Parsing the text of a configuration.

use std::{cell::RefCell, collections::BTreeMap, env, ffi::OsString, ops::Range, path::Path};

use jackfield_loader::{Limits, Trust, nearest};
use toml::de::DeValue;

use crate::config::duration::parse_duration;
use crate::config::model::{BackendConfig, Config, PluginsConfig, TIMEOUT, conceal};
use crate::config::sandbox;
use crate::config::source_file::ConfigFile;
use crate::config::toml::{Document, Entry, Environment};
use crate::config::values::{absolute, list, not_empty};
use crate::error::error::Error;

/// The default name of the lock file, beside the configuration.
const LOCK: &str = "jackfield.lock";

impl Config {
    /// Reads a regular file of at most 1 MiB.
    ///
    /// # Errors
    /// [`Error::ReadConfig`], or [`Error::Config`] with the line.
    pub fn read(file: &Path) -> Result<Self, Error> {
        ConfigFile::open(file)?.read()
    }

    /// Parses `text`, the content of `file`. The name of the file is for messages; relative paths start at its folder.
    ///
    /// # Errors
    /// [`Error::Config`] with the line.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        parse(Document { file, text, environment: &|name| env::var_os(name) })
    }
}

impl ConfigFile {
    /// Reads and parses the file. Relative paths start at its folder.
    ///
    /// # Errors
    /// [`Error::ReadConfig`], also for a file of more than 1 MiB, or [`Error::Config`] with the line.
    pub fn read(self) -> Result<Config, Error> {
        let path = self.path().to_owned();
        Config::parse(&self.text()?, &path)
    }
}

/// The environment. Each variable that is looked up and set is added to `variables`.
fn recorded<'a>(
    environment: Environment<'a>,
    variables: &'a RefCell<Vec<(String, String)>>,
) -> impl Fn(&str) -> Option<OsString> + 'a {
    move |name| {
        let value = environment(name);
        let text = value.clone().and_then(|value| value.into_string().ok());
        variables.borrow_mut().extend(text.map(|text| (name.to_owned(), text)));
        value
    }
}

/// Parses the document. An error message shows the names of variables instead of their values.
fn parse(document: Document<'_>) -> Result<Config, Error> {
    let variables = RefCell::new(Vec::new());
    let environment = recorded(document.environment, &variables);
    let parsed = parse_values(Document { environment: &environment, ..document });
    parsed.map_err(|error| match error {
        Error::Config { at, reason } => {
            let mut variables = variables.take();
            variables.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
            Error::Config { at, reason: conceal(&variables, reason.as_raw()).into() }
        }
        other => other,
    })
}

fn parse_values(document: Document<'_>) -> Result<Config, Error> {
    let table = document.parse()?;
    let file = std::path::absolute(document.file).unwrap_or_else(|_| document.file.to_owned());
    let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
    let mut plugins = PluginsConfig { lock: Some(folder.join(LOCK)), ..PluginsConfig::default() };
    let mut backends = Vec::new();
    for entry in document.entries(table.get_ref(), "", &["plugins", "backend"])? {
        match (entry.key, entry.value.get_ref()) {
            ("plugins", _) => parse_plugins(document, &entry, &folder, &mut plugins)?,
            (_, DeValue::Array(items)) => {
                for value in items {
                    let item =
                        Entry { path: entry.path.clone(), key: entry.key, key_at: value.span(), value };
                    backends.push(parse_backend(document, &item, &folder)?);
                }
            }
            _ => return Err(document.wrong_type(&entry, "tables, each with the header [[backend]]")),
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
    let DeValue::Table(table) = entry.value.get_ref() else {
        return Err(document.wrong_type(entry, "a table"));
    };
    let mut trust_at = None;
    for entry in
        document.entries(table, "plugins", &["path", "trust", "lock", "keys", "revoked", "helper"])?
    {
        match entry.key {
            "path" => {
                plugins.path = document.strings(&entry)?.iter().map(|path| absolute(path, folder)).collect();
            }
            "helper" => plugins.helper = Some(absolute(&not_empty(document, &entry)?, folder)),
            "trust" => {
                plugins.trust = choice(document, &entry, &Trust::ALL.map(|(word, it)| (word, Some(it))))?;
                trust_at = Some(entry.value.span());
            }
            "lock" => {
                plugins.lock = Some(absolute(&not_empty(document, &entry)?, folder));
                plugins.lock_is_named = true;
            }
            "keys" => plugins.keys = list(document, &entry)?,
            _ => plugins.revoked = list(document, &entry)?,
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

/// A word that a key may have, and its meaning; `None` for a word of a later version.
type Choice<T> = (&'static str, Option<T>);

/// The words of `isolation`: whether the plugin runs in an isolated child.
const ISOLATION: [Choice<bool>; 2] = [("thread", Some(false)), ("process", Some(true))];

fn choice<T: Copy>(document: Document<'_>, entry: &Entry<'_, '_>, choices: &[Choice<T>]) -> Result<T, Error> {
    let word = document.string(entry)?;
    let known: Vec<_> =
        choices.iter().filter(|(_, meaning)| meaning.is_some()).map(|(word, _)| *word).collect();
    let path = &entry.path;
    let refuse = |reason| Err(document.error(entry.value.span(), format!("`{path}`: {reason}")));
    match choices.iter().find(|(known, _)| *known == word) {
        Some((_, Some(meaning))) => Ok(*meaning),
        Some((word, None)) => refuse(format!(
            "\"{word}\" comes in a later version, this one has \"{}\"",
            known.join("\" and \"")
        )),
        None => {
            let hint = nearest(&word, known.iter().copied())
                .map(|near| format!(", did you mean \"{near}\"?"))
                .unwrap_or_default();
            refuse(format!("expected \"{}\", found {word:?}{hint}", known.join("\" or \"")))
        }
    }
}

const BACKEND_KEYS: [&str; 7] = ["plugin", "name", "timeout", "isolation", "config", "limits", "sandbox"];

/// A backend, its name if it has one, and the place of the name or of the table.
struct Unnamed {
    backend: BackendConfig,
    name: Option<String>,
    name_at: Range<usize>,
}

fn parse_backend(document: Document<'_>, item: &Entry<'_, '_>, folder: &Path) -> Result<Unnamed, Error> {
    let DeValue::Table(table) = item.value.get_ref() else {
        return Err(document.wrong_type(item, "a table"));
    };
    let at = item.value.span();
    let place = document.place(&at);
    let variables = RefCell::new(Vec::new());
    let environment = recorded(document.environment, &variables);
    let document = Document { environment: &environment, ..document };
    let (mut plugin, mut name, mut name_at) = (None, None, at.clone());
    let mut timeout = TIMEOUT;
    let mut isolated = false;
    let mut config = "{}".to_owned();
    let mut lines = BTreeMap::new();
    let (mut limits, mut sandbox, mut confined) = (Limits::default(), None, None);
    for entry in document.entries(table, &item.path, &BACKEND_KEYS)? {
        match entry.key {
            "plugin" => plugin = Some(not_empty(document, &entry)?),
            "name" => {
                name = Some(label(document, &entry)?);
                name_at = entry.key_at.clone();
            }
            "timeout" => {
                let text = document.string(&entry)?;
                timeout = parse_duration(&text).map_err(|reason| {
                    document.error(entry.value.span(), format!("`{}`: {reason}", entry.path))
                })?;
            }
            "isolation" => isolated = choice(document, &entry, &ISOLATION)?,
            "limits" => {
                limits = sandbox::limits(document, &entry)?;
                confined.get_or_insert((entry.path, entry.key_at));
            }
            "sandbox" => {
                sandbox = Some(sandbox::sandbox(document, &entry, folder)?);
                confined.get_or_insert((entry.path, entry.key_at));
            }
            _ => {
                if !matches!(entry.value.get_ref(), DeValue::Table(_)) {
                    return Err(document.wrong_type(&entry, "a table"));
                }
                lines.insert(String::new(), document.place(&entry.key_at));
                let mut seen = |key: &str, at| drop(lines.insert(key.to_owned(), document.place(&at)));
                config = document.json(entry.value, &entry.path, "", &mut seen)?.to_string();
            }
        }
    }
    let Some(plugin) = plugin else {
        return Err(document.error(at, "`backend.plugin`: expected a plugin's name or path, found nothing"));
    };
    if let (Some((path, at)), false) = (confined, isolated) {
        let reason =
            format!("`{path}`: expected `isolation = \"process\"` beside it: a thread can't be confined");
        return Err(document.error(at, reason));
    }
    let mut variables = variables.take();
    // A value may be a part of another: the longest comes first.
    variables.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    let backend = BackendConfig {
        plugin,
        name: String::new(),
        timeout,
        config,
        isolated,
        limits,
        sandbox,
        place: Some(place),
        variables,
        lines,
    };
    Ok(Unnamed { backend, name, name_at })
}

fn is_label(character: char) -> bool {
    character.is_ascii_alphanumeric() || "._-".contains(character)
}

/// A name that can be a part of a file's name.
fn label(document: Document<'_>, entry: &Entry<'_, '_>) -> Result<String, Error> {
    const LONGEST: usize = 64;
    let text = not_empty(document, entry)?;
    if text.len() > LONGEST || text.starts_with('.') || !text.chars().all(is_label) {
        let reason = format!(
            "`{}`: expected at most {LONGEST} letters, digits, `.`, `_` and `-`, not beginning with `.`, found {text:?}",
            entry.path
        );
        return Err(document.error(entry.value.span(), reason));
    }
    Ok(text)
}

/// Gives every backend a unique name.
fn named(document: Document<'_>, mut backends: Vec<Unnamed>) -> Result<Vec<BackendConfig>, Error> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for Unnamed { name, name_at, .. } in &backends {
        let Some(name) = name else { continue };
        let line = document.place(name_at).line;
        if let Some(first) = taken.insert(name.clone(), line) {
            let reason =
                format!("`backend.name`: {name:?} is the name of the backend at line {first} already");
            return Err(document.error(name_at.clone(), reason));
        }
    }
    for Unnamed { backend, name, .. } in &mut backends {
        backend.name = match name.take() {
            Some(name) => name,
            None => {
                let base = default_name(&backend.conceal(&backend.plugin));
                let numbered = (2..).map(|number| format!("{base}-{number}"));
                let free =
                    std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains_key(name));
                let free = free.unwrap_or(base);
                taken.insert(free.clone(), 0);
                free
            }
        };
    }
    Ok(backends.into_iter().map(|unnamed| unnamed.backend).collect())
}

/// `rabbitmq` for `rabbitmq`, `librabbitmq.so` and `./lib/rabbitmq.dll`.
fn default_name(plugin: &str) -> String {
    let file = plugin.rsplit(['/', std::path::MAIN_SEPARATOR]).next().unwrap_or(plugin);
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
