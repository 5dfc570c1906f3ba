//! The options, and the checked settings that follow from them.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use jackfield_plugin_api::Error;
use jackfield_tls::{TlsConfig, rustls::ClientConfig};
use lapin::types::ShortString;

use crate::{
    address::{Address, Auth, SecretUrl},
    declare::{Declare, Topology},
    routing::RoutingKey,
    values::{refuse, short},
};

/// Options of the backend `rabbitmq`: events published to RabbitMQ, each confirmed by the broker.
#[derive(Debug, serde::Deserialize)]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(
        deny_unknown_fields,
        extend("allOf" = [
            {"anyOf": [{"required": ["url"]}, {"required": ["urls"]}]},
            {"anyOf": [{"required": ["queue"]}, {"required": ["exchange"]}, {"required": ["routing_key"]}]}
        ])
    )
)]
pub(crate) struct Config {
    /// The broker: amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps:// for TLS. The virtual host / is written %2f, or left
    /// out with its slash.
    url: Option<SecretUrl>,
    /// Several brokers of a cluster, instead of `url`. The first that answers is used; when it fails, the next is tried.
    urls: Option<Vec<SecretUrl>>,
    /// How connections log in.
    #[serde(default)]
    auth: Auth,
    /// The exchange that events are published to. Default: the default exchange, which routes an event to the queue
    /// that the routing key names.
    exchange: Option<String>,
    /// The queue of the events. It is the routing key unless `routing_key` is set, and `declare` can declare it.
    queue: Option<String>,
    /// The routing key, with fields of the event in braces, such as `telemetry.{type}.{tool_name}`. Default: the queue's
    /// name, or nothing when there is no `queue`.
    routing_key: Option<String>,
    /// What is declared on every new connection before events are sent. Default: nothing.
    #[serde(default)]
    declare: Declare,
    /// The name of the connection in the broker's lists. Default: the tool's name and version.
    connection_name: Option<String>,
    /// Certificates, for amqps.
    #[serde(default)]
    tls: TlsConfig,
    /// How many events may be sent and not yet confirmed, for all sending threads together.
    #[serde(default = "default_window")]
    window: NonZeroU16,
    /// How long the broker may send no confirm while events wait for one, such as `10s` or `500ms`. Default: the
    /// timeout of the call.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    #[serde(default, deserialize_with = "duration")]
    confirm_timeout: Option<Duration>,
    /// Interval of the heartbeats that detect a dead connection, in whole seconds, such as `30s`, the default. With
    /// `0s` the broker chooses it.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    #[serde(default, deserialize_with = "duration")]
    heartbeat: Option<Duration>,
    /// The application's name in each message. Default: the event's `tool_name`.
    app_id: Option<String>,
}

const fn default_window() -> NonZeroU16 {
    NonZeroU16::MIN.saturating_add(511)
}

/// `500ms`, `5s`, `2m`.
fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let Some(text) = <Option<String> as serde::Deserialize>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: Option<u64> = text[..digits].parse().ok();
    let unit = match &text[digits..] {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        _ => None,
    };
    number
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit))
        .map(|ms| Some(Duration::from_millis(ms)))
        .ok_or_else(|| {
            serde::de::Error::custom("it is not a duration; expected a value such as `5s` or `500ms`")
        })
}

/// The options, checked.
pub(crate) struct Settings {
    pub(crate) addresses: Vec<Address>,
    /// The client's side of TLS, when an address uses it.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Whether a certificate is shown to the broker.
    pub(crate) shows_certificate: bool,
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: RoutingKey,
    pub(crate) topology: Topology,
    pub(crate) window: usize,
    pub(crate) confirm_timeout: Option<Duration>,
    /// Seconds; with 0 the broker chooses.
    pub(crate) heartbeat: u16,
    pub(crate) app_id: Option<ShortString>,
    pub(crate) connection_name: Option<String>,
}

impl Config {
    /// Checks all that can be checked without a broker.
    pub(crate) fn check(self) -> Result<Settings, Error> {
        let addresses = addresses(self.url.as_ref(), self.urls.as_deref(), self.auth)?;
        let tls = match addresses.iter().any(|address| address.tls) {
            true => Some(Arc::new(self.tls.client_config()?)),
            false if self.tls.is_empty() => None,
            false => return refuse("tls", "is set, and no URL begins with amqps://"),
        };
        if self.auth == Auth::External && self.tls.cert_file.is_none() {
            return refuse("tls.cert_file", "is missing; `auth = \"external\"` logs in with a certificate");
        }
        if self.exchange.is_none() && self.queue.is_none() && self.routing_key.is_none() {
            return refuse("queue", "is missing; name a queue, or an exchange");
        }
        let exchange = short("exchange", self.exchange.as_deref().unwrap_or_default())?;
        let queue = self.queue.as_deref().map(|queue| short("queue", queue)).transpose()?;
        let routing_key = match (&self.routing_key, &self.queue) {
            (Some(template), _) => {
                RoutingKey::parse(template).map_err(|why| Error::config("routing_key", why))
            }
            (None, queue) => RoutingKey::constant(queue.as_deref().unwrap_or_default())
                .map_err(|why| Error::config("queue", why)),
        }?;
        let topology = self.declare.check(&exchange, queue, &routing_key)?;
        let heartbeat = self.heartbeat.unwrap_or(Duration::from_secs(30));
        if heartbeat.subsec_millis() != 0 {
            return refuse("heartbeat", "is not a number of whole seconds");
        }
        let heartbeat = u16::try_from(heartbeat.as_secs())
            .map_err(|_| Error::config("heartbeat", "is more than 65535 seconds"))?;
        if self.confirm_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return refuse("confirm_timeout", "is 0; leave it out to wait for as long as a call may take");
        }
        let app_id = self.app_id.as_deref().map(|name| short("app_id", name)).transpose()?;
        Ok(Settings {
            addresses,
            tls,
            shows_certificate: self.tls.cert_file.is_some(),
            exchange,
            routing_key,
            topology,
            window: usize::from(self.window.get()),
            confirm_timeout: self.confirm_timeout,
            heartbeat,
            app_id,
            connection_name: self.connection_name,
        })
    }
}

