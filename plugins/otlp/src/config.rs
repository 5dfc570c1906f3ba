//! The options, and the request and resource that follow from them.

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroU64},
};

use jackfield_http_client::{Connection, Endpoint, Limits, Request, Secret, TlsConfig};
use jackfield_plugin_api::Error;

use crate::{
    encode::{Encoding, FROM_EVENTS},
    environment::{Environment, Lookup},
};

/// Path of the logs below a collector's base URL.
pub(crate) const PATH: &str = "/v1/logs";

/// Options of the backend `otlp`: events as OpenTelemetry logs over OTLP/HTTP. If `endpoint` is left out, each option that
/// is left out comes from OpenTelemetry's variables.
#[derive(Debug, serde::Deserialize)]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(
        deny_unknown_fields,
        extend(
            "x-env" = ["OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"],
            "x-env-without" = "endpoint",
        )
    )
)]
pub(crate) struct Config {
    /// The collector's base URL, such as `http://localhost:4318`: http or https, without user name, password and
    /// fragment, of at most 2048 bytes. `/v1/logs` is appended to its path, unless the path ends with it.
    #[cfg_attr(test, schemars(extend("x-env" = ["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])))]
    endpoint: Option<String>,
    /// The encoding of records. It does not depend on the port.
    #[cfg_attr(test, schemars(extend("default" = "http/protobuf", "x-env" = ["OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"])))]
    protocol: Option<Protocol>,
    /// Headers of every request, in addition to those that the client sets itself. No message repeats their values.
    #[serde(default)]
    #[cfg_attr(test, schemars(extend("x-env" = ["OTEL_EXPORTER_OTLP_LOGS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"])))]
    headers: BTreeMap<String, Secret>,
    /// Attributes of every resource, such as `deployment.environment.name`, in addition to those that come from the
    /// events: `service.name`, `service.version`, `os.type`, `os.version`, `host.arch`, `process.runtime.version`.
    #[serde(default)]
    #[cfg_attr(test, schemars(extend("x-env" = ["OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"])))]
    resource: BTreeMap<String, String>,
    /// Whether bodies are compressed (`Content-Encoding: gzip`).
    #[cfg_attr(test, schemars(extend("default" = false, "x-env" = ["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"])))]
    gzip: Option<bool>,
    /// Certificates.
    #[serde(default)]
    #[cfg_attr(test, schemars(transform = tests::variables_of_certificates))]
    tls: TlsConfig,
    /// The proxy of the requests, such as `http://user:password@proxy:3128`, instead of that of the environment; `none` for
    /// no proxy. Characters such as `@` in user name and password are written as `%40`.
    proxy: Option<Secret>,
    /// Limits of one request.
    #[serde(default)]
    limits: LimitsConfig,
}

/// What follows from the options and the variables.
pub(crate) struct Settings {
    pub(crate) request: Request,
    pub(crate) encoding: Encoding,
    /// The attributes of every resource.
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) limits: Limits,
    pub(crate) connection: Connection,
}

/// The protocol in OpenTelemetry's words: the media type of a body, and its encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(test, derive(serde::Serialize, schemars::JsonSchema), schemars(inline))]
pub(crate) enum Protocol {
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
    /// # Errors
    /// [`Error::config`] for an option or a variable that makes no sense.
    pub(crate) fn settings(self, variable: Lookup<'_>) -> Result<Settings, Error> {
        let Self { endpoint, protocol, mut headers, mut resource, gzip, tls, proxy, limits } = self;
        if let Some(name) = headers.keys().find(|name| name.eq_ignore_ascii_case("content-type")) {
            return Err(Error::config(format!("headers.{name}"), "is set by `protocol`; remove it"));
        }
        check_attributes(&resource)?;
        let limits = Limits::from_options(limits.max_body_bytes, limits.max_events);
        let connection = Connection { tls, proxy, ..Connection::default() };
        if let Some(endpoint) = endpoint {
            let base = Endpoint::from_option("endpoint", &endpoint)?;
            let there = base.path().trim_end_matches('/').ends_with(PATH);
            let endpoint = if there { base.without_last_slash() } else { base.join_path(PATH) };
            let (encoding, request) = request(endpoint, protocol, gzip, &headers)?;
            return Ok(Settings { request, encoding, resource, limits, connection });
        }
        let environment = Environment(variable);
        let endpoint = environment.endpoint()?.ok_or_else(|| {
            Error::config(
                "endpoint",
                "is missing: set it, or the environment variable OTEL_EXPORTER_OTLP_ENDPOINT",
            )
        })?;
        if headers.is_empty() {
            headers = environment.headers()?;
            headers.retain(|name, _| !name.eq_ignore_ascii_case("content-type"));
        }
        let protocol = protocol.map_or_else(|| environment.protocol(), |protocol| Ok(Some(protocol)))?;
        let gzip = gzip.or_else(|| environment.gzip());
        for (key, value) in environment.resource() {
            resource.entry(key).or_insert(value);
        }
        let tls = environment.certificates(connection.tls);
        let connection = Connection { tls, timeout: environment.timeout(), ..connection };
        let (encoding, request) = request(endpoint, protocol, gzip, &headers)?;
        Ok(Settings { request, encoding, resource, limits, connection })
    }
}

