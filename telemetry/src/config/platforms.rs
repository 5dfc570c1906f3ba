//! Backends of the plugins `posthog` and `datadog` for a tool's author: their options as methods.

use serde_json::{Map, Value};

use crate::config::model::BackendConfig;

/// The options of a plugin.
type Options = Map<String, Value>;

fn options<const N: usize>(pairs: [(&str, String); N]) -> Options {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// What both platforms have: the options of every backend over HTTP, and the way into a configuration.
macro_rules! platform {
    ($platform:ident, $plugin:literal) => {
        impl $platform {
            /// Whether bodies are compressed. Default: `true`.
            pub fn gzip(self, gzip: bool) -> Self {
                self.option("gzip", gzip)
            }

            /// The proxy of the requests, instead of that of the environment; `none` for no proxy.
            pub fn proxy(self, proxy: impl Into<String>) -> Self {
                self.option("proxy", proxy.into())
            }

            /// Any option of the plugin, such as `tls`. `jackfield inspect` shows them.
            pub fn option(mut self, name: &str, value: impl Into<Value>) -> Self {
                self.0.insert(name.to_owned(), value.into());
                self
            }
        }

        impl From<$platform> for BackendConfig {
            fn from($platform(options): $platform) -> Self {
                Self::new($plugin, &options.into())
            }
        }
    };
}

platform!(PostHog, "posthog");
platform!(Datadog, "datadog");

/// PostHog, by the plugin `posthog`, for [`Builder::send_to`](crate::Builder::send_to).
#[derive(Clone)]
#[must_use]
pub struct PostHog(Options);

impl PostHog {
    /// PostHog Cloud in the United States. The key is that of the project, which begins with `phc_`.
    pub fn us(api_key: impl Into<String>) -> Self {
        Self(options([("region", "us".to_owned()), ("api_key", api_key.into())]))
    }

    /// PostHog Cloud in the European Union.
    pub fn eu(api_key: impl Into<String>) -> Self {
        Self(options([("region", "eu".to_owned()), ("api_key", api_key.into())]))
    }

    /// A server of one's own: a URL with http or https.
    pub fn host(url: impl Into<String>, api_key: impl Into<String>) -> Self {
        Self(options([("host", url.into()), ("api_key", api_key.into())]))
    }

    /// Whether events are marked as a migration of historical data. Default: `false`.
    pub fn historical_migration(self, marked: bool) -> Self {
        self.option("historical_migration", marked)
    }
}

/// Logs of Datadog, by the plugin `datadog`, for [`Builder::send_to`](crate::Builder::send_to).
#[derive(Clone)]
#[must_use]
pub struct Datadog(Options);

impl Datadog {
    /// Datadog at the site `datadoghq.com`.
    pub fn new(api_key: impl Into<String>) -> Self {
        Self(options([("api_key", api_key.into())]))
    }

    /// Another site, such as `datadoghq.eu`.
    pub fn site(self, site: impl Into<String>) -> Self {
        self.option("site", site.into())
    }

    /// An address instead of a site, such as that of a proxy of one's own: a URL with http or https.
    pub fn url(self, url: impl Into<String>) -> Self {
        self.option("url", url.into())
    }

    /// The service of the logs. Default: the tool's name.
    pub fn service(self, service: impl Into<String>) -> Self {
        self.option("service", service.into())
    }

    /// The source of the logs. Default: `jackfield`.
    pub fn source(self, source: impl Into<String>) -> Self {
        self.option("source", source.into())
    }

    /// Adds a tag to all logs. A value of `option("tags", ...)` that is no object is replaced.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let mut tags = match self.0.remove("tags") {
            Some(Value::Object(tags)) => tags,
            // Another value is no list of tags, and can't be added to.
            _ => Options::new(),
        };
        tags.insert(key.into(), value.into().into());
        self.option("tags", tags)
    }

    /// Whether events that are too old for Datadog are sent with the time of their arrival, instead of being rejected.
    /// Default: `false`.
    pub fn keep_old_events(self, keep: bool) -> Self {
        self.option("old_events", if keep { "attribute" } else { "reject" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::schema::OptionsSchema;

    /// The options of a backend fit the schema of its plugin, and there is a method for each option but `left_out`.
    fn fits(backend: impl Into<BackendConfig>, schema: &str, left_out: &[&str]) {
        let backend = backend.into();
        let options: Value = serde_json::from_str(&backend.config).expect("JSON");
        let faults = OptionsSchema::parse(schema).expect("a schema").faults(&options);
        assert!(faults.is_empty(), "{}: {faults:?}", backend.name);
        let schema: Value = serde_json::from_str(schema).expect("JSON");
        let known = schema["properties"].as_object().expect("options").keys();
        let missing: Vec<_> = known.filter(|option| options.get(option).is_none()).collect();
        assert_eq!(missing, left_out, "{}", backend.name);
    }

    #[test]
    fn every_method_sets_an_option_that_the_plugin_has() {
        let schema = include_str!("../../../plugins/posthog/config.schema.json");
        let all = |posthog: PostHog| posthog.gzip(false).historical_migration(true).proxy("none");
        fits(all(PostHog::us("phc_x")), schema, &["host", "tls"]);
        fits(all(PostHog::eu("phc_x")), schema, &["host", "tls"]);
        fits(all(PostHog::host("https://posthog.example", "phc_x")), schema, &["region", "tls"]);
        fits(
            PostHog::us("phc_x").option("tls", json!({"ca_file": "/ca.pem"})).gzip(true),
            schema,
            &["historical_migration", "host", "proxy"],
        );

        let schema = include_str!("../../../plugins/datadog/config.schema.json");
        let datadog =
            Datadog::new("key").service("s").source("t").gzip(true).proxy("none").keep_old_events(true);
        let datadog = datadog.tag("env", "prod").tag("team", "core");
        fits(datadog.clone().site("datadoghq.eu"), schema, &["tls", "url"]);
        fits(datadog.url("https://logs.example"), schema, &["site", "tls"]);
        let replaced = BackendConfig::from(Datadog::new("key").option("tags", "team:x").tag("a", "b")).config;
        assert!(replaced.contains(r#""tags":{"a":"b"}"#), "{replaced}");
        assert!(
            BackendConfig::from(Datadog::new("key").tag("a", "b").tag("c", "d"))
                .config
                .contains(r#"{"a":"b","c":"d"}"#)
        );
    }
}
