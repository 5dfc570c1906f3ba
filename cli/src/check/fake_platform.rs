//! A platform that is away or does not answer, instead of the configured platform.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use jackfield_loader::conformance::{Instance, Terms};
use serde_json::{Map, Value, json};

use super::harness::{self, CheckError, Harness, TIMEOUT, fail, skip};

/// Usual names of options with an endpoint.
const KEYS: [&str; 9] = ["url", "endpoint", "address", "addr", "host", "server", "urls", "hosts", "servers"];

/// A platform that accepts connections and datagrams and never answers.
pub(super) struct SilentPlatform {
    listener: TcpListener,
    socket: Option<UdpSocket>,
}

impl SilentPlatform {
    pub(super) fn start() -> Result<Self, CheckError> {
        let no_port = |error| {
            fail(
                format!("no local port is available: {error}"),
                "run the check where it may listen on 127.0.0.1",
            )
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(no_port)?;
        listener.set_nonblocking(true).map_err(no_port)?;
        let socket = listener
            .local_addr()
            .and_then(UdpSocket::bind)
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .ok();
        Ok(Self { listener, socket })
    }

    pub(super) fn address(&self) -> Result<SocketAddr, CheckError> {
        self.listener.local_addr().map_err(|error| fail(error.to_string(), "run it again"))
    }

    /// Whether there was a connection or a datagram.
    pub(super) fn was_contacted(&self) -> bool {
        self.listener.accept().is_ok()
            || self.socket.as_ref().is_some_and(|socket| socket.recv_from(&mut [0; 1]).is_ok())
    }
}

/// An address where no process listens.
pub(super) fn closed_address() -> Result<SocketAddr, CheckError> {
    SilentPlatform::start()?.address()
}

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

/// The first configuration with the endpoint `address` that the plugin accepts.
fn config(harness: &Harness, address: SocketAddr) -> Result<String, CheckError> {
    let schema = harness.schema().unwrap_or_default();
    let known = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let named: Vec<&str> = match &harness.task.endpoint {
        Some(key) => vec![key],
        None => {
            let set = KEYS.iter().filter(|key| harness.config.contains_key(**key));
            let rest =
                KEYS.iter().filter(|key| known.contains_key(**key) && !harness.config.contains_key(**key));
            set.chain(rest).copied().collect()
        }
    };
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
            let (answer, instance) = harness.subject.open(&config, &Terms::new(TIMEOUT));
            match instance {
                Some(instance) => {
                    harness::end(instance)?;
                    return Ok(config);
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

    #[test]
    fn a_connection_to_a_silent_platform_is_noticed() {
        let silent = SilentPlatform::start().unwrap_or_else(|_| panic!("a port"));
        let address = silent.address().unwrap_or_else(|_| panic!("an address"));
        assert!(!silent.was_contacted());
        let _client = std::net::TcpStream::connect(address).expect("it takes connections");
        assert!(silent.was_contacted());
    }
}
