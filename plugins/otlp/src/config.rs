//! The options, and the request and resource that follow from them.

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroU64},
};

use jackfield_http_client::{Endpoint, Request, Secret, TlsConfig};
use jackfield_plugin_api::Error;

use crate::encode::{Encoding, FROM_EVENTS};

/// Path of the logs below a collector's base URL.
const PATH: &str = "/v1/logs";

/// Options of the backend `otlp`: events as OpenTelemetry logs over OTLP/HTTP.
#[derive(Debug, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct Config {
    /// The collector's base URL, such as `http://localhost:4318`: http or https, without user name, password and
    /// fragment, of at most 2048 bytes. `/v1/logs` is appended to its path, unless the path ends with it.
    endpoint: String,
    /// The encoding of records. It does not depend on the port.
    #[serde(default)]
    protocol: Protocol,
    /// Headers of every request, in addition to those that the client sets itself. No message repeats their values.
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    /// Attributes of every resource, such as `deployment.environment.name`, in addition to those that come from the
    /// events: `service.name`, `service.version`, `os.type`, `os.version`, `host.arch`, `process.runtime.version`.
    #[serde(default)]
    resource: BTreeMap<String, String>,
    /// Whether bodies are compressed (`Content-Encoding: gzip`).
    #[serde(default)]
    gzip: bool,
    /// Certificates.
    #[serde(default)]
    pub(crate) tls: TlsConfig,
    /// Limits of one request.
    #[serde(default)]
    pub(crate) limits: LimitsConfig,
}

/// The protocol in OpenTelemetry's words: the media type of a body, and its encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(test, derive(serde::Serialize, schemars::JsonSchema), schemars(inline))]
enum Protocol {
    /// Protobuf: smaller, and faster for both sides.
    #[default]
    #[serde(rename = "http/protobuf")]
    Protobuf,
    /// JSON in the form of OTLP.
    #[serde(rename = "http/json")]
    Json,
}

/// Limits of the collector.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(serde::Serialize, schemars::JsonSchema), schemars(inline, deny_unknown_fields))]
pub(crate) struct LimitsConfig {
    /// Bytes of a body before compression. Larger batches are divided; an event that is larger by itself is rejected.
    pub(crate) max_body_bytes: NonZeroU64,
    /// Events in a body. With 1, a server that rejects a part of a request (`partial_success`) always says which event.
    pub(crate) max_events: NonZeroU32,
}

impl Default for LimitsConfig {
    /// Less than the smallest known default limit of collectors, which is 4 MiB.
    fn default() -> Self {
        Self {
            max_body_bytes: NonZeroU64::MIN.saturating_add((4 << 20) - 1),
            max_events: NonZeroU32::MIN.saturating_add(999),
        }
    }
}

impl Config {
    /// The address of logs.
    fn endpoint(&self) -> Result<Endpoint, Error> {
        let base = Endpoint::from_option("endpoint", &self.endpoint)?;
        let there = base.path().trim_end_matches('/').ends_with(PATH);
        Ok(if there { base.without_last_slash() } else { base.join_path(PATH) })
    }

    /// The encoding of records.
    pub(crate) const fn encoding(&self) -> Encoding {
        match self.protocol {
            Protocol::Protobuf => Encoding::Protobuf,
            Protocol::Json => Encoding::Json,
        }
    }

    /// The request for logs.
    pub(crate) fn request(&self) -> Result<Request, Error> {
        let mut request = Request::post(self.endpoint()?).gzip(self.gzip);
        if let Some(name) = self.headers.keys().find(|name| name.eq_ignore_ascii_case("content-type")) {
            return Err(Error::config(format!("headers.{name}"), "is set by `protocol`; remove it"));
        }
        request = request.headers(&self.headers)?;
        if self.protocol == Protocol::Protobuf {
            request = request.header("protocol", "content-type", "application/x-protobuf")?;
        }
        Ok(request)
    }

