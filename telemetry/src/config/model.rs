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
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use jackfield_loader::{
    BackendOptions, Isolation, KeyId, Limits, ProcessOptions, Program, PublicKey, Sandbox, Trust,
};

use crate::config::search_path::default_search_path;
use crate::error::error::Place;

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
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

impl Config {
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

pub(super) fn conceal(variables: &[(String, String)], text: &str) -> String {
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
