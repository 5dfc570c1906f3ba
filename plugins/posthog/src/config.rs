//! The options, and the request that follows from them.

use jackfield_http_client::{Connection, Endpoint, Request, Secret, TlsConfig};
use jackfield_plugin_api::Error;

/// Options of the backend `posthog`: events for PostHog.
#[derive(Debug, serde::Deserialize)]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields, extend("anyOf" = [{"required": ["region"]}, {"required": ["host"]}]))
)]
pub(crate) struct Config {
    /// The key of the project, which begins with `phc_`. No message repeats it.
    api_key: Secret,
    /// The region of the project in PostHog Cloud. Either this or `host` is required: a wrong guess would send events
    /// to a region where no project has the key.
    region: Option<Region>,
    /// A self-hosted server instead of a region: a URL with http or https, to which `/batch/` is added.
    host: Option<String>,
    /// Whether bodies are compressed (`Content-Encoding: gzip`).
    #[serde(default = "yes")]
    gzip: bool,
    /// Certificates.
    #[serde(default)]
    tls: TlsConfig,
    /// The proxy of the requests, such as `http://user:password@proxy:3128`, instead of that of the environment; `none` for
    /// no proxy. Characters such as `@` in user name and password are written as `%40`.
    proxy: Option<Secret>,
    /// Whether events are marked as a migration of historical data, which PostHog processes separately.
    #[serde(default)]
    historical_migration: bool,
}

#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
enum Region {
    /// `us.i.posthog.com`.
    Us,
    /// `eu.i.posthog.com`.
    Eu,
}

const fn yes() -> bool {
    true
}

impl Config {
    pub(crate) fn connection(self) -> Connection {
        Connection { tls: self.tls, proxy: self.proxy, ..Connection::default() }
    }

    /// The request for events.
    pub(crate) fn request(&self) -> Result<Request, Error> {
        if self.api_key.reveal().trim().is_empty() {
            return Err(Error::config("api_key", "is empty; expected the key of a project (phc_...)"));
        }
        if self.api_key.reveal().starts_with("phx_") {
            return Err(Error::config(
                "api_key",
                "is a personal key (phx_...); expected that of a project (phc_...)",
            ));
        }
        Ok(Request::post(self.base()?.join_path("/batch/")).gzip(self.gzip).secret(&self.api_key))
    }

    fn base(&self) -> Result<Endpoint, Error> {
        let (key, base) = match (self.region, &self.host) {
            (Some(_), Some(_)) => {
                return Err(Error::config("host", "is set together with region; expected one of the two"));
            }
            (None, None) => {
                return Err(Error::config(
                    "region",
                    "is missing; expected \"us\" or \"eu\", or host for a server of your own",
                ));
            }
            (Some(Region::Us), None) => ("region", "https://us.i.posthog.com"),
            (Some(Region::Eu), None) => ("region", "https://eu.i.posthog.com"),
            (None, Some(host)) => ("host", host.as_str()),
        };
        Endpoint::from_option(key, base)
    }

    /// The beginning of a body, up to its list of events.
    pub(crate) fn body_head(&self) -> Vec<u8> {
        let key = serde_json::Value::from(self.api_key.reveal());
        format!(r#"{{"api_key":{key},"historical_migration":{},"batch":"#, self.historical_migration)
            .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Config, String> {
        serde_json::from_str(json).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn region_or_host_decides_where_events_go() {
        for (json, url) in [
            (r#"{"api_key":"phc_k","region":"us"}"#, "https://us.i.posthog.com/batch/"),
            (r#"{"api_key":"phc_k","region":"eu"}"#, "https://eu.i.posthog.com/batch/"),
            (r#"{"api_key":"phc_k","host":"http://h:8000"}"#, "http://h:8000/batch/"),
            (r#"{"api_key":"phc_k","host":"http://h/posthog/"}"#, "http://h/posthog/batch/"),
        ] {
            let request = parse(json).expect("read").request().expect("valid");
            assert_eq!(request.endpoint().to_string(), url);
        }
        let error = parse(r#"{"api_key":"phc_k","region":"asia"}"#).expect_err("no region");
        assert!(error.contains("expected `us` or `eu`"), "{error}");
    }

    #[test]
    fn invalid_options_are_refused_without_the_api_key() {
        for (json, key) in [
            (r#"{"api_key":" ","region":"us"}"#, "api_key: "),
            (r#"{"api_key":"phx_hunter2","region":"us"}"#, "api_key: "),
            (r#"{"api_key":"hunter2"}"#, "region: "),
            (r#"{"api_key":"hunter2","region":"us","host":"http://h"}"#, "host: "),
            (r#"{"api_key":"hunter2","host":"h"}"#, "host: "),
        ] {
            let config = parse(json).expect("read");
            let error = config.request().expect_err(key).to_string();
            assert!(error.starts_with(key) && !error.contains("hunter2"), "{error}");
            assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
        }
        assert!(parse("{}").expect_err("no key").contains("missing field `api_key`"));
    }

    #[test]
    fn the_head_of_a_body_is_json_with_any_key() {
        let config = parse(r#"{"api_key":"a\"b\\","region":"us"}"#).expect("read");
        let body = String::from_utf8(config.body_head()).expect("UTF-8") + "[]}";
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            body,
            serde_json::json!({"api_key": "a\"b\\", "historical_migration": false, "batch": []})
        );
    }

    #[test]
    fn the_checked_in_schema_is_that_of_the_options() {
        jackfield_plugin_api::schema::assert_schema::<Config>(env!("CARGO_MANIFEST_DIR"));
    }
}
