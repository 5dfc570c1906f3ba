//! Where the events of a kill loop go, and what has arrived there.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};

use crate::{
    events::event,
    otlp::attribute,
    peers::{
        http::{HttpServer, Reply},
        rabbitmq::{Broker, Client},
        rotel::Rotel,
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
        /// The collector.
        collector: Rotel,
        /// To which the collector forwards what it has accepted.
        server: HttpServer,
        /// What has come there.
        arrivals: Arc<Mutex<Vec<Arrival>>>,
    },
}

/// An event that has arrived.
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
            let (names, ids) = (attribute(request, "event.name"), attribute(request, "event.id"));
            let found = names.into_iter().zip(ids).map(|(name, id)| Arrival { name, id });
            seen.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
            Reply::status(200)
        }));
        Self::Otlp { collector: Rotel::forwarding_to(&server.url("")), server, arrivals }
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
            Self::Otlp { collector, .. } => format!("endpoint = {:?}\n", collector.endpoint()),
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

    /// How many different events have arrived in a file.
    pub(super) fn different(&self) -> usize {
        let Self::File(path) = self else { panic!("only a file can be looked at again") };
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(Arrival::of).map(|arrival| arrival.name).collect::<HashSet<_>>().len()
    }

    /// What has arrived.
    pub(super) fn take(self) -> Vec<Arrival> {
        match self {
            // A kill may leave a part of a line, which is no event.
            Self::File(path) => {
                fs::read_to_string(path).unwrap_or_default().lines().filter_map(Arrival::of).collect()
            }
            Self::RabbitMq { queue, client, .. } => {
                let messages = client.take(&queue);
                messages.iter().map(|message| Arrival::of(&message.json).expect("an event")).collect()
            }
            Self::Otlp { collector, server, arrivals } => {
                collector.end();
                drop(server);
                std::mem::take(&mut arrivals.lock().unwrap_or_else(PoisonError::into_inner))
            }
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
