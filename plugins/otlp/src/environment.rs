//! The variables of the environment by which users of OpenTelemetry configure exporters.
//!
//! They are read only if the option `endpoint` is left out: an endpoint of the configuration is another server than that
//! of the variables, and must not get the headers that are meant for it. Then they set each option that is left out:
//!
//! | variable | option |
//! | --- | --- |
//! | `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT` | `endpoint`, as it is; with `/` as the path if it has none |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | `endpoint`; `v1/logs` is appended to its path |
//! | `OTEL_EXPORTER_OTLP_[LOGS_]HEADERS` | `headers`: `name=value` pairs, separated by commas; values are percent-decoded |
//! | `OTEL_EXPORTER_OTLP_[LOGS_]PROTOCOL` | `protocol`; `grpc` is refused |
//! | `OTEL_EXPORTER_OTLP_[LOGS_]COMPRESSION` | `gzip`: `gzip` or `none` |
//! | `OTEL_EXPORTER_OTLP_[LOGS_]CERTIFICATE` | `tls.ca_file` |
//! | `OTEL_EXPORTER_OTLP_[LOGS_]CLIENT_CERTIFICATE`, `..._CLIENT_KEY` | `tls.cert_file`, `tls.key_file` |
//! | `OTEL_EXPORTER_OTLP_[LOGS_]TIMEOUT` | none: milliseconds of a call, if they are fewer than the backend's `timeout` |
//! | `OTEL_RESOURCE_ATTRIBUTES` | `resource`: `name=value` pairs, percent-decoded; those of the option come first |
//! | `OTEL_SERVICE_NAME` | the attribute `service.name` of `resource` |
//!
//! A variable with `LOGS_` comes before the one without. An empty variable is an unset one. As the specification says, a
//! value that is unknown (compression, protocol) or no number (timeout), and attributes that can't be decoded, are left
//! out with a warning. No message shows a value.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jackfield_http_client::{Endpoint, Secret, TlsConfig, percent_decoded};
use jackfield_plugin_api::Error;

use crate::config::{PATH, Protocol};

/// The service that the events are of.
pub(crate) const SERVICE_NAME: &str = "service.name";

/// Returns the value of a variable.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The variables.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a>(pub(crate) Lookup<'a>);

