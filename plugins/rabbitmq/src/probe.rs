//! Finds out whether the broker would accept events, without delivering any. It uses a connection of its own, so the
//! login is really tried and no running call is disturbed.
//!
//! The exchange and the queue are declared passively. Then a message is published in a transaction that is rolled back:
//! the broker checks the permission when it receives the message, and would route it at the commit, which never comes.
//! If the routing key has fields of the event, there is no key to try, and no transaction is made.

use std::{pin::pin, time::Duration};

use jackfield_plugin_tokio::Call;
use lapin::{
    BasicProperties, Channel, ExchangeKind,
    options::{BasicPublishOptions, ExchangeDeclareOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};
use tokio::time::timeout;

use crate::{
    config::Settings,
    explain::{Trouble, is_not_found},
    session::Session,
};

/// How often the probe checks whether the broker has blocked the connection.
const GLANCE: Duration = Duration::from_millis(50);

/// The parts that are in order, in a few words, or why events would not be delivered.
pub(crate) async fn probe(
    settings: &Settings,
    session: &Session,
    call: &Call<'_>,
) -> Result<String, Trouble> {
    let mut work = pin!(check(settings, session));
    loop {
        if let Some(reason) = session.blocked() {
            return Err(Trouble::new(format!("blocked by the broker: {reason}")));
        }
        match call.run_until_cancelled(timeout(GLANCE, work.as_mut())).await {
            Some(Ok(found)) => return found,
            Some(Err(_)) => {}
            None => return Err(Trouble::new(format!("{} did not answer in time", session.address()))),
        }
    }
}

async fn check(settings: &Settings, session: &Session) -> Result<String, Trouble> {
    let mut found = Vec::new();
    let exchange = &settings.exchange;
    let mut all_there = true;
    if !exchange.as_str().is_empty() {
        let declared = settings.topology.exchange.as_ref().is_some_and(|(_, kind, _)| kind.is_some());
        let there = look(session, declared, async |channel| {
            let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            let kind = ExchangeKind::default();
            channel.exchange_declare(exchange.clone(), kind, options, FieldTable::default()).await
        });
        let there = there.await?;
        found.push(state("exchange", exchange, there));
        all_there &= there;
    }
    if let Some((queue, declared)) = queue(settings) {
        let there = look(session, declared, async |channel| {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(queue.clone(), options, FieldTable::default()).await.map(drop)
        });
        let there = there.await?;
        found.push(state("queue", &queue, there));
    }
    if let Some(key) = settings.routing_key.as_constant().filter(|_| all_there) {
        let rolled_back = async {
            let channel = session.fresh_channel().await?;
            channel.tx_select().await?;
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            channel.basic_publish(exchange.clone(), key.clone(), options, b"", properties).await?;
            channel.tx_rollback().await?;
            channel.close(200, "OK".into()).await
        };
        rolled_back.await.map_err(|error| Trouble::of(&error, session.address()))?;
        found.push("the user may publish".to_owned());
    }
    Ok(found.join(", "))
}

/// The queue of the events, if it is known, and whether it would be declared.
fn queue(settings: &Settings) -> Option<(ShortString, bool)> {
    if let Some((name, passive, _)) = &settings.topology.queue {
        return Some((name.clone(), !passive));
    }
    // The default exchange routes an event to the queue that its key names.
    let default = settings.exchange.as_str().is_empty();
    let key = settings.routing_key.as_constant().filter(|key| default && !key.as_str().is_empty())?;
    Some((key.clone(), false))
}

fn state(what: &str, name: &ShortString, there: bool) -> String {
    if there {
        format!("{what} `{name}` is there")
    } else {
        format!("{what} `{name}` is not there yet, and the first events declare it")
    }
}

/// Whether an exchange or a queue exists. A missing one is no failure when it would be `declared`.
async fn look(
    session: &Session,
    declared: bool,
    ask: impl AsyncFnOnce(&Channel) -> lapin::Result<()>,
) -> Result<bool, Trouble> {
    let asked = async {
        // Uses a channel of its own: the broker closes a channel on which something is not found.
        let channel = session.fresh_channel().await?;
        ask(&channel).await?;
        channel.close(200, "OK".into()).await
    };
    match asked.await {
        Ok(()) => Ok(true),
        Err(error) if declared && is_not_found(&error) => Ok(false),
        Err(error) => Err(Trouble::of(&error, session.address())),
    }
}
