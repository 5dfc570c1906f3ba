//! The option with the endpoint of the platform, and instances whose platform is another one.

use std::net::SocketAddr;

use jackfield_loader::{
    conformance::{Instance, Terms},
    plugin_api::abi,
};
use serde_json::{Map, Value, json};

use super::harness::{self, CheckError, Harness, TIMEOUT, skip};

/// Usual names of options with an endpoint.
const KEYS: [&str; 9] = ["url", "endpoint", "address", "addr", "host", "server", "urls", "hosts", "servers"];

/// An instance whose endpoint is `address`.
pub(super) fn open_at(harness: &Harness, address: SocketAddr) -> Result<Instance, CheckError> {
    let config = config(harness, address)?;
    harness.open_with(&config, &Terms::new(TIMEOUT))
}

/// As [`open_at`], or with the given options if none is an endpoint. Gives whether `address` is the endpoint.
pub(super) fn open_at_or_configured(
    harness: &Harness,
    address: SocketAddr,
) -> Result<(Instance, bool), CheckError> {
    match open_at(harness, address) {
        Err(CheckError::Skipped(_)) => Ok((harness.open()?, false)),
        opened => Ok((opened?, true)),
    }
}

/// The options that the schema names.
fn known_options(harness: &Harness) -> Map<String, Value> {
    let schema = harness.schema().unwrap_or_default();
    schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// The options that may hold the endpoint, the most likely first.
fn endpoints<'a>(harness: &'a Harness, known: &Map<String, Value>) -> Vec<&'a str> {
    if let Some(key) = &harness.task.endpoint {
        return vec![key];
    }
    let set = KEYS.iter().filter(|key| harness.config.contains_key(**key));
    let rest = KEYS.iter().filter(|key| known.contains_key(**key) && !harness.config.contains_key(**key));
    set.chain(rest).copied().collect()
}

/// The given options, with an endpoint that is no address; `None` without an option for it.
pub(super) fn with_unusable_endpoint(harness: &Harness) -> Option<Map<String, Value>> {
    let key = *endpoints(harness, &known_options(harness)).first()?;
    let mut config = harness.config.clone();
    config.insert(key.to_owned(), json!("no address: \u{7}"));
    Some(config)
}

/// The first configuration with the endpoint `address` that the plugin accepts.
pub(super) fn config(harness: &Harness, address: SocketAddr) -> Result<String, CheckError> {
    let known = known_options(harness);
    let named = endpoints(harness, &known);
    if named.is_empty() {
        return Err(skip(
            "no option is called url, endpoint, address or the like: name it with --endpoint KEY",
        ));
    }
    let mut refusal = String::new();
    for key in named {
        for value in values(harness.config.get(key), known.get(key), address) {
            let mut config: Map<String, Value> = harness.config.clone();
            config.insert(key.to_owned(), value);
            if known.contains_key("port") && key != "port" {
                config.insert("port".to_owned(), json!(address.port()));
            }
            let config = Value::from(config).to_string();
            let terms = Terms::new(TIMEOUT);
            let (answer, instance) = harness.subject.open(&config, &terms);
            match instance {
                Some(instance) => {
                    harness::end(instance)?;
                    return Ok(config);
                }
                // The options are right, and `open` wants more than options.
                None if answer.status != abi::STATUS_INVALID_CONFIG => {
                    harness::judge("open", &answer, &terms)?;
                    return Err(harness::not_opened(&answer));
                }
                None => refusal = harness::said(&answer),
            }
        }
    }
    Err(skip(format!(
        "no local endpoint is accepted by the options ({refusal}): give one that is, such as a URL without TLS"
    )))
}

/// Values for the option, the most likely first. A given value that is no address, such as the path of a
/// socket, is ignored, because it does not show the form of an address.
fn values(set: Option<&Value>, schema: Option<&Value>, address: SocketAddr) -> Vec<Value> {
    match set {
        // The form of the value is kept, because a plugin may take a URL for the name of a host.
        Some(Value::String(text)) if text.contains("://") || is_host_and_port(text) => {
            vec![json!(at(text, address))]
        }
        Some(Value::Array(list)) => {
            let one = list
                .iter()
                .find_map(Value::as_str)
                .map_or_else(|| address.to_string(), |text| at(text, address));
            vec![json!([one])]
        }
        _ => {
            let list = schema.is_some_and(|schema| is_list(&schema["type"]));
            let value = |text: String| if list { json!([text]) } else { json!(text) };
            let texts = ["http://", "amqp://guest:guest@", "tcp://", "udp://", ""]
                .map(|scheme| format!("{scheme}{address}"));
            texts.into_iter().chain([address.ip().to_string()]).map(value).collect()
        }
    }
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok())
}

fn is_list(kind: &Value) -> bool {
    kind == "array"
        || kind
            .as_array()
            .is_some_and(|kinds| kinds.contains(&json!("array")) && !kinds.contains(&json!("string")))
}

/// `text` with the host and port of `address`. Scheme, user and path stay.
fn at(text: &str, address: SocketAddr) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return address.to_string() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let user = rest[..end].rfind('@').map_or("", |at| &rest[..=at]);
    format!("{scheme}://{user}{address}{}", &rest[end..])
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7);

    #[test]
    fn an_address_of_host_and_port_keeps_its_form() {
        for given in ["localhost:9", "127.0.0.1:9", "[::1]:9"] {
            assert_eq!(values(Some(&json!(given)), None, HERE), [json!("127.0.0.1:7")], "{given}");
        }
        for path in ["/run/socket:1", "/dev/log", "host"] {
            assert!(values(Some(&json!(path)), None, HERE).len() > 1, "{path}");
        }
    }

    #[test]
    fn an_endpoint_keeps_all_but_its_host_and_port() {
        for (text, expected) in [
            ("https://example.com/v1?x#y", "https://127.0.0.1:7/v1?x#y"),
            ("amqp://u:p@h:5672/%2f", "amqp://u:p@127.0.0.1:7/%2f"),
            ("http://[::1]:80", "http://127.0.0.1:7"),
            ("example.com:514", "127.0.0.1:7"),
        ] {
            assert_eq!(at(text, HERE), expected);
        }
    }

    #[test]
    fn a_list_stays_a_list() {
        assert_eq!(
            values(Some(&json!(["amqp://a", "amqp://b"])), None, HERE),
            [json!(["amqp://127.0.0.1:7"])]
        );
        let schema = json!({"type": ["array", "null"]});
        assert_eq!(values(None, Some(&schema), HERE)[0], json!(["http://127.0.0.1:7"]));
    }
}
