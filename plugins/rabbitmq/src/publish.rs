//! Publishes a batch on one channel, a window of events at a time, and reports each event's outcome when its confirm
//! arrives.
//!
//! An event that can't be routed is returned before it is acknowledged. lapin attaches a returned message to the next
//! acknowledgement that it processes, whichever event that acknowledges. Therefore the message id tells which event was
//! returned. An acknowledgement without a message means that every message returned until then was attached to another
//! acknowledgement; those have been read, too ([`Window::poll_woken`]), so the event is delivered. Once a message was
//! attached to any acknowledgement, more may follow with later ones. Then outcomes are kept back, and nothing is
//! published, until every published event is acknowledged.

use std::{
    cell::Cell,
    collections::HashSet,
    future::{Future, poll_fn},
    ops::Range,
    pin::{Pin, pin},
    task::Poll,
    time::{Duration, Instant},
};

use jackfield_plugin_api::{Batch, Event, Outcome};
use jackfield_plugin_tokio::Call;
use lapin::{BasicProperties, Channel, Confirmation, options::BasicPublishOptions, types::ShortString};
use tokio::time::{Sleep, sleep};

use crate::{
    config::Settings,
    explain::{explain, is_aftermath, is_not_found, outcome},
    session::Session,
    window::{Budget, Window},
};

/// How often a waiting call checks what no event tells it: the limit of one confirm, and the end of a failed channel.
const GLANCE: Duration = Duration::from_millis(50);
/// How often a call without unconfirmed events asks for room.
const ROOM: Duration = Duration::from_millis(1);
/// How long the rest of the confirms may take to fail after the first has.
const AFTERMATH: Duration = Duration::from_millis(250);

const PERSISTENT: u8 = 2;

/// The receiver of outcomes.
pub(crate) type Report<'a> = &'a dyn Fn(Range<usize>, &Outcome);

/// The task of a call.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) batch: &'a Batch<'a>,
    pub(crate) call: &'a Call<'a>,
    pub(crate) report: Report<'a>,
}

/// Publishes every event of the task's batch and reports the outcome of each, when the call is cancelled at the latest.
pub(crate) async fn publish(
    settings: &Settings,
    budget: &Budget,
    session: &Session,
    channel: Channel,
    task: Task<'_>,
) {
    let Task { batch, report, .. } = task;
    let unwritten = Cell::new(0);
    let mut run = Publication {
        settings,
        session,
        task,
        kept_back: Vec::new(),
        returned: HashSet::new(),
        delivered: Vec::new(),
        failed: None,
        lost: Vec::new(),
        any_returned: false,
        confirms: 0,
        last_confirm: Instant::now(),
    };
    let mut window = Window::new();
    let mut tick = pin!(sleep(GLANCE.min(run.patience())));
    let mut cancelled = pin!(task.call.cancelled());
    let mut share = budget.share();
    let mut next = 0;
    let rest = loop {
        let mut has_room = true;
        while next < batch.len() && run.may_publish() {
            has_room = share.take();
            if !has_room {
                break;
            }
            let Some(event) = batch.get(next) else { break };
            match settings.routing_key.of(&event) {
                Err(why) => report(next..next + 1, &Outcome::rejected(why)),
                Ok(key) => {
                    if window.is_empty() {
                        run.last_confirm = Instant::now();
                    }
                    let properties = properties(settings, &event);
                    let sending = send(&channel, settings, event.json(), key, properties, &unwritten);
                    if let Some(done) = window.start(next, sending) {
                        run.note(next, done);
                    }
                }
            }
            share.keep(window.len());
            next += 1;
        }
        window.poll_woken(|event, done| run.note(event, done));
        share.keep(window.len());
        run.tell(window.is_empty());
        if window.is_empty() && (next == batch.len() || run.failed.is_some()) {
            break None;
        }
        if !has_room || next == batch.len() || !run.may_publish() {
            if window.is_empty() {
                // Other calls use all the room, so no confirm is late.
                run.last_confirm = Instant::now();
            }
            if let Some(why) = run.time_is_up() {
                break Some(why);
            }
            let glance = if window.is_empty() { ROOM } else { GLANCE };
            set(tick.as_mut(), Instant::now() + glance.min(run.patience()));
            poll_fn(|context| {
                let over = cancelled.as_mut().poll(context).is_ready();
                let any = window.poll_any(context).is_ready();
                if over || any || tick.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                Poll::Pending
            })
            .await;
        }
    };
    let unsure = window.len();
    run.give_up(window.numbers(), next, rest.as_deref());
    drop(window);
    let (any_returned, silent, failed) = (run.any_returned, run.confirms == 0, run.failed.is_some());
    if any_returned {
        session.note_stale();
    }
    if failed {
        // The broker has closed the channel, if not the connection.
    } else if unsure == 0 {
        session.put_back(channel);
    } else if session.blocked().is_some() {
        if unwritten.get() > 0 {
            session.park(channel);
        }
    } else if silent || unwritten.get() > 0 {
        // If a broker accepts nothing or confirms nothing, the connection is replaced.
        session.kill();
    }
}

