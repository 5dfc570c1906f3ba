//! The configuration that ops write, in TOML.
//!
//! ```toml
//! [plugins]
//! path  = ["/usr/lib/jackfield", "~/.local/lib/jackfield"]   # searched in this order
//! trust = "owner"            # any | owner | pinned | signed
//! lock  = "jackfield.lock"   # for pinned, and for minimum versions; by default this file's neighbour of that name
//! keys  = ["RWQf6LRC..."]    # for signed: public keys of minisign
//! revoked = []               # ids of keys that are no longer accepted, such as "E7620F1842B4E81F"
//!
//! [[backend]]                # as many as wanted: each gets every event
//! plugin    = "rabbitmq"     # a name on the path, or a path
//! name      = "main"         # what messages and files call it; by default the plugin's name
//! timeout   = "5s"           # of each call
//! isolation = "thread"       # thread | process
//! [backend.config]           # handed to the plugin as JSON
//! url = "amqp://${AMQP_HOST}:5672/%2f"
//! [backend.limits]           # of the plugin's process
//! memory = "512MiB"          # address space
//! cpu = "60s"                # processor time of its life
//! files = 256                # open at a time
//! core_dumps = false
//! [backend.sandbox]          # what that process may touch beyond the plugin's folder and the system's libraries
//! read = ["/etc/ssl"]
//! write = ["/var/log/mytool"]
//! ```
//!
//! `plugins.helper` is a path to the executable of processes for plugins, for tools whose `main` lacks [`init`](crate::init).
//!
//! `${NAME}` in any string is replaced by the environment variable, `$${` stands for a plain `${`. [`BackendConfig::conceal`]
//! takes the values out of text again, which is done with a plugin's errors and reasons, and not with its log records. Relative paths start
//! at the file's folder, `~/` at the home folder.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    env, fmt,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use jackfield_loader::{
    BackendOptions, Isolation, KeyId, Limits, ProcessOptions, Program, PublicKey, Sandbox, Trust,
};
use toml::de::DeValue;

use crate::config::duration::parse_duration;
use crate::config::search_path::default_search_path;
use crate::config::toml::{Document, Entry, nearest};
use crate::error::error::{Error, Place};

/// Which plugins may be used, and which backends get the events.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The table `plugins`.
    pub plugins: PluginsConfig,
    /// The tables `backend`, in order; may be empty.
    pub backends: Vec<BackendConfig>,
    /// Where relative paths start: the file's folder, absolute.
    pub folder: PathBuf,
}

/// Where plugins are, and which of them are trusted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PluginsConfig {
    /// Folders, searched in this order.
    pub path: Vec<PathBuf>,
    /// What is required of a file before its code runs; [`PluginsConfig::policy`] has the whole.
    pub trust: Trust,
    /// The lock file, if there is a place for one.
    pub lock: Option<PathBuf>,
    /// The keys whose signatures are accepted.
    pub keys: Vec<PublicKey>,
    /// The ids of keys whose signatures are not accepted any more.
    pub revoked: Vec<KeyId>,
    /// Whether the lock was named, and not only is where it would be: then it has to be there.
    pub(super) lock_is_named: bool,
    /// The executable of processes for plugins, where it is not the tool's own: its `main` begins with
    /// [`init`](crate::init), as that of the command `jackfield` does.
    pub helper: Option<PathBuf>,
}

impl Default for PluginsConfig {
    /// The default search path, and files of their owner.
    fn default() -> Self {
        Self {
            path: default_search_path(),
            trust: Trust::default(),
            lock: None,
            keys: Vec::new(),
            revoked: Vec::new(),
            lock_is_named: false,
            helper: None,
        }
    }
}

