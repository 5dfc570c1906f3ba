//! One connection to a broker until it ends, and the channels on it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_rs::{Runtime, Tokio, util::RuntimeParts};
use jackfield_plugin_api::Outcome;
use lapin::{
    AsyncTcpStream, Channel, Connection, ConnectionProperties, Event,
    options::{ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio::{runtime::Handle, task::JoinHandle};
use tracing::{
    instrument::WithSubscriber,
    subscriber::{NoSubscriber, set_default},
};

use crate::{
    address::Address,
    config::Settings,
    declare::Topology,
    explain::{Trouble, explain, is_not_found, outcome},
    stream::{self, Kill, Net},
};

/// How long an abandoned channel with frames in lapin's queue is kept after the broker accepts frames again. If it is
/// closed before the frames are sent, the connection ends for all other channels.
const LINGER: Duration = Duration::from_secs(5);

/// A connection.
pub(crate) struct Session {
    connection: Connection,
    address: Address,
    kill: Kill,
    shared: Arc<Shared>,
    watcher: JoinHandle<()>,
    /// Whether the topology was declared.
    declared: tokio::sync::Mutex<bool>,
    /// Whether the topology may have been deleted since.
    stale: AtomicBool,
    confirmed: AtomicBool,
}

#[derive(Default)]
struct Shared {
    /// Why the broker accepts no messages at the moment.
    blocked: Mutex<Option<String>>,
    /// Channels in confirm mode without unconfirmed events.
    idle: Mutex<Vec<Channel>>,
    /// Channels that were abandoned while the connection was blocked.
    parked: Mutex<Vec<Channel>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// Connects and logs in. When it is cancelled, it leaves nothing behind.
    pub(crate) async fn open(
        settings: &Settings,
        address: &Address,
        product: (&str, &str),
    ) -> Result<Self, Trouble> {
        let failed = |why: String| Trouble::new(format!("{address}: {why}"));
        let (stream, kill) = stream::connect(address, settings.tls.as_ref()).await.map_err(failed)?;
        let stream = Mutex::new(Some(stream));
        let handle = Handle::current();
        let runtime = Runtime::new(RuntimeParts::new(
            Tokio::default().with_handle(handle.clone()),
            Net(Tokio::default().with_handle(handle.clone())),
        ));
        let connect = async move |_, _| {
            // This runs on lapin's own thread. It is the only place where that thread's records can be kept out of the
            // log.
            drop_records_of_this_thread();
            let stream = lock(&stream).take();
            stream
                .map(AsyncTcpStream::Plain)
                .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected).into())
        };
        let (name, version) = product;
        let name = settings.connection_name.clone().unwrap_or_else(|| format!("{name} {version}"));
        let properties = ConnectionProperties::default()
            .with_client_property("product".into(), "Jackfield".into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
            .with_connection_name(name.trim().into());
        let connection = Connection::connector(address.uri(settings.heartbeat), runtime, connect, properties)
            .await
            .map_err(|error| Trouble::of_opening(&error, address, settings.shows_certificate))?;
        let shared = Arc::new(Shared::default());
        let watcher = handle.spawn(watch(connection.events_listener(), Arc::clone(&shared)));
        Ok(Self {
            connection,
            address: address.clone(),
            kill,
            shared,
            watcher,
            declared: tokio::sync::Mutex::new(settings.topology.is_empty()),
            stale: AtomicBool::new(false),
            confirmed: AtomicBool::new(false),
        })
    }

    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    /// Whether messages can be sent on the connection.
    pub(crate) fn is_up(&self) -> bool {
        self.connection.status().connected()
    }

    /// Why the broker accepts no messages at the moment, if it accepts none.
    pub(crate) fn blocked(&self) -> Option<String> {
        let blocked = self.connection.status().blocked();
        blocked.then(|| match &*lock(&self.shared.blocked) {
            Some(reason) => self.address.clean(reason),
            None => "no reason given".to_owned(),
        })
    }

    /// Whether the broker has confirmed anything on this connection.
    pub(crate) fn has_confirmed(&self) -> bool {
        self.confirmed.load(Ordering::Relaxed)
    }

    /// Stores that the broker has confirmed an event.
    pub(crate) fn note_confirmed(&self) {
        self.confirmed.store(true, Ordering::Relaxed);
    }

    /// Stores that a part of the topology may be gone, so that it is declared again before the next batch.
    pub(crate) fn note_stale(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    /// Returns a channel in confirm mode, after the topology is declared.
    pub(crate) async fn channel(&self, topology: &Topology) -> Result<Channel, Outcome> {
        self.declare(topology).await?;
        let idle = || lock(&self.shared.idle).pop();
        while let Some(channel) = idle() {
            if channel.status().connected() {
                return Ok(channel);
            }
        }
        let open = async {
            let channel = self.connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        open.await.map_err(|error| outcome(&error, explain(&error, &self.address)))
    }

    /// Opens a plain channel, which the caller closes.
    pub(crate) async fn fresh_channel(&self) -> lapin::Result<Channel> {
        self.connection.create_channel().await
    }

    async fn declare(&self, topology: &Topology) -> Result<(), Outcome> {
        if topology.is_empty() {
            return Ok(());
        }
        let mut declared = self.declared.lock().await;
        if self.stale.swap(false, Ordering::Relaxed) {
            *declared = false;
        }
        if !*declared {
            self.declare_all(topology).await.map_err(|error| {
                let what = if is_not_found(&error) {
                    "what `declare` expects is not there"
                } else {
                    "`declare` failed"
                };
                outcome(&error, format!("{what}: {}", explain(&error, &self.address)))
            })?;
            *declared = true;
        }
        Ok(())
    }

    async fn declare_all(&self, topology: &Topology) -> lapin::Result<()> {
        // Uses a channel of its own: the broker closes a channel on which a declaration fails.
        let channel = self.connection.create_channel().await?;
        if let Some((name, kind, arguments)) = &topology.exchange {
            let options = ExchangeDeclareOptions {
                passive: kind.is_none(),
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            let kind = kind.clone().unwrap_or_default();
            channel.exchange_declare(name.clone(), kind, options, arguments.clone()).await?;
        }
        if let Some((name, passive, arguments)) = &topology.queue {
            let options =
                QueueDeclareOptions { passive: *passive, durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(name.clone(), options, arguments.clone()).await?;
        }
        if let Some((queue, exchange, keys)) = &topology.bindings {
            for key in keys {
                let (queue, exchange, key) = (queue.clone(), exchange.clone(), key.clone());
                channel
                    .queue_bind(queue, exchange, key, QueueBindOptions::default(), FieldTable::default())
                    .await?;
            }
        }
        channel.close(200, "OK".into()).await
    }

    /// Takes back a channel without unconfirmed events.
    pub(crate) fn put_back(&self, channel: Channel) {
        if channel.status().connected() {
            lock(&self.shared.idle).push(channel);
        }
    }

    /// Takes back a channel with frames that lapin could not write because the connection is blocked.
    pub(crate) fn park(&self, channel: Channel) {
        lock(&self.shared.parked).push(channel);
    }

    /// Ends the connection at once.
    pub(crate) fn kill(&self) {
        self.kill.kill();
    }

    /// Closes the connection in order, within `patience`, and waits for lapin's thread.
    pub(crate) async fn close(self: Arc<Self>, patience: Duration) {
        lock(&self.shared.idle).clear();
        if self.is_up() && self.blocked().is_none() {
            // An error means that the connection has already ended.
            let _ = tokio::time::timeout(patience, self.connection.close(200, "OK".into())).await;
        }
        self.kill.kill();
        self.watcher.abort();
        let Ok(session) = Arc::try_unwrap(self) else { return };
        let thread = tokio::task::spawn_blocking(move || session.join());
        let _ = tokio::time::timeout(patience, thread).await;
    }

    fn join(self) {
        let Self { connection, kill: _kill, shared, .. } = self;
        drop(shared);
        // The thread's result is the error that ended the connection.
        let _ = connection.run();
    }
}

/// Handles the events of the connection until it ends.
async fn watch(events: impl futures_core::Stream<Item = Event>, shared: Arc<Shared>) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = std::future::poll_fn(|cx| events.as_mut().poll_next(cx)).await {
        match event {
            Event::ConnectionBlocked(reason) => *lock(&shared.blocked) = Some(reason),
            Event::ConnectionUnblocked => {
                *lock(&shared.blocked) = None;
                let parked = std::mem::take(&mut *lock(&shared.parked));
                tokio::spawn(async move {
                    tokio::time::sleep(LINGER).await;
                    drop(parked);
                });
            }
            _ => {}
        }
    }
}

/// Keeps the records of this thread out of the host's log from now on.
///
/// At the level `trace` lapin's records contain every frame, including the login with its password, and at `warn` the
/// whole of each returned message. The outcomes of this plugin have what users need to know.
pub(crate) fn drop_records_of_this_thread() {
    std::mem::forget(set_default(NoSubscriber::default()));
}

/// Keeps the records of `work` out of the host's log.
pub(crate) async fn without_records<T>(work: impl Future<Output = T>) -> T {
    work.with_subscriber(NoSubscriber::default()).await
}