/// Sets a timer that has fired, or that would fire later. A change wakes the thread of the runtime, so one that fires earlier
/// stays as it is.
fn set(tick: Pin<&mut Sleep>, at: Instant) {
    let at = at.into();
    if tick.is_elapsed() || at < tick.deadline() {
        tick.reset(at);
    }
}

/// Publishes one event and waits for its confirm.
async fn send(
    channel: &Channel,
    settings: &Settings,
    json: &str,
    key: ShortString,
    properties: BasicProperties,
    unwritten: &Cell<usize>,
) -> lapin::Result<Confirmation> {
    unwritten.set(unwritten.get() + 1);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm =
        channel.basic_publish(settings.exchange.clone(), key, options, json.as_bytes(), properties).await?;
    unwritten.set(unwritten.get() - 1);
    confirm.await
}

fn properties(settings: &Settings, event: &Event<'_>) -> BasicProperties {
    let mut properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT);
    // A text that is too long for AMQP is left out; the JSON has it.
    if let Some(id) = filled(event.id()) {
        properties = properties.with_message_id(id);
    }
    if let Some(kind) = filled(event.kind()) {
        properties = properties.with_type(kind);
    }
    if let Some(app_id) = settings.app_id.clone().or_else(|| filled(event.tool_name())) {
        properties = properties.with_app_id(app_id);
    }
    if let Some(seconds) =
        u64::try_from(event.time_unix_nanos() / 1_000_000_000).ok().filter(|&seconds| seconds > 0)
    {
        properties = properties.with_timestamp(seconds);
    }
    properties
}

fn filled(text: &str) -> Option<ShortString> {
    if text.is_empty() { None } else { ShortString::try_new(text).ok() }
}

/// Gives `sink` the messages of a batch in the form in which [`publish`] would publish them.
pub(crate) fn preview(
    settings: &Settings,
    batch: &Batch<'_>,
    sink: &mut dyn FnMut(&str, &[u8]),
    call: &Call<'_>,
) {
    for (at, event) in batch.iter().enumerate() {
        match settings.routing_key.of(&event) {
            Err(why) => call.report(at..at + 1, &Outcome::rejected(why)),
            Ok(key) => {
                let exchange = settings.exchange.as_str();
                sink(
                    &format!("publish to exchange \"{exchange}\", routing key \"{key}\" (application/json)"),
                    event.json().as_bytes(),
                );
            }
        }
    }
}

struct Publication<'a> {
    settings: &'a Settings,
    session: &'a Session,
    task: Task<'a>,
    /// Events that are acknowledged but may still be returned.
    kept_back: Vec<usize>,
    /// The ids of the returned messages; `None` stands for messages without an id.
    returned: HashSet<Option<ShortString>>,
    /// Delivered events that are not yet reported.
    delivered: Vec<usize>,
    /// The failure of the channel. Nothing is published after it.
    failed: Option<Failed>,
    /// The events of the failure.
    lost: Vec<usize>,
    any_returned: bool,
    confirms: usize,
    last_confirm: Instant,
}

/// The failure that ended a channel: of all its errors, the one that says most.
struct Failed {
    outcome: Outcome,
    /// Whether the error has the broker's reason, and not only the fact that the channel has ended.
    said: bool,
    since: Instant,
}

