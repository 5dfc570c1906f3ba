//! Where the events of a kill loop go, and what has arrived there.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};

use crate::{
    events::event,
    peers::{
        http::{HttpServer, Received, Reply},
        rabbitmq::{Broker, Client},
    },
};

/// A place for events, and what looks into it.
pub enum Destination {
    /// The file that the plugin `file` writes.
    File(PathBuf),
    /// A quorum queue of a broker.
    RabbitMq {
        /// The broker's URL.
        url: String,
        /// The queue's name.
        queue: String,
        /// The connection that looks into the queue.
        client: Box<Client>,
    },
    /// A collector for OTLP.
    Otlp {
        /// It accepts every request.
        server: HttpServer,
        /// What has arrived.
        arrivals: Arc<Mutex<Vec<Arrival>>>,
    },
}

/// An event that has arrived.
#[derive(Clone)]
pub struct Arrival {
    /// What its writer called it.
    pub(super) name: String,
    /// The id that it got when its line was read.
    pub(super) id: String,
}

impl Destination {
    /// A file in this folder.
    #[must_use]
    pub fn file(folder: &Path) -> Self {
        Self::File(folder.join("arrived.jsonl"))
    }

    /// A new quorum queue of this name.
    #[must_use]
    pub fn rabbitmq(broker: &Broker, queue: &str) -> Self {
        let client = broker.client();
        client.queue(queue, &json!({"x-queue-type": "quorum"}));
        Self::RabbitMq { url: broker.url(), queue: queue.to_owned(), client: Box::new(client) }
    }

    /// A new collector.
    #[must_use]
    pub fn otlp() -> Self {
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&arrivals);
        let server = HttpServer::forgetful(Reply::with(move |request| {
            let found = records(request);
            seen.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
            Reply::status(200)
        }));
        Self::Otlp { server, arrivals }
    }

    /// The name of the plugin.
    #[must_use]
    pub fn plugin_name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::RabbitMq { .. } => "rabbitmq",
            Self::Otlp { .. } => "otlp",
        }
    }

    /// The options of the plugin, as a table of the configuration.
    pub(super) fn options(&self) -> String {
        match self {
            Self::File(path) => format!("path = {path:?}\n"),
            Self::RabbitMq { url, queue, .. } => format!("url = {url:?}\nqueue = {queue:?}\n"),
            Self::Otlp { server, .. } => {
                format!("endpoint = {:?}\nprotocol = \"http/json\"\n", server.url(""))
            }
        }
    }

    /// About how many events have arrived.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::File(path) => {
                let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
                usize::try_from(bytes).expect("a small file") / event(0).len()
            }
            Self::RabbitMq { queue, client, .. } => client.depth(queue) as usize,
            Self::Otlp { arrivals, .. } => arrivals.lock().unwrap_or_else(PoisonError::into_inner).len(),
        }
    }

    /// What has arrived. RabbitMQ's queue is empty then.
    pub(super) fn take(&self) -> Vec<Arrival> {
        match self {
            // A kill may leave a part of a line, which is no event.
            Self::File(path) => {
                fs::read_to_string(path).unwrap_or_default().lines().filter_map(Arrival::of).collect()
            }
            Self::RabbitMq { queue, client, .. } => {
                let messages = client.take(queue);
                messages.iter().map(|message| Arrival::of(&message.json).expect("an event")).collect()
            }
            Self::Otlp { arrivals, .. } => arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl Arrival {
    /// Of an event's JSON; `None` when it is no event.
    fn of(json: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(json).ok()?;
        let member = |key: &str| Some(event[key].as_str()?.to_owned());
        Some(Self { name: member("name")?, id: member("id")? })
    }
}

/// The events in a request of OTLP in JSON.
fn records(request: &Received) -> Vec<Arrival> {
    let body = request.json();
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut arrivals = Vec::new();
    for resource in list(&body, "resourceLogs") {
        for scope in list(&resource, "scopeLogs") {
            for record in list(&scope, "logRecords") {
                let attributes = list(&record, "attributes");
                let text = |key: &str| {
                    let found = attributes.iter().find(|attribute| attribute["key"] == key);
                    let text = found.and_then(|attribute| attribute["value"]["stringValue"].as_str());
                    text.unwrap_or_else(|| panic!("no {key}: {record}")).to_owned()
                };
                arrivals.push(Arrival { name: text("event.name"), id: text("event.id") });
            }
        }
    }
    arrivals
}