fn addresses(url: Option<&SecretUrl>, urls: Option<&[SecretUrl]>, auth: Auth) -> Result<Vec<Address>, Error> {
    let (key, list) = match (url, urls) {
        (Some(_), Some(_)) => return refuse("urls", "is set together with `url`; keep one of them"),
        (Some(url), None) => ("url", std::slice::from_ref(url)),
        (None, Some([])) => return refuse("urls", "is empty; name a broker"),
        (None, Some(urls)) => ("urls", urls),
        (None, None) => return refuse("url", "is missing; expected amqp://USER:PASSWORD@HOST:PORT/VHOST"),
    };
    list.iter()
        .enumerate()
        .map(|(index, url)| {
            Address::parse(url, auth).map_err(|why| match key {
                "url" => Error::config("url", why),
                key => Error::config(format!("{key}[{index}]"), why),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<Settings, String> {
        let config: Config = serde_json::from_str(json).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())
    }

    fn refusal(json: &str) -> String {
        check(json).err().unwrap_or_else(|| panic!("{json} is accepted"))
    }

    #[test]
    fn a_url_and_a_queue_are_all_that_is_required() {
        let settings = check(r#"{"url":"amqp://u:p@h","queue":"q"}"#).expect("valid");
        assert_eq!(settings.exchange.as_str(), "");
        assert_eq!(settings.routing_key.as_constant().map(ShortString::as_str), Some("q"));
        assert_eq!((settings.window, settings.heartbeat, settings.confirm_timeout), (512, 30, None));
        assert_eq!(settings.app_id, None);
        assert!(settings.topology.is_empty() && settings.tls.is_none());
    }

    #[test]
    fn invalid_options_are_refused_by_key() {
        for (json, key, reason) in [
            (r#"{"queue":"q"}"#, "url", "is missing"),
            (r#"{"urls":[],"queue":"q"}"#, "urls", "is empty"),
            (r#"{"url":"amqp://u:p@h","urls":["amqp://u:p@h"],"queue":"q"}"#, "urls", "together with `url`"),
            (r#"{"urls":["amqp://u:p@h","ftp://h"],"queue":"q"}"#, "urls[1]", "scheme `ftp`"),
            (r#"{"url":"amqp://u:p@h"}"#, "queue", "name a queue"),
            (r#"{"url":"amqp://u:p@h","routing_key":"{typ}"}"#, "routing_key", "did you mean `{type}`"),
            (
                r#"{"url":"amqp://u:p@h","exchange":"e","declare":{"queue":"quorum"}}"#,
                "declare.queue",
                "`queue` names none",
            ),
            (
                r#"{"url":"amqp://u:p@h","queue":"q","declare":{"exchange":"topic"}}"#,
                "declare.exchange",
                "names none",
            ),
            (
                r#"{"url":"amqp://u:p@h","queue":"q","declare":{"bindings":["x"]}}"#,
                "declare.bindings",
                "needs both",
            ),
            (
                r#"{"url":"amqp://u:p@h","queue":"q","declare":{"arguments":{"a":1}}}"#,
                "declare.arguments",
                "is not",
            ),
            (r#"{"url":"amqp://u:p@h","queue":"q","tls":{"ca_file":"/x"}}"#, "tls", "amqps"),
            (r#"{"url":"amqp://h","queue":"q"}"#, "url", "names no user"),
            (r#"{"url":"amqps://h","auth":"external","queue":"q"}"#, "tls.cert_file", "is missing"),
            (r#"{"urls":["amqps://h","amqp://h"],"auth":"external","queue":"q"}"#, "urls[1]", "needs amqps"),
            (r#"{"url":"amqp://u:p@h","queue":"q","heartbeat":"1500ms"}"#, "heartbeat", "whole seconds"),
            (r#"{"url":"amqp://u:p@h","queue":"q","confirm_timeout":"0s"}"#, "confirm_timeout", "is 0"),
        ] {
            let error = refusal(json);
            assert!(error.starts_with(&format!("{key}: ")) && error.contains(reason), "{json}: {error}");
        }
        assert!(
            refusal(r#"{"url":"amqp://u:p@h","queue":"q","confirm_timeout":"soon"}"#)
                .contains("it is not a duration; expected a value such as `5s`")
        );
        assert!(refusal(r#"{"url":"amqp://u:p@h","queue":"q","window":0}"#).contains("nonzero"));
        assert!(
            refusal(r#"{"url":"amqp://u:p@h","queue":"q","declare":{"queue":"lazy"}}"#).contains("`passive`")
        );
    }

    #[test]
    fn the_configuration_shows_no_password() {
        let json = r#"{"url":"amqp://u:s3cret@h","queue":"q"}"#;
        let config: Config = serde_json::from_str(json).expect("valid");
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn the_checked_in_schema_is_that_of_the_options() {
        jackfield_plugin_api::schema::assert_schema::<Config>(env!("CARGO_MANIFEST_DIR"));
    }
}