impl Publication<'_> {
    fn may_publish(&self) -> bool {
        self.failed.is_none() && self.returned.is_empty()
    }

    /// Stores the result of one event. `tell` decides what it means, when all finished events are known.
    fn note(&mut self, event: usize, done: lapin::Result<Confirmation>) {
        match done {
            Ok(confirmation) => {
                self.confirms += 1;
                self.last_confirm = Instant::now();
                let acknowledged = confirmation.is_ack();
                if let Some(message) = confirmation.take_message() {
                    self.any_returned = true;
                    self.returned.insert(message.delivery.properties.message_id().clone());
                }
                if acknowledged {
                    self.kept_back.push(event);
                } else {
                    let why = "refused by the broker (nack): the queue is full, or could not store it";
                    (self.task.report)(event..event + 1, &Outcome::retry(why));
                }
            }
            Err(error) => {
                if is_not_found(&error) {
                    self.session.note_stale();
                }
                self.lost.push(event);
                let said = error.is_amqp_error() && !is_aftermath(&error);
                if self.failed.as_ref().is_none_or(|failed| said && !failed.said) {
                    let why = explain(&error, self.session.address());
                    let since = self.failed.as_ref().map_or_else(Instant::now, |failed| failed.since);
                    self.failed = Some(Failed { outcome: outcome(&error, why), said, since });
                }
            }
        }
    }

    /// Reports the certain outcomes. `all` means that no event is unconfirmed.
    fn tell(&mut self, all: bool) {
        if self.confirms > 0 && !self.session.has_confirmed() {
            self.session.note_confirmed();
        }
        if self.returned.is_empty() {
            self.delivered.append(&mut self.kept_back);
        } else if all {
            for event in std::mem::take(&mut self.kept_back) {
                match self.came_back(event) {
                    Some(outcome) => (self.task.report)(event..event + 1, &outcome),
                    None => self.delivered.push(event),
                }
            }
            self.returned.clear();
        }
        self.delivered.sort_unstable();
        for run in self.delivered.chunk_by(|a, b| a + 1 == *b) {
            (self.task.report)(run[0]..run[0] + run.len(), &Outcome::Delivered);
        }
        self.delivered.clear();
    }

    fn came_back(&self, event: usize) -> Option<Outcome> {
        let event = self.task.batch.get(event)?;
        if !self.returned.contains(&filled(event.id())) {
            return None;
        }
        let key = self.settings.routing_key.of(&event).unwrap_or_default();
        let exchange = self.settings.exchange.as_str();
        Some(Outcome::retry(if exchange.is_empty() {
            format!("unroutable: no queue is named `{key}`")
        } else {
            format!("unroutable: no queue is bound to exchange `{exchange}` for routing key `{key}`")
        }))
    }

    /// How long the call may wait in the present state.
    fn patience(&self) -> Duration {
        let mut end = self.task.call.deadline();
        if let Some(timeout) = self.settings.confirm_timeout {
            end = end.min(self.last_confirm + timeout);
        }
        if let Some(failed) = &self.failed {
            end = end.min(failed.since + AFTERMATH);
        }
        end.saturating_duration_since(Instant::now())
    }

    /// The reason to stop waiting, if there is one.
    fn time_is_up(&self) -> Option<String> {
        if !self.patience().is_zero() {
            let cancelled = self.task.call.is_cancelled();
            return cancelled.then(|| "the call was cancelled before the broker confirmed it".to_owned());
        }
        Some(match self.session.blocked() {
            Some(reason) => format!("blocked by the broker: {reason}"),
            None => format!("{} did not confirm it in time", self.session.address()),
        })
    }

    /// Reports the rest: unconfirmed events, those kept back, and those from `next` on that were never published.
    fn give_up(&mut self, under_way: impl Iterator<Item = usize>, next: usize, why: Option<&str>) {
        let outcome = match (&self.failed, why) {
            (Some(failed), _) => failed.outcome.clone(),
            (None, Some(why)) => Outcome::retry(why.to_owned()),
            (None, None) => return,
        };
        for event in under_way.chain(std::mem::take(&mut self.lost)) {
            (self.task.report)(event..event + 1, &outcome);
        }
        for event in std::mem::take(&mut self.kept_back) {
            let outcome = self.came_back(event).unwrap_or_else(|| outcome.clone());
            (self.task.report)(event..event + 1, &outcome);
        }
        (self.task.report)(next..self.task.batch.len(), &outcome);
    }
}