/// One backend. Its `Debug` leaves out what may be a secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct BackendConfig {
    /// The plugin's name on the search path, or a path.
    pub plugin: String,
    /// What messages and files call this backend: letters, digits, `.`, `_` and `-`. No two are the same.
    pub name: String,
    /// How long a call may take.
    pub timeout: Duration,
    /// The plugin's configuration, a JSON object.
    pub config: String,
    /// Whether the plugin has a process of its own.
    pub isolated: bool,
    /// What the plugin's process may use up.
    pub limits: Limits,
    /// What files the plugin's process may touch; `None` is any.
    pub sandbox: Option<Sandbox>,
    /// Where the backend's table begins; `None` for the embedded configuration.
    pub(super) place: Option<Place>,
    /// Names and values of the environment variables that are filled in.
    pub(super) variables: Vec<(String, String)>,
    /// Lines of the keys in `config`; an item of a list has its index for a key. The empty key stands for all.
    pub(super) lines: BTreeMap<String, Place>,
}

impl fmt::Debug for BackendConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendConfig")
            .field("plugin", &self.plugin)
            .field("name", &self.name)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Length of a value, in bytes, from which on it is concealed. What a plugin writes has no positions to go by: a value of 1
/// or 2 bytes would be replaced in every second word, and would be known by where it was.
const SHORTEST_SECRET: usize = 4;

/// Each call's timeout where none is configured.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Name of the lock file beside a configuration that names none.
const LOCK: &str = "jackfield.lock";

impl Config {
    /// Reads a regular file of at most 1 MiB.
    ///
    /// # Errors
    /// [`Error::ReadConfig`], or [`Error::Config`] with the line.
    pub fn read(file: &Path) -> Result<Self, Error> {
        crate::config::source_file::ConfigFile::open(file)?.read()
    }

    /// Reads the text of `file`, whose name is for messages and whose folder is where relative paths start.
    ///
    /// # Errors
    /// [`Error::Config`] with the line.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        parse(Document { file, text, environment: &|name| env::var_os(name) })
    }

    /// What is used where there is no file: the plugin `stdout` from the default search path, trusted by its owner.
    #[must_use]
    pub fn embedded() -> Self {
        let stdout = BackendConfig::of("stdout", "{}".to_owned());
        Self { plugins: PluginsConfig::default(), backends: vec![stdout], folder: PathBuf::from(".") }
    }
}

impl BackendConfig {
    /// A backend that stands in no file, called as its plugin is. `config` is a JSON object.
    pub(crate) fn of(plugin: &str, config: String) -> Self {
        Self {
            plugin: plugin.to_owned(),
            name: plugin.to_owned(),
            timeout: TIMEOUT,
            config,
            isolated: false,
            limits: Limits::default(),
            sandbox: None,
            place: None,
            variables: Vec::new(),
            lines: BTreeMap::new(),
        }
    }

    /// Which process the plugin is loaded into. `crashes` is the folder in which crashes are remembered from one run to the
    /// next.
    #[must_use]
    pub fn isolation(&self, plugins: &PluginsConfig, crashes: Option<&Path>) -> Isolation {
        if !self.isolated {
            return Isolation::Thread;
        }
        let mut process = ProcessOptions::new().limits(self.limits.clone());
        process.program = plugins.helper.clone().map_or(Program::Own, Program::At);
        process.sandbox.clone_from(&self.sandbox);
        process.crashes = crashes.map(Path::to_owned);
        Isolation::Process(process)
    }

    /// What the backend is opened with; `crashes` is as for [`isolation`](Self::isolation).
    #[must_use]
    pub fn options(&self, plugins: &PluginsConfig, crashes: Option<&Path>) -> BackendOptions {
        BackendOptions::new(&*self.name)
            .config(&*self.config)
            .timeout(self.timeout)
            .isolation(self.isolation(plugins, crashes))
    }

    /// Where the key at `path` of the plugin's configuration stands, such as `tls.ca_file` or `hosts[1].port`, or else
    /// what is around it.
    #[must_use]
    pub fn place_of(&self, path: &str) -> Option<&Place> {
        let path = path.replace('[', ".").replace(']', "");
        let mut path = path.trim_start_matches('.');
        loop {
            if let Some(place) = self.lines.get(path) {
                return Some(place);
            }
            if path.is_empty() {
                return self.place.as_ref();
            }
            path = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        }
    }