/// The encoding of records, and the request for logs.
fn request(
    endpoint: Endpoint,
    protocol: Option<Protocol>,
    gzip: Option<bool>,
    headers: &BTreeMap<String, Secret>,
) -> Result<(Encoding, Request), Error> {
    let request = Request::post(endpoint).gzip(gzip.unwrap_or_default()).headers(headers)?;
    match protocol.unwrap_or_default() {
        Protocol::Protobuf => {
            let request = request.header("protocol", "content-type", "application/x-protobuf")?;
            Ok((Encoding::Protobuf, request))
        }
        Protocol::Json => Ok((Encoding::Json, request)),
    }
}

/// Refuses an attribute of the option `resource` that comes from the events.
fn check_attributes(resource: &BTreeMap<String, String>) -> Result<(), Error> {
    for key in resource.keys() {
        if key.is_empty() {
            return Err(Error::config("resource", "has an attribute without a name"));
        }
        if FROM_EVENTS.contains(&key.as_str()) {
            return Err(Error::config(format!("resource.{key}"), "comes from the events; remove it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Says which variables the options of `tls` come from, which all backends over HTTP share.
    pub(super) fn variables_of_certificates(tls: &mut schemars::Schema) {
        for (option, end) in
            [("ca_file", "CERTIFICATE"), ("cert_file", "CLIENT_CERTIFICATE"), ("key_file", "CLIENT_KEY")]
        {
            let option = tls.pointer_mut(&format!("/properties/{option}")).expect("an option of `tls`");
            option["x-env"] = ["LOGS_", ""].map(|signal| format!("OTEL_EXPORTER_OTLP_{signal}{end}")).into();
        }
    }

    fn parse(json: &str) -> Result<Config, String> {
        serde_json::from_str(json).map_err(|error: serde_json::Error| error.to_string())
    }

    /// The settings of these options, with these variables.
    fn settings(options: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        parse(options)?.settings(&variable).map_err(|error| error.to_string())
    }

    #[test]
    fn an_endpoint_is_all_that_is_required() {
        let settings = settings(r#"{"endpoint":"http://h"}"#, &[]).expect("valid");
        assert_eq!(settings.encoding, Encoding::Protobuf);
        assert_eq!((settings.limits.body_bytes, settings.limits.entries), (4 << 20, 1000));
        let refused = self::settings("{}", &[]).map(drop).expect_err("no endpoint");
        assert!(refused.starts_with("endpoint: is missing: set it, or"), "{refused}");
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
            let settings = settings(&format!(r#"{{"endpoint":"{endpoint}"}}"#), &[]).expect("valid");
            assert_eq!(settings.request.endpoint().to_string(), expected);
        }
    }

    #[test]
    fn the_protocol_is_chosen_by_its_option_alone() {
        for (protocol, expected) in
            [("http/protobuf", Some(Encoding::Protobuf)), ("http/json", Some(Encoding::Json)), ("grpc", None)]
        {
            let found = settings(&format!(r#"{{"endpoint":"http://h:4317","protocol":"{protocol}"}}"#), &[]);
            assert_eq!(found.as_ref().ok().map(|settings| settings.encoding), expected, "{protocol}");
            if let Err(refusal) = found {
                assert!(refusal.contains("expected `http/protobuf` or `http/json`"), "{refusal}");
            }
        }
    }

    const VARIABLES: [(&str, &str); 7] = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://of-variables:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=of-variables,b=of-variables"),
        ("OTEL_SERVICE_NAME", "shop"),
    ];

    #[test]
    fn with_an_endpoint_of_its_own_no_variable_counts() {
        let settings = settings(r#"{"endpoint":"http://h"}"#, &VARIABLES).expect("valid");
        assert_eq!(settings.encoding, Encoding::Protobuf);
        assert!(settings.resource.is_empty() && settings.connection.timeout.is_none());
        let shown = format!("{:?}", settings.request);
        assert!(!shown.contains("api-key") && shown.contains("gzip: false"), "{shown}");
    }

    #[test]
    fn without_an_endpoint_each_option_that_is_left_out_comes_from_its_variable() {
        let all = settings("{}", &VARIABLES).expect("valid");
        assert_eq!(all.request.endpoint().to_string(), "http://of-variables:4318/v1/logs");
        assert_eq!(all.encoding, Encoding::Json);
        assert_eq!(all.connection.timeout, Some(Duration::from_millis(1500)));
        let shown = format!("{:?}", all.request);
        assert!(
            shown.contains("api-key") && shown.contains("gzip: true") && !shown.contains("hunter2"),
            "{shown}"
        );
        let keys: Vec<_> = all.resource.keys().map(String::as_str).collect();
        assert_eq!(keys, ["a", "b", "service.name"]);
        let own = r#"{"protocol":"http/protobuf","gzip":false,"headers":{"x":"y"},"resource":{"a":"own"}}"#;
        let some = settings(own, &VARIABLES).expect("valid");
        assert_eq!((some.encoding, some.resource["a"].as_str()), (Encoding::Protobuf, "own"));
        assert_eq!(some.resource["b"], "of-variables");
        let shown = format!("{:?}", some.request);
        assert!(!shown.contains("api-key") && shown.contains("gzip: false"), "{shown}");
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
            let error = settings(&format!("{{{options}}}"), &[]).map(drop).expect_err(key);
            assert!(error.starts_with(key) && !error.contains("hunter2"), "{error}");
        }
        let config = parse(r#"{"endpoint":"http://h","headers":{"x-tenant":"hunter2"}}"#).expect("read");
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }

    #[test]
    fn the_checked_in_schema_is_that_of_the_options() {
        jackfield_plugin_api::schema::assert_schema::<Config>(env!("CARGO_MANIFEST_DIR"));
    }
}
