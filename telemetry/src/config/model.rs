//! The configuration that operators write, in TOML.
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
//! longest_pause = "5m"       # between two attempts, while the backend fails
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
//! network = [443]            # any | none | ports of TCP that it may connect to
//! env = ["VENDOR_REGION"]    # variables that it gets beside those of paths, language, time zone, proxies and certificates
//! ```
//!
//! `plugins.helper` is a path to the executable of processes for plugins, for tools whose `main` lacks [`init`](crate::init).
//!
//! `${NAME}` and `${NAME:-default}` in any string are replaced by the environment variable, `${file:PATH}` in
//! `[backend.config]` by the content of a file; `interpolation.rs` has the rules. In errors and reasons of a plugin,
//! [`BackendConfig::conceal`] replaces the values by the references; log records keep the values. Relative paths start at
//! the file's folder, `~/` at the home folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jackfield_loader::{
    BackendOptions, Digest, ForeignText, Isolation, KeyId, Limits, LockError, Policy, ProcessOptions,
    Program, PublicKey, Sandbox, Trust,
};

use serde_json::{Value, json};

use crate::config::paths::default_search_path;
use crate::config::plugin_lock::Lock;
use crate::error::{Error, Place};

/// A configuration: the plugins that may be used, and the backends that get the events.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The table `plugins`.
    pub plugins: PluginsConfig,
    /// The tables `backend`, in order; may be empty.
    pub backends: Vec<BackendConfig>,
    /// The absolute folder of the file, where relative paths start.
    pub folder: PathBuf,
    /// The file by the name that messages have; `None` for the embedded configuration.
    pub file: Option<PathBuf>,
}

/// The search path and the trust policy for plugins.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PluginsConfig {
    /// Folders, searched in this order.
    pub path: Vec<PathBuf>,
    /// What is required of a file before its code runs. [`PluginsConfig::policy`] is the whole policy.
    pub trust: Trust,
    /// The lock file with the pins, if there is a folder for it.
    pub lock: Option<PathBuf>,
    /// The keys whose signatures are accepted.
    pub keys: Vec<PublicKey>,
    /// The ids of revoked keys, whose signatures are not accepted.
    pub revoked: Vec<KeyId>,
    /// Whether the configuration names the lock. A named lock must exist.
    pub(super) lock_is_named: bool,
    /// The executable for isolated children, when it is not the tool's own. Its `main` begins with [`init`](crate::init), like
    /// that of the command `jackfield`.
    pub helper: Option<PathBuf>,
    /// The place of the key `helper`.
    pub(crate) helper_place: Option<Place>,
}

impl Default for PluginsConfig {
    /// The default search path, and the policy `owner`.
    fn default() -> Self {
        Self {
            path: default_search_path(),
            trust: Trust::default(),
            lock: None,
            keys: Vec::new(),
            revoked: Vec::new(),
            lock_is_named: false,
            helper: None,
            helper_place: None,
        }
    }
}

/// One backend. Its `Debug` shows no value that may be a secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct BackendConfig {
    /// The plugin: a name on the search path, or a path.
    pub plugin: String,
    /// The unique name of the backend in messages and files: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// The timeout of each call.
    pub timeout: Duration,
    /// The longest pause between two attempts, while the backend fails. The plugin may ask for a longer one.
    pub longest_pause: Duration,
    /// The plugin's configuration, a JSON object.
    pub config: String,
    /// Whether the plugin runs in an isolated child; `None` for what the plugin's metadata says.
    pub isolated: Option<bool>,
    /// The resource limits of the isolated child.
    pub limits: Limits,
    /// The files that the isolated child may touch; `None` for any.
    pub sandbox: Option<Sandbox>,
    /// The place of the backend's table; `None` for the embedded configuration.
    pub(super) place: Option<Place>,
    /// The references in the backend's table, such as `NAME` and `file:/path`, and their values.
    pub(super) references: Vec<(String, String)>,
    /// The files of those values.
    pub(crate) value_files: Vec<PathBuf>,
    /// The options whose text has a reference, such as `hosts[0].port`. Where the plugin's schema wants a number or a
    /// boolean, such a text is read as one.
    pub(crate) filled_options: BTreeSet<String>,
    /// The places of `config`, `limits` and `sandbox` and of the keys in them, such as `config.url`; the key of a list's item
    /// is its index.
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

/// The shortest value that is concealed, in bytes. Shorter values occur in unrelated words, and would be revealed by the
/// replacements.
const SHORTEST_SECRET: usize = 4;

/// The longest pause of a backend whose configuration names none.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The default timeout of a call.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Config {
    /// The configuration without a file: the plugin `stdout` from the default search path, with the policy `owner`.
    #[must_use]
    pub fn embedded() -> Self {
        let stdout = BackendConfig::new("stdout", &json!({}));
        Self {
            plugins: PluginsConfig::default(),
            backends: vec![stdout],
            folder: PathBuf::from("."),
            file: None,
        }
    }
}

impl BackendConfig {
    /// A backend that no file configures, for [`Builder::send_to`](crate::Builder::send_to): a plugin by its name on the search
    /// path, or by its path, and its options, a JSON object. The backend has the name of the plugin.
    #[must_use]
    pub fn new(plugin: &str, options: &Value) -> Self {
        Self {
            plugin: plugin.to_owned(),
            name: plugin.to_owned(),
            timeout: TIMEOUT,
            longest_pause: LONGEST_PAUSE,
            config: options.to_string(),
            isolated: None,
            limits: Limits::default(),
            sandbox: None,
            place: None,
            references: Vec::new(),
            value_files: Vec::new(),
            filled_options: BTreeSet::new(),
            lines: BTreeMap::new(),
        }
    }

