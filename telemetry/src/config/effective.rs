//! The effective configuration for people: each value, and where it comes from. No secret is in it.
//!
//! A text is shown as it is written: a reference such as `${TOKEN}` stays, and never becomes its value. A value whose key
//! or form says that it is a credential is not shown at all, and neither is a header.

use std::path::Path;

use serde_json::Value as Json;

use crate::config::model::{BackendConfig, Config, PluginsConfig};
use crate::config::paths::{SEARCH_PATH, search_path_variable};
use crate::config::syntax::{self, DeString, DeTable, DeValue, Spanned};
use crate::error::Place;
use crate::redact::redact::redact_value;

/// What is shown instead of a credential.
const HIDDEN: &str = "(not shown)";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A line of the configuration.
    File(Place),
    /// A variable of the environment.
    Variable(&'static str),
    /// Nothing sets it.
    Default,
}

/// One value that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EffectiveValue {
    /// The index of the backend that it belongs to; `None` for the table `plugins`.
    pub backend: Option<usize>,
    /// The key, such as `plugins.trust`, or in the backend's table `config.tls.ca_file`.
    pub key: String,
    /// The value in JSON, and not a credential.
    pub value: Json,
    /// Where it comes from.
    pub origin: Origin,
}

/// The values of `config`, which is what `text` says, the content of `file`.
pub(super) fn values(config: &Config, text: &str, file: &Path) -> Vec<EffectiveValue> {
    let table = syntax::parse(text).map(|table| table.into_inner()).unwrap_or_default();
    let mut all = Vec::new();
    let mut list = Listing { text, file, all: &mut all, backend: None };
    let plugins = table.get("plugins").and_then(|value| value.get_ref().as_table());
    list.table(plugins.unwrap_or(&DeTable::new()), "plugins");
    list.defaults_of_plugins(&config.plugins);
    let backends = table.get("backend").and_then(|value| value.get_ref().as_array());
    let backends: Vec<_> = backends.into_iter().flatten().collect();
    for (index, backend) in config.backends.iter().enumerate() {
        list.backend = Some(index);
        if let Some(written) = backends.get(index).and_then(|value| value.get_ref().as_table()) {
            list.table(written, "");
        }
        list.defaults_of_backend(backend);
    }
    all
}

struct Listing<'a> {
    text: &'a str,
    file: &'a Path,
    all: &'a mut Vec<EffectiveValue>,
    backend: Option<usize>,
}

impl Listing<'_> {
    /// What is written, in the order of the text.
    fn table(&mut self, table: &DeTable<'_>, parent: &str) {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let name: &str = key.get_ref();
            let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
            match value.get_ref() {
                DeValue::Table(table) if !table.is_empty() => self.table(table, &path),
                value => {
                    let is_header = parent.rsplit('.').next() == Some("headers");
                    let at = Place::of(self.file, self.text, key.span().start);
                    self.push(&path, shown(name, value, is_header), Origin::File(at));
                }
            }
        }
    }

    fn push(&mut self, key: &str, value: Json, origin: Origin) {
        self.all.push(EffectiveValue { backend: self.backend, key: key.to_owned(), value, origin });
    }

    /// Adds a value that is not written, which is `null` for none.
    fn default(&mut self, key: &str, value: impl Into<Json>, origin: Origin) {
        let is_written = |it: &EffectiveValue| {
            it.backend == self.backend
                && it.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if !self.all.iter().any(is_written) {
            self.push(key, value.into(), origin);
        }
    }

    fn defaults_of_plugins(&mut self, plugins: &PluginsConfig) {
        let show = |path: &std::path::PathBuf| jackfield_loader::show_path(path).to_string();
        let path = match search_path_variable() {
            Some(_) => Origin::Variable(SEARCH_PATH),
            None => Origin::Default,
        };
        self.default("plugins.path", plugins.path.iter().map(show).collect::<Vec<_>>(), path);
        self.default("plugins.trust", plugins.trust.to_string(), Origin::Default);
        self.default("plugins.lock", plugins.lock.as_ref().map(show), Origin::Default);
        self.default("plugins.keys", Vec::<String>::new(), Origin::Default);
        self.default("plugins.revoked", Vec::<String>::new(), Origin::Default);
        self.default("plugins.helper", plugins.helper.as_ref().map(show), Origin::Default);
    }

    fn defaults_of_backend(&mut self, backend: &BackendConfig) {
        let duration = |duration: std::time::Duration| match duration.as_millis() {
            millis if millis % 60_000 == 0 => format!("{}m", millis / 60_000),
            millis if millis % 1000 == 0 => format!("{}s", millis / 1000),
            millis => format!("{millis}ms"),
        };
        self.default("plugin", &*backend.plugin, Origin::Default);
        self.default("name", &*backend.name, Origin::Default);
        self.default("timeout", duration(backend.timeout), Origin::Default);
        self.default("longest_pause", duration(backend.longest_pause), Origin::Default);
        // The plugin's metadata decides where the configuration does not.
        self.default("isolation", "thread, unless the plugin requires a process", Origin::Default);
        if backend.isolated == Some(true) {
            self.default("limits.memory", Json::Null, Origin::Default);
            self.default("limits.cpu", Json::Null, Origin::Default);
            self.default("limits.files", Json::Null, Origin::Default);
            self.default("limits.core_dumps", false, Origin::Default);
            self.default("sandbox", Json::Null, Origin::Default);
        }
    }
}