    /// The attributes of every resource.
    pub(crate) fn resource(&mut self) -> Result<BTreeMap<String, String>, Error> {
        for key in self.resource.keys() {
            if key.is_empty() {
                return Err(Error::config("resource", "has an attribute without a name"));
            }
            if FROM_EVENTS.contains(&key.as_str()) {
                return Err(Error::config(format!("resource.{key}"), "comes from the events; remove it"));
            }
        }
        Ok(std::mem::take(&mut self.resource))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Config, String> {
        serde_json::from_str(json).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn an_endpoint_is_all_that_is_required() {
        let config = parse(r#"{"endpoint":"http://h"}"#).expect("valid");
        assert_eq!(config.encoding(), Encoding::Protobuf);
        assert_eq!((config.limits.max_body_bytes.get(), config.limits.max_events.get()), (4 << 20, 1000));
        assert!(parse("{}").expect_err("no endpoint").contains("missing field `endpoint`"));
    }

    #[test]
    fn the_path_of_logs_is_appended_if_it_is_missing() {
        for (endpoint, expected) in [
            ("http://h", "http://h/v1/logs"),
            ("http://h:4317/", "http://h:4317/v1/logs"),
            ("https://h/otlp", "https://h/otlp/v1/logs"),
            ("https://h/otlp/v1/logs", "https://h/otlp/v1/logs"),
            ("https://h/otlp/v1/logs/", "https://h/otlp/v1/logs"),
            ("https://h/v1/logs/more", "https://h/v1/logs/more/v1/logs"),
        ] {
            let config = parse(&format!(r#"{{"endpoint":"{endpoint}"}}"#)).expect("read");
            assert_eq!(config.endpoint().expect("valid").to_string(), expected);
        }
    }

    #[test]
    fn the_protocol_is_chosen_by_its_option_alone() {
        for (protocol, expected) in
            [("http/protobuf", Some(Encoding::Protobuf)), ("http/json", Some(Encoding::Json)), ("grpc", None)]
        {
            let config = parse(&format!(r#"{{"endpoint":"http://h:4317","protocol":"{protocol}"}}"#));
            assert_eq!(config.as_ref().ok().map(Config::encoding), expected, "{config:?}");
            if let Err(refusal) = config {
                assert!(refusal.contains("expected `http/protobuf` or `http/json`"), "{refusal}");
            }
        }
    }

    #[test]
    fn invalid_options_are_refused_without_secrets() {
        for (options, key) in [
            (r#""endpoint":"ftp://h""#, "endpoint: "),
            (r#""endpoint":"http://hunter2@h""#, "endpoint: "),
            (r#""endpoint":"http://h","headers":{"a b":"hunter2"}"#, "headers.a…: "),
            (r#""endpoint":"http://h","headers":{"a":"hunter2\n"}"#, "headers.a: "),
            (r#""endpoint":"http://h","headers":{"Content-Type":"hunter2"}"#, "headers.Content-Type: "),
            (r#""endpoint":"http://h","headers":{"content-encoding":"gzip"}"#, "headers.content-encoding: "),
            (r#""endpoint":"http://h","resource":{"service.name":"hunter2"}"#, "resource.service.name: "),
            (r#""endpoint":"http://h","resource":{"":"hunter2"}"#, "resource: "),
        ] {
            let mut config = parse(&format!("{{{options}}}")).expect("read");
            let refused = config.request().map(drop).and_then(|()| config.resource().map(drop));
            let error = refused.expect_err(key).to_string();
            assert!(error.starts_with(key) && !error.contains("hunter2"), "{error}");
        }
        let config = parse(r#"{"endpoint":"http://h","headers":{"x-tenant":"hunter2"}}"#).expect("read");
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }

    #[test]
    fn the_checked_in_schema_is_that_of_the_options() {
        jackfield_test_support::assert_schema::<Config>(env!("CARGO_MANIFEST_DIR"));
    }
}
