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

use std::{cell::RefCell, sync::Arc, time::Duration};

use jackfield_plugin_api::{Batch, Deletion, DeletionRequest, Error, Host, Outcome, Outcomes, Probe, plugin};
use jackfield_plugin_tokio::{AsyncBackend, AsyncDeletesData, AsyncDiagnoses, Call, Tokio};
use tokio::runtime::Builder;

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

struct RabbitMq {
    settings: Arc<Settings>,
    budget: Budget,
    link: Link,
}

impl RabbitMq {
    /// Sends a batch and reports the outcome of each event. The error means that nothing could be sent.
    async fn publish(&self, batch: &Batch<'_>, call: &Call<'_>, report: Report<'_>) -> Result<(), Outcome> {
        let session = self.link.session(call).await?;
        if let Some(reason) = session.blocked() {
            return Err(Outcome::retry(format!("blocked by the broker: {reason}")));
        }
        let channel = call
            .run_until_cancelled(session.channel(&self.settings.topology))
            .await
            .ok_or_else(|| Outcome::retry(no_channel(&session, call)))??;
        let task = Task { batch, call, report };
        without_records(publish::publish(&self.settings, &self.budget, &session, channel, task)).await;
        Ok(())
    }

    /// Makes a connection of its own, and says what answered and what was found.
    async fn try_out(&self, call: &Call<'_>) -> Result<String, Trouble> {
        let session = self.link.separate(call).await?;
        let found = probe::probe(&self.settings, &session, call).await;
        let address = session.address().to_string();
        // A call that is cancelled has no time left to wait, and the drop ends the connection.
        if !call.is_cancelled() {
            // lapin may apply this limit twice, so a third of the time is safe.
            session.close(GOODBYE.min(call.remaining() / 3)).await;
        }
        let found = found?;
        Ok(if found.is_empty() { address } else { format!("{address}: {found}") })
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

/// The reason when a channel was not opened in time. The connection to a broker that is not blocked and opens no
/// channel is ended.
fn no_channel(session: &Session, call: &Call<'_>) -> String {
    if !call.remaining().is_zero() {
        return "the call was cancelled before there was a channel".to_owned();
    }
    if let Some(reason) = session.blocked() {
        return format!("blocked by the broker: {reason}");
    }
    session.kill();
    format!("{} did not answer in time when a channel was opened or something declared", session.address())
}

impl AsyncBackend for RabbitMq {
    type Config = Config;

    fn configure(runtime: &mut Builder) {
        runtime.thread_name("jackfield-amqp").on_thread_start(drop_records_of_this_thread);
    }

    async fn open(config: Config, host: Host, _call: &Call<'_>) -> Result<Self, Error> {
        let settings = Arc::new(config.check()?);
        let product = match host.tool_name() {
            "" => ("Jackfield", env!("CARGO_PKG_VERSION")),
            name => (name, host.tool_version()),
        };
        let budget = Budget::new(settings.window);
        Ok(Self { link: Link::new(Arc::clone(&settings), product), budget, settings })
    }

    async fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        if batch.is_empty() {
            return Outcomes::Reported;
        }
        match self.publish(batch, call, &|events, outcome| call.report(events, outcome)).await {
            Ok(()) => Outcomes::Reported,
            Err(outcome) => outcome.into(),
        }
    }

    async fn close(&self, call: &Call<'_>) -> Result<(), Error> {
        // The steps of a close may take this time each.
        self.link.close(call.remaining() / 3).await;
        Ok(())
    }
}

impl AsyncDeletesData for RabbitMq {
    async fn request_deletion(&self, request: &DeletionRequest<'_>, call: &Call<'_>) -> Deletion {
        let told = RefCell::new(Outcome::retry("the broker gave no outcome"));
        let report = |_, outcome: &Outcome| *told.borrow_mut() = outcome.clone();
        let sent = self.publish(request.event(), call, &report).await;
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

impl AsyncDiagnoses for RabbitMq {
    async fn preview(
        &self,
        batch: &Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        call: &Call<'_>,
    ) -> Result<(), Error> {
        publish::preview(&self.settings, batch, sink, call);
        Ok(())
    }

    async fn probe(&self, call: &Call<'_>) -> Probe {
        match without_records(self.try_out(call)).await {
            Ok(text) => Probe::Reachable(text),
            Err(Trouble { why, refused: true }) => Probe::Refused(why),
            Err(Trouble { why, refused: false }) => Probe::Unreachable(why),
        }
    }
}

plugin! {
    backend: Tokio<RabbitMq>,
    name: "rabbitmq",
    vendor: "Jackfield",
    description: "events published to RabbitMQ, each confirmed by the broker",
    offers: [deletion, diagnostics],
    config_schema: include_str!("../config.schema.json"),
}