impl Environment<'_> {
    /// The value of the variable of logs, or of that of all signals, and its name.
    fn exporter(&self, end: &str) -> Option<(String, String)> {
        let names = ["LOGS_", ""].map(|signal| format!("OTEL_EXPORTER_OTLP_{signal}{end}"));
        names.into_iter().find_map(|name| Some((self.set(&name)?, name)))
    }

    fn set(&self, name: &str) -> Option<String> {
        Some((self.0)(name)?.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The address of logs; `None` if no variable has one.
    pub(crate) fn endpoint(&self) -> Result<Option<Endpoint>, Error> {
        let Some((value, name)) = self.exporter("ENDPOINT") else { return Ok(None) };
        let url = Endpoint::parse(&value).map_err(|why| refusal("endpoint", &name, &why))?;
        Ok(Some(if name.contains("_LOGS_") { url } else { url.join_path(PATH) }))
    }

    pub(crate) fn headers(&self) -> Result<BTreeMap<String, Secret>, Error> {
        let Some((value, name)) = self.exporter("HEADERS") else { return Ok(BTreeMap::new()) };
        let pairs = pairs(&value).map_err(|at| {
            let why = format!("expected `name=value` pairs, separated by commas; pair {at} is none");
            refusal("headers", &name, &why)
        })?;
        Ok(pairs.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
    }

    pub(crate) fn protocol(&self) -> Result<Option<Protocol>, Error> {
        let Some((value, name)) = self.exporter("PROTOCOL") else { return Ok(None) };
        match value.as_str() {
            "http/protobuf" => Ok(Some(Protocol::Protobuf)),
            "http/json" => Ok(Some(Protocol::Json)),
            "grpc" => {
                let why =
                    "is `grpc`, which this backend does not have; expected `http/protobuf` or `http/json`";
                Err(refusal("protocol", &name, why))
            }
            _ => {
                ignore(&name, "expected `http/protobuf` or `http/json`");
                Ok(None)
            }
        }
    }

    pub(crate) fn gzip(&self) -> Option<bool> {
        let (value, name) = self.exporter("COMPRESSION")?;
        match value.as_str() {
            "gzip" => Some(true),
            "none" => Some(false),
            _ => {
                ignore(&name, "expected `gzip` or `none`");
                None
            }
        }
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        let (value, name) = self.exporter("TIMEOUT")?;
        let millis = value.parse().ok().filter(|millis| *millis > 0);
        if millis.is_none() {
            ignore(&name, "expected a whole number of milliseconds above 0");
        }
        millis.map(Duration::from_millis)
    }

    /// The certificates, those of `tls` first. A certificate and its key come from one place.
    pub(crate) fn certificates(&self, mut tls: TlsConfig) -> TlsConfig {
        let file = |end| self.exporter(end).map(|(path, _)| PathBuf::from(path));
        tls.ca_file = tls.ca_file.or_else(|| file("CERTIFICATE"));
        if tls.cert_file.is_none() && tls.key_file.is_none() {
            (tls.cert_file, tls.key_file) = (file("CLIENT_CERTIFICATE"), file("CLIENT_KEY"));
        }
        tls
    }

    /// The attributes of every resource.
    pub(crate) fn resource(&self) -> BTreeMap<String, String> {
        const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let value = self.set(ATTRIBUTES).unwrap_or_default();
        let mut attributes: BTreeMap<_, _> = match pairs(&value) {
            Ok(pairs) => pairs.into_iter().collect(),
            Err(at) => {
                ignore(
                    ATTRIBUTES,
                    &format!("expected `name=value` pairs, separated by commas; pair {at} is none"),
                );
                BTreeMap::new()
            }
        };
        attributes.extend(self.set("OTEL_SERVICE_NAME").map(|name| (SERVICE_NAME.to_owned(), name)));
        attributes
    }
}

fn refusal(option: &'static str, name: &str, why: &str) -> Error {
    Error::config(option, format!("is left out, and the environment variable {name}: {why}"))
}

fn ignore(name: &str, expected: &str) {
    tracing::warn!("the environment variable {name} is not used: {expected}");
}

/// The pairs of a list in the form of W3C's baggage, without properties; the number of the first one that is wrong.
fn pairs(list: &str) -> Result<Vec<(String, String)>, usize> {
    let texts = list.split(',').enumerate().filter(|(_, text)| !text.trim().is_empty());
    let pair = |text: &str| {
        let (name, value) = text.split_once('=')?;
        let decode = |text: &str| percent_decoded(text.trim()).ok();
        let pair = (decode(name)?, decode(value)?);
        (!pair.0.is_empty()).then_some(pair)
    };
    texts.map(|(at, text)| pair(text).ok_or(at + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(variables: &[(&str, &str)], read: impl Fn(Environment<'_>) -> T) -> T {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        read(Environment(&variable))
    }

    const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const LOGS: &str = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";

    #[test]
    fn the_endpoint_of_logs_is_taken_as_it_is_and_that_of_all_signals_gets_a_path() {
        for (variables, expected) in [
            (&[][..], None),
            (&[(ALL, "")], None),
            (&[(ALL, "http://h:4318")], Some("http://h:4318/v1/logs")),
            (&[(ALL, "http://h:4318/")], Some("http://h:4318/v1/logs")),
            (&[(ALL, "https://h/mycollector/")], Some("https://h/mycollector/v1/logs")),
            (&[(ALL, "https://h/v1/logs")], Some("https://h/v1/logs/v1/logs")),
            (&[(LOGS, "http://h:4318")], Some("http://h:4318/")),
            (&[(LOGS, "https://h/in/logs")], Some("https://h/in/logs")),
            (&[(ALL, "http://other"), (LOGS, "https://h/x/")], Some("https://h/x/")),
            (&[(ALL, "http://h"), (LOGS, " ")], Some("http://h/v1/logs")),
        ] {
            let found = with(variables, |it| it.endpoint().expect("valid").map(|url| url.to_string()));
            assert_eq!(found.as_deref(), expected, "{variables:?}");
        }
        let refused =
            with(&[(ALL, "collector:4318")], |it| it.endpoint().expect_err("no scheme").to_string());
        assert!(refused.starts_with("endpoint: is left out, and the environment variable OTEL_EXPORTER_OTLP_ENDPOINT: has no scheme"), "{refused}");
    }

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let name = "OTEL_EXPORTER_OTLP_HEADERS";
        let read = |value: &str| {
            with(&[(name, value)], |it| {
                let headers = it.headers().map_err(|error| error.to_string())?;
                Ok(headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {}", value.reveal()))
                    .collect::<Vec<_>>())
            })
        };
        for (value, expected) in [
            ("api-key=k", &["api-key: k"][..]),
            ("Authorization=Basic%20dTpw%3D%3D, x = a=b ", &["Authorization: Basic dTpw==", "x: a=b"]),
            ("a=1,,b=%C3%A4+c,", &["a: 1", "b: ä+c"]),
            ("a=", &["a: "]),
        ] {
            assert_eq!(read(value).expect(value), expected, "{value}");
        }
        for (value, pair) in [
            ("hunter2", 1),
            ("a=1,hunter2", 2),
            ("a=%zzhunter2", 1),
            ("a=%ff", 1),
            ("=hunter2", 1),
            ("a=%e", 1),
        ] {
            let refused: Result<_, String> = read(value);
            let refused = refused.expect_err(value);
            assert!(
                refused.contains(&format!("pair {pair} is none")) && !refused.contains("hunter2"),
                "{refused}"
            );
        }
        let both = [(name, "a=1,b=2"), ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "c=3")];
        let names = with(&both, |it| it.headers().expect("valid").into_keys().collect::<Vec<_>>());
        assert_eq!(names, ["c"], "those of logs are instead of the others");
    }

    #[test]
    fn grpc_is_refused_and_an_unknown_word_is_left_out() {
        let protocol = |value: &str| with(&[("OTEL_EXPORTER_OTLP_PROTOCOL", value)], |it| it.protocol());
        assert_eq!(protocol("http/json").expect("valid"), Some(Protocol::Json));
        assert_eq!(protocol("http/protobuf").expect("valid"), Some(Protocol::Protobuf));
        assert_eq!(protocol("http/xml").expect("left out"), None);
        let refused = protocol("grpc").expect_err("there is no gRPC").to_string();
        assert!(
            refused.starts_with("protocol: ") && refused.contains("expected `http/protobuf`"),
            "{refused}"
        );
        for (value, expected) in [("gzip", Some(true)), ("none", Some(false)), ("zstd", None)] {
            assert_eq!(with(&[("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", value)], |it| it.gzip()), expected);
        }
        for (value, expected) in [("250", Some(250)), ("0", None), ("10s", None), ("-1", None)] {
            let found = with(&[("OTEL_EXPORTER_OTLP_TIMEOUT", value)], |it| it.timeout());
            assert_eq!(found, expected.map(Duration::from_millis), "{value}");
        }
    }

    #[test]
    fn attributes_are_decoded_or_left_out_as_a_whole() {
        let read = |variables: &[_]| with(variables, |it| it.resource().into_iter().collect::<Vec<_>>());
        let attributes =
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment.name=pre%2Cprod");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = pair("deployment.environment.name", "pre,prod");
        assert_eq!(read(&[attributes]), [environment.clone(), pair("service.name", "a")]);
        assert_eq!(read(&[attributes, ("OTEL_SERVICE_NAME", "b")]), [environment, pair("service.name", "b")]);
        assert_eq!(read(&[("OTEL_RESOURCE_ATTRIBUTES", "a=1,b")]), []);
    }

    #[test]
    fn certificates_of_the_options_come_first() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/cert"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key"),
        ];
        let files = |tls: TlsConfig| {
            with(&variables, |it| {
                let TlsConfig { ca_file, cert_file, key_file } = it.certificates(tls.clone());
                [ca_file, cert_file, key_file].map(|file| file.unwrap_or_default().display().to_string())
            })
        };
        assert_eq!(files(TlsConfig::default()), ["/ca", "/cert", "/key"]);
        let own = TlsConfig {
            ca_file: Some("/own".into()),
            cert_file: Some("/c".into()),
            key_file: Some("/k".into()),
        };
        assert_eq!(files(own), ["/own", "/c", "/k"]);
    }
}