    /// The process into which the plugin is loaded. `crashes` is the folder of the crash history.
    #[must_use]
    pub fn isolation(&self, plugins: &PluginsConfig, crashes: Option<&Path>) -> Isolation {
        let mut process = ProcessOptions::new().limits(self.limits.clone());
        process.program = plugins.helper.clone().map_or(Program::Own, Program::At);
        process.sandbox.clone_from(&self.sandbox);
        process.crashes = crashes.map(Path::to_owned);
        match self.isolated {
            None => Isolation::AsDeclared(process),
            Some(true) => Isolation::Process(process),
            Some(false) => Isolation::Thread,
        }
    }

    /// What the backend is opened with; `crashes` is as for [`isolation`](Self::isolation).
    #[must_use]
    pub fn options(&self, plugins: &PluginsConfig, crashes: Option<&Path>) -> BackendOptions {
        BackendOptions::new(&*self.name)
            .config(&*self.config)
            .timeout(self.timeout)
            .isolation(self.isolation(plugins, crashes))
    }

    /// The place of the key at `path` in the plugin's configuration, such as `tls.ca_file` or `hosts[1].port`, or the place of
    /// the table or list around it.
    #[must_use]
    pub fn place_of(&self, path: &str) -> Option<&Place> {
        self.place_below(&format!("config.{path}"))
    }

    /// The place of the key at `path` in the backend's table, such as `limits.memory`, or of the table or list around it.
    pub(crate) fn place_below(&self, path: &str) -> Option<&Place> {
        let path = path.replace(".[", ".").replace('[', ".").replace(']', "");
        let mut path = &*path;
        loop {
            if let Some(place) = self.lines.get(path) {
                return Some(place);
            }
            let Some((parent, _)) = path.rsplit_once('.') else { return self.place.as_ref() };
            path = parent;
        }
    }

    /// `text` of a plugin, with the values of references replaced by the references, because values may be secrets. Values of less than 4 bytes stay, because any word may contain them.
    #[must_use]
    pub fn conceal(&self, text: &str) -> String {
        conceal(&self.references, text)
    }

    /// A reason of the plugin for people: [concealed](Self::conceal), and with the backend's sandbox as a possible cause
    /// where the system has denied the plugin something.
    #[must_use]
    pub fn reason(&self, text: &str) -> String {
        let text = self.conceal(text);
        let is_denied = ["ermission denied", "os error 13", "EACCES"].iter().any(|word| text.contains(word));
        if self.sandbox.is_none() || !is_denied {
            return text;
        }
        let at = self.place_below("sandbox").map(|place| format!(" at {place}")).unwrap_or_default();
        format!(
            "{text}; its sandbox may forbid it: see `read`, `write` and `network` of [backend.sandbox]{at}"
        )
    }

    /// A digest of all that the configuration says of this backend and of plugins: with another one, the configuration is
    /// another one. Only places in the file have no effect.
    pub(crate) fn digest(&self, plugins: &PluginsConfig) -> Digest {
        let Self {
            plugin,
            name,
            timeout,
            longest_pause,
            config,
            isolated,
            limits,
            sandbox,
            references,
            filled_options,
            ..
        } = self;
        let PluginsConfig { path, trust, lock, keys, revoked, lock_is_named, helper, helper_place: _ } =
            plugins;
        let parts = [
            format!(
                "{plugin:?} {name:?} {timeout:?} {longest_pause:?} {config:?} {references:?} {filled_options:?}"
            ),
            format!("{isolated:?} {limits:?} {sandbox:?}"),
            format!("{path:?} {trust:?} {lock:?} {keys:?} {revoked:?} {lock_is_named:?} {helper:?}"),
        ];
        Digest::of(parts.join("\0").as_bytes())
    }
}

/// `text` with the values of references replaced by the references.
pub(super) fn conceal(references: &[(String, String)], text: &str) -> String {
    let mut text = text.to_owned();
    let mut references: Vec<_> = references.iter().collect();
    // The longest value comes first: a shorter one may be a part of it.
    references.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    for (written, value) in references {
        let shown = format!("${{{written}}}");
        // As it is, as the text of a plugin or server is printed, and as Rust's `Debug` prints it.
        let spellings =
            [value.clone(), ForeignText::from(value.as_str()).to_string(), value.escape_debug().to_string()];
        for value in spellings.iter().filter(|value| value.len() >= SHORTEST_SECRET) {
            text = text.replace(value.as_str(), &shown);
        }
    }
    text
}

impl PluginsConfig {
    /// The policy, with the lock as it is now. A lock that can't be read refuses every file. With `signed` the default lock may
    /// be missing.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let policy = Policy::new(self.trust).keys(self.keys.iter().cloned()).revoked(self.revoked.clone());
        if !matches!(self.trust, Trust::Pinned | Trust::Signed) {
            return policy;
        }
        let Some(file) = &self.lock else { return policy };
        let optional = self.trust == Trust::Signed && !self.lock_is_named;
        match Lock::read(file) {
            Ok(lock) => policy.pins(Ok(lock.into_pins())),
            Err(Error::ReadLock { error, .. }) if optional && error.kind() == io::ErrorKind::NotFound => {
                policy
            }
            Err(refusal) => policy.pins(Err(LockError::new(refusal))),
        }
    }
}