/// Whether the text is one reference, which says nothing of its value: to a variable or to a file.
fn is_reference(text: &str) -> bool {
    let name = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
    name.is_some_and(|name| {
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name || (name.starts_with("file:") && !name.contains(['$', '}']))
    })
}

/// A value as it is written, unless it is a credential.
fn shown(key: &str, value: &DeValue<'_>, is_header: bool) -> Json {
    match value {
        DeValue::String(text) => {
            let text = match redact_value(key, text) {
                _ if is_reference(text) => text.to_string(),
                _ if is_header => HIDDEN.to_owned(),
                redacted => redacted.replace(crate::redact::bytes::REDACTED, HIDDEN),
            };
            text.into()
        }
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok().into(),
        DeValue::Float(float) => float.as_str().parse::<f64>().ok().into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| shown(key, item.get_ref(), is_header)).collect(),
        DeValue::Table(table) => {
            let member = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
                (key.get_ref().to_string(), shown(key.get_ref(), value.get_ref(), is_header))
            };
            Json::Object(table.iter().map(member).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_line_or_is_a_default_and_no_secret_is_shown() {
        let text = "[[backend]]\nplugin = 'http'\ntimeout = '9s'\n[backend.config]\n\
            url = 'https://me:hunter2@example.org/?token=hunter3'\npassword = 'hunter4'\nkey = '${KEY}'\n\
            size = 7\ntoken = '${KEY}hunter8}'\nproxies = ['http://u:hunter5@proxy']\n\
            [backend.config.headers]\nx-team = 'hunter6'\nx-key = '${TOKEN}'\nlist = [{ token = 'hunter7' }]\n\
            [plugins]\ntrust = 'any'\n";
        let file = Path::new("/etc/jf/c.toml");
        let (config, mistakes) = Config::parse_all(&text.replace("${", "$${"), file, false);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let all = values(&config, text, file);
        let whole = format!("{all:?}");
        assert!(!whole.contains("hunter"), "{whole}");
        let of = |backend: Option<usize>, key: &str| {
            let found = all.iter().find(|it| it.backend == backend && it.key == key);
            let found = found.unwrap_or_else(|| panic!("{key}: {all:#?}"));
            let line = if let Origin::File(at) = &found.origin { Some(at.line) } else { None };
            (found.value.to_string(), line)
        };
        assert_eq!(of(None, "plugins.trust"), ("\"any\"".to_owned(), Some(16)));
        assert_eq!(of(None, "plugins.revoked"), ("[]".to_owned(), None));
        assert_eq!(of(Some(0), "timeout"), ("\"9s\"".to_owned(), Some(3)));
        assert_eq!(of(Some(0), "longest_pause"), ("\"5m\"".to_owned(), None));
        assert_eq!(of(Some(0), "config.size"), ("7".to_owned(), Some(8)));
        assert_eq!(of(Some(0), "config.key"), ("\"${KEY}\"".to_owned(), Some(7)));
        assert_eq!(of(Some(0), "config.headers.x-key"), ("\"${TOKEN}\"".to_owned(), Some(13)));
        assert_eq!(of(Some(0), "config.password"), ("\"(not shown)\"".to_owned(), Some(6)));
    }
}
