//! What is declared on every new connection: a queue, an exchange, and their bindings.

use std::collections::BTreeMap;

use jackfield_plugin_api::Error;
use lapin::{
    ExchangeKind,
    types::{FieldTable, ShortString},
};
use serde_json::Value;

use crate::{
    routing::RoutingKey,
    values::{refuse, short, table, text},
};

/// What is declared.
#[derive(Debug, Default, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct Declare {
    /// How `queue` is declared: `passive` expects that it exists; the others create it, durable, if it does not.
    queue: Option<QueueKind>,
    /// Arguments of the queue, such as `{"x-max-length": 100000}`.
    #[serde(default)]
    arguments: BTreeMap<String, Value>,
    /// How `exchange` is declared: `passive` expects that it exists; the others create it, durable, if it does not.
    exchange: Option<DeclaredExchange>,
    /// Arguments of the exchange.
    #[serde(default)]
    exchange_arguments: BTreeMap<String, Value>,
    /// The keys that bind `queue` to `exchange`. Default, when both are declared: the routing key, if it has no fields.
    bindings: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
enum QueueKind {
    Passive,
    Classic,
    Quorum,
    Stream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
enum DeclaredExchange {
    Passive,
    Direct,
    Fanout,
    Topic,
    Headers,
}

/// What is declared on a new connection.
#[derive(Default)]
pub(crate) struct Topology {
    /// Name, kind (`None`: passive), arguments.
    pub(crate) exchange: Option<(ShortString, Option<ExchangeKind>, FieldTable)>,
    /// Name, whether passive, arguments.
    pub(crate) queue: Option<(ShortString, bool, FieldTable)>,
    /// Queue, exchange, keys.
    pub(crate) bindings: Option<(ShortString, ShortString, Vec<ShortString>)>,
}

impl Topology {
    pub(crate) const fn is_empty(&self) -> bool {
        self.exchange.is_none() && self.queue.is_none() && self.bindings.is_none()
    }
}

impl Declare {
    /// Checks all that can be checked without a broker.
    pub(crate) fn check(
        self,
        exchange: &ShortString,
        queue: Option<ShortString>,
        routing_key: &RoutingKey,
    ) -> Result<Topology, Error> {
        let mut topology = Topology::default();
        if let Some(kind) = self.queue {
            let Some(name) = queue.clone().filter(|name| !name.as_str().is_empty()) else {
                return refuse("declare.queue", "is set, and `queue` names none");
            };
            let passive = kind == QueueKind::Passive;
            if passive && !self.arguments.is_empty() {
                return refuse("declare.arguments", "are ignored when `declare.queue` is `passive`");
            }
            if self.arguments.contains_key("x-queue-type") {
                return refuse("declare.arguments", "set x-queue-type, which `declare.queue` does");
            }
            let mut arguments = table("declare.arguments", &self.arguments)?;
            match kind {
                QueueKind::Passive | QueueKind::Classic => {}
                QueueKind::Quorum => drop(arguments.insert("x-queue-type".into(), text("quorum"))),
                QueueKind::Stream => drop(arguments.insert("x-queue-type".into(), text("stream"))),
            }
            topology.queue = Some((name, passive, arguments.into()));
        } else if !self.arguments.is_empty() {
            return refuse("declare.arguments", "are set, and `declare.queue` is not");
        }
        if let Some(kind) = self.exchange {
            if exchange.as_str().is_empty() {
                return refuse("declare.exchange", "is set, and `exchange` names none");
            }
            let kind = match kind {
                DeclaredExchange::Passive => None,
                DeclaredExchange::Direct => Some(ExchangeKind::Direct),
                DeclaredExchange::Fanout => Some(ExchangeKind::Fanout),
                DeclaredExchange::Topic => Some(ExchangeKind::Topic),
                DeclaredExchange::Headers => Some(ExchangeKind::Headers),
            };
            let arguments = table("declare.exchange_arguments", &self.exchange_arguments)?;
            topology.exchange = Some((exchange.clone(), kind, arguments.into()));
        } else if !self.exchange_arguments.is_empty() {
            return refuse("declare.exchange_arguments", "are set, and `declare.exchange` is not");
        }
        let keys = match (self.bindings, routing_key.as_constant()) {
            (Some(bindings), _) => {
                bindings.iter().map(|key| short("declare.bindings", key)).collect::<Result<Vec<_>, _>>()?
            }
            (None, _) if topology.queue.is_none() || topology.exchange.is_none() => Vec::new(),
            (None, Some(key)) => vec![key.clone()],
            (None, None) => {
                let why =
                    "is missing, and the routing key has fields; name the keys, such as [\"telemetry.#\"]";
                return refuse("declare.bindings", why);
            }
        };
        if !keys.is_empty() {
            let Some(queue) = queue.filter(|_| !exchange.as_str().is_empty()) else {
                return refuse("declare.bindings", "needs both `queue` and `exchange`");
            };
            topology.bindings = Some((queue, exchange.clone(), keys));
        }
        Ok(topology)
    }
}

#[cfg(test)]
mod tests {
    use lapin::types::AMQPValue;

    use super::*;
    use crate::config::Config;

    fn check(json: &str) -> Result<Topology, String> {
        let config: Config = serde_json::from_str(json).map_err(|error| error.to_string())?;
        config.check().map(|settings| settings.topology).map_err(|error| error.to_string())
    }

    #[test]
    fn a_declared_queue_has_its_type_and_arguments() {
        for (kind, expected) in [("classic", None), ("quorum", Some("quorum")), ("stream", Some("stream"))] {
            let json = format!(
                r#"{{"url":"amqp://u:p@h","queue":"q","declare":{{"queue":"{kind}","arguments":{{"x-max-length":7}}}}}}"#
            );
            let (name, passive, arguments) = check(&json).expect("valid").queue.expect("declared");
            assert_eq!((name.as_str(), passive), ("q", false));
            assert_eq!(arguments.inner().get("x-max-length"), Some(&AMQPValue::LongLongInt(7)));
            assert_eq!(arguments.inner().get("x-queue-type"), expected.map(text).as_ref());
        }
    }

    #[test]
    fn a_declared_exchange_is_bound_by_keys_or_routing_key() {
        let both = r#"{"url":"amqp://u:p@h","exchange":"e","queue":"q","declare":{"exchange":"topic","queue":"classic""#;
        let keys = |json: String| {
            let (_, _, keys) = check(&json)?.bindings.expect("bound");
            Ok::<_, String>(keys.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(keys(format!("{both}}}}}")), Ok(vec!["q".to_owned()]));
        assert_eq!(
            keys(format!(r#"{both},"bindings":["a.#","b"]}}}}"#)),
            Ok(vec!["a.#".to_owned(), "b".to_owned()])
        );
        let error = keys(format!(r#"{both}}},"routing_key":"{{type}}"}}"#)).expect_err("no constant key");
        assert!(error.starts_with("declare.bindings: is missing"), "{error}");
    }
}