    /// `text`, which a plugin wrote, with the variables' names where it shows their values: these may be secrets. They are
    /// found by their text, since a plugin says not where its words come from; values of less than 4 bytes, which any word
    /// may hold, are left as they are.
    #[must_use]
    pub fn conceal(&self, text: &str) -> String {
        conceal(&self.variables, text)
    }
}

fn conceal(variables: &[(String, String)], text: &str) -> String {
    let mut text = text.to_owned();
    let mut variables: Vec<_> = variables.iter().collect();
    // One that begins like another would hide that one's beginning and leave its end.
    variables.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    for (name, value) in variables {
        let shown = format!("${{{name}}}");
        let escaped = value.escape_debug().to_string();
        for value in [value, &escaped] {
            // What is shorter is hardly a secret, and would be found in words that have nothing to do with it.
            if value.len() >= SHORTEST_SECRET {
                text = text.replace(value.as_str(), &shown);
            }
        }
    }
    text
}

/// Reads the document, and conceals what its variables are filled in with in the message about a mistake.
fn parse(document: Document<'_>) -> Result<Config, Error> {
    let variables = RefCell::new(Vec::new());
    let environment = |name: &str| {
        let value = (document.environment)(name);
        let text = value.clone().and_then(|value| value.into_string().ok());
        variables.borrow_mut().extend(text.map(|text| (name.to_owned(), text)));
        value
    };
    let parsed = parse_values(Document { environment: &environment, ..document });
    parsed.map_err(|error| match error {
        Error::Config { at, reason } => {
            let mut variables = variables.take();
            variables.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
            Error::Config { at, reason: conceal(&variables, &reason) }
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
            "keys" => plugins.keys = crate::config::trust::list(document, &entry)?,
            _ => plugins.revoked = crate::config::trust::list(document, &entry)?,
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

pub(super) fn absolute(path: &str, folder: &Path) -> PathBuf {
    let home = path.strip_prefix("~/").or((path == "~").then_some(""));
    match (home, env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(path),
    }
}

/// A word that a key may have, and what it means; `None` for what only a later version knows.
type Choice<T> = (&'static str, Option<T>);

/// Whether the plugin has a process of its own.
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
            let hint =
                nearest(&word, &known).map(|near| format!(", did you mean \"{near}\"?")).unwrap_or_default();
            refuse(format!("expected \"{}\", found {word:?}{hint}", known.join("\" or \"")))
        }
    }
}

const BACKEND_KEYS: [&str; 7] = ["plugin", "name", "timeout", "isolation", "config", "limits", "sandbox"];

/// A backend whose name may be missing yet, and where the name or, without one, the table stands.
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
    let environment = |name: &str| {
        let value = (document.environment)(name);
        let text = value.clone().and_then(|value| value.into_string().ok());
        variables.borrow_mut().extend(text.map(|text| (name.to_owned(), text)));
        value
    };
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
                limits = crate::config::sandbox::limits(document, &entry)?;
                confined.get_or_insert((entry.path, entry.key_at));
            }
            "sandbox" => {
                sandbox = Some(crate::config::sandbox::sandbox(document, &entry, folder)?);
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
    // One that is a part of another must not break it up.
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

pub(super) fn not_empty(document: Document<'_>, entry: &Entry<'_, '_>) -> Result<String, Error> {
    let text = document.string(entry)?;
    if text.is_empty() {
        return Err(document
            .error(entry.value.span(), format!("`{}`: expected a string that is not empty", entry.path)));
    }
    Ok(text)
}

fn is_label(character: char) -> bool {
    character.is_ascii_alphanumeric() || "._-".contains(character)
}

/// Names of files are made of it.
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

/// Gives every backend a name of its own.
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
    // What is left of a `${NAME}` is the variable's name.
    let name = name.trim_start_matches('.').trim_matches('-');
    if name.is_empty() { "backend".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
