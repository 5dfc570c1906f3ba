//! Publishes events to RabbitMQ, by AMQP 0-9-1.
//!
//! An event is a persistent message: its JSON as the body, `content_type` `application/json`, `message_id` the event's
//! id, `type` its type, `timestamp` its time in seconds, `app_id` its tool's name. The event is delivered when the
//! broker has confirmed the message and has not returned it.
//!
//! The outcomes, by RabbitMQ's documentation of publisher confirms, of AMQP's errors and of blocked connections:
//!
//! | what happens | outcome |
//! | --- | --- |
//! | `basic.ack` | delivered |
//! | `basic.return` (no queue for it), then `basic.ack` | retry: a queue may be bound later |
//! | `basic.nack` (queue full, or it could not store it) | retry |
//! | no confirm by the deadline | retry; it may have arrived |
//! | `connection.blocked` (memory or disk alarm) | retry |
//! | login refused, vhost refused, permission missing (403, 530) | retry after half a minute at least: the events are not at fault |
//! | exchange or queue not found (404), other arguments than declared (406) | the same |
//! | message larger than the broker takes (406) | too large |
//! | connection refused, lost, closed by the broker (320) | retry |
//! | routing key of more than 255 bytes | rejected |
//!
//! One connection serves an instance, however many threads send, with a channel for each running call. The first call
//! makes the connection. When it is lost, the running calls report so, and the next call connects again, however soon it
//! comes. If an address fails, the next one is tried. `declare` is applied to each new connection.
//!
//! A probe makes a connection of its own, declares nothing and delivers nothing: see `probe.rs`.
#![forbid(unsafe_code)]

mod address;
mod config;
mod declare;
mod explain;
mod link;
mod probe;
mod publish;
mod routing;
mod session;
mod stream;
mod values;
mod window;

use std::{
    cell::RefCell,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jackfield_plugin_api::{
    Backend, Batch, Call, DeletesData, Deletion, DeletionRequest, Diagnoses, Error, Host, Outcome, Outcomes,
    Probe, plugin,
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    time::timeout,
};

use crate::{
    config::{Config, Settings},
    explain::Trouble,
    link::Link,
    publish::{Report, Task},
    session::{Session, drop_records_of_this_thread, without_records},
    window::Budget,
};

/// How long the orderly close of a probe's connection may take.
const GOODBYE: Duration = Duration::from_millis(100);

/// How often a call that waits for its connection checks whether the host still waits for the call.
const GLANCE: Duration = Duration::from_millis(50);

struct RabbitMq {
    settings: Arc<Settings>,
    budget: Budget,
    link: Link,
    /// The connection. It is `None` before the first call and after `close`.
    runtime: Mutex<Option<Runtime>>,
}

impl RabbitMq {
    fn runtime(&self) -> MutexGuard<'_, Option<Runtime>> {
        // A panic can't leave it half-changed: it is only set or taken.
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runtime. Its one thread drives sockets and timers; the calls' own threads do the rest.
    fn handle(&self) -> std::io::Result<Handle> {
        let mut runtime = self.runtime();
        if let Some(runtime) = &*runtime {
            return Ok(runtime.handle().clone());
        }
        let made = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("jackfield-amqp")
            // A thread that has resolved a name ends at once.
            .thread_keep_alive(Duration::from_millis(100))
            .on_thread_start(drop_records_of_this_thread)
            .enable_io()
            .enable_time()
            .build()?;
        Ok(runtime.insert(made).handle().clone())
    }

    /// Sends a batch and reports the outcome of each event. The error means that nothing could be sent.
    fn publish(&self, batch: &Batch<'_>, call: &Call<'_>, report: Report<'_>) -> Result<(), Outcome> {
        let deadline = deadline(call);
        let handle = self.handle().map_err(|error| Outcome::retry(format!("no runtime: {error}")))?;
        let cancelled = || Outcome::retry("the call was cancelled before there was a connection");
        let session =
            handle.block_on(unless_cancelled(call, self.link.session(deadline))).ok_or_else(cancelled)??;
        if let Some(reason) = session.blocked() {
            return Err(Outcome::retry(format!("blocked by the broker: {reason}")));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let channel = handle
            .block_on(unless_cancelled(call, async {
                timeout(left, session.channel(&self.settings.topology)).await
            }))
            .ok_or_else(cancelled)?
            .map_err(|_| Outcome::retry(no_channel(&session)))??;
        let task = Task { batch, call, deadline, report };
        without_records(|| publish::publish(&self.settings, &self.budget, &session, channel, task));
        Ok(())
    }

    /// Makes a connection of its own, and says what answered and what was found.
    fn try_out(&self, call: &Call<'_>) -> Result<String, Trouble> {
        let deadline = deadline(call);
        let handle = self.handle().map_err(|error| Trouble::new(format!("no runtime: {error}")))?;
        without_records(|| {
            handle.block_on(async {
                let session = unless_cancelled(call, self.link.separate(deadline))
                    .await
                    .unwrap_or_else(|| Err(Trouble::new("the call was cancelled".to_owned())))?;
                let found = probe::probe(&self.settings, &session, deadline, || call.is_cancelled()).await;
                let address = session.address().to_string();
                // lapin may apply this limit twice, so a third of the time is safe.
                session.close(GOODBYE.min(call.remaining() / 3)).await;
                let found = found?;
                Ok(if found.is_empty() { address } else { format!("{address}: {found}") })
            })
        })
    }

    /// The destination of events, for people.
    fn destination(&self) -> String {
        let exchange = self.settings.exchange.as_str();
        match self.settings.routing_key.as_constant() {
            Some(queue) if exchange.is_empty() => format!("queue `{queue}`"),
            _ if exchange.is_empty() => "the queue".to_owned(),
            _ => format!("what exchange `{exchange}` routes"),
        }
    }
}

/// Runs `work`; `None` when the host has stopped waiting for the call. Cancelled work leaves nothing behind.
async fn unless_cancelled<T>(call: &Call<'_>, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    while !call.is_cancelled() {
        if let Ok(done) = timeout(GLANCE, work.as_mut()).await {
            return Some(done);
        }
    }
    None
}

/// The reason when a channel was not opened in time. The connection to a broker that is not blocked and opens no
/// channel is ended.
fn no_channel(session: &Session) -> String {
    if let Some(reason) = session.blocked() {
        return format!("blocked by the broker: {reason}");
    }
    session.kill();
    format!("{} did not answer in time when a channel was opened or something declared", session.address())
}

/// The time at which a call has to answer, a little before its deadline.
fn deadline(call: &Call<'_>) -> Instant {
    let left = call.remaining();
    Instant::now()
        + left.saturating_sub((left / 10).clamp(Duration::from_millis(5), Duration::from_millis(200)))
}

impl Backend for RabbitMq {
    type Config = Config;

    fn open(config: Config, host: Host, _call: &Call<'_>) -> Result<Self, Error> {
        let settings = Arc::new(config.check()?);
        let product = match host.tool_name() {
            "" => ("Jackfield", env!("CARGO_PKG_VERSION")),
            name => (name, host.tool_version()),
        };
        let budget = Budget::new(settings.window);
        Ok(Self {
            link: Link::new(Arc::clone(&settings), product),
            budget,
            settings,
            runtime: Mutex::new(None),
        })
    }

    fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        if batch.is_empty() {
            return Outcomes::Reported;
        }
        match self.publish(batch, call, &|events, outcome| call.report(events, outcome)) {
            Ok(()) => Outcomes::Reported,
            Err(outcome) => outcome.into(),
        }
    }

    fn close(&self, call: &Call<'_>) -> Result<(), Error> {
        let Some(runtime) = self.runtime().take() else { return Ok(()) };
        let patience = deadline(call).saturating_duration_since(Instant::now());
        runtime.block_on(self.link.close(patience / 2));
        // Only the resolution of a name may still be running; it can't be stopped.
        runtime.shutdown_timeout(patience / 4);
        Ok(())
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        // After a panic the host does not call `close`.
        let runtime = self.runtime().take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl DeletesData for RabbitMq {
    fn request_deletion(&self, request: &DeletionRequest<'_>, call: &Call<'_>) -> Deletion {
        let told = RefCell::new(Outcome::retry("the broker gave no outcome"));
        let sent = self.publish(request.event(), call, &|_, outcome| *told.borrow_mut() = outcome.clone());
        let outcome = sent.err().unwrap_or_else(|| told.into_inner());
        Deletion::from_outcome(outcome, || {
            format!(
                "an event of the type data.deletion_request was published and confirmed; it is a request, and whoever \
                 consumes {} has to act on it",
                self.destination()
            )
        })
    }
}

impl Diagnoses for RabbitMq {
    fn preview(
        &self,
        batch: &Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        call: &Call<'_>,
    ) -> Result<(), Error> {
        publish::preview(&self.settings, batch, sink, call);
        Ok(())
    }

    fn probe(&self, call: &Call<'_>) -> Probe {
        match self.try_out(call) {
            Ok(text) => Probe::Reachable(text),
            Err(Trouble { why, refused: true }) => Probe::Refused(why),
            Err(Trouble { why, refused: false }) => Probe::Unreachable(why),
        }
    }
}

plugin! {
    backend: RabbitMq,
    name: "rabbitmq",
    vendor: "Jackfield",
    description: "events published to RabbitMQ, each confirmed by the broker",
    offers: [deletion, diagnostics],
    config_schema: include_str!("../config.schema.json"),
}
