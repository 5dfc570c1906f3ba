//! Publishing a batch on one channel, a window of events at a time, each event's outcome told as its confirm arrives.
//!
//! An event that can't be routed comes back before it is acknowledged, and lapin attaches what came back to the next
//! acknowledgement that it processes, whichever event that is for. So what came back is known by its message id. An
//! acknowledgement without a message says that, by then, every message that had come back was attached to another one;
//! since those have been seen too ([`Window::poll_woken`]), the event is delivered. Once a message was attached to
//! anything, more may be on their way to acknowledgements to come, so outcomes are kept back, and nothing is published,
//! until all that is under way is acknowledged.

use std::{
    cell::Cell,
    collections::HashSet,
    ops::Range,
    time::{Duration, Instant},
};

use jackfield_plugin_api::{Batch, Call, Event, Outcome};
use lapin::{BasicProperties, Channel, Confirmation, options::BasicPublishOptions, types::ShortString};

use crate::{
    budget::Budget,
    config::Settings,
    explain::{explain, is_aftermath, is_not_found, is_too_large},
    session::Session,
    window::Window,
};

/// How often a call that waits asks whether anybody still waits for it.
const GLANCE: Duration = Duration::from_millis(50);
/// How often a call that has nothing under way asks for room.
const ROOM: Duration = Duration::from_millis(1);
/// How long the rest of the confirms may take to fail after the first has.
const AFTERMATH: Duration = Duration::from_millis(250);

const PERSISTENT: u8 = 2;

/// Who is told what became of events.
pub(crate) type Report<'a> = &'a dyn Fn(Range<usize>, &Outcome);

/// What a call asks for.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) batch: &'a Batch<'a>,
    pub(crate) call: &'a Call<'a>,
    pub(crate) deadline: Instant,
    pub(crate) report: Report<'a>,
}

/// Publishes every event of the task's batch and reports what became of each, by the deadline at the latest.
pub(crate) fn publish(
    settings: &Settings,
    budget: &Budget,
    session: &Session,
    channel: Channel,
    task: Task<'_>,
) {
    let Task { batch, report, .. } = task;
    let unwritten = Cell::new(0);
    let mut run = Run {
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
                // Others have all the room: no confirm is late.
                run.last_confirm = Instant::now();
            }
            if let Some(why) = run.time_is_up() {
                break Some(why);
            }
            let glance = if window.is_empty() { ROOM } else { GLANCE };
            window.wait(glance.min(run.patience()));
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
        // A broker that takes nothing, or confirms nothing, gets a new connection.
        session.note_end(&format!("{} did not confirm in time", session.address()));
        session.kill();
    }
}

/// One event, from its frames to its confirm.
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
    // A text that AMQP has no room for is left out: the JSON has it.
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

/// Hands `sink` the messages of a batch, as [`publish`] would publish them.
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

struct Run<'a> {
    settings: &'a Settings,
    session: &'a Session,
    task: Task<'a>,
    /// Acknowledged, and not yet known not to have come back.
    kept_back: Vec<usize>,
    /// The message ids of what came back; `None` is that of messages without one.
    returned: HashSet<Option<ShortString>>,
    /// Delivered, and not yet told.
    delivered: Vec<usize>,
    /// What went wrong with the channel. Nothing is published after it.
    failed: Option<Failed>,
    /// The events that it went wrong for.
    lost: Vec<usize>,
    any_returned: bool,
    confirms: usize,
    last_confirm: Instant,
}

/// What ended a channel. Of all the errors that this brings, the one that says most.
struct Failed {
    outcome: Outcome,
    /// Whether the error is what the broker said, and not only that something is no more.
    said: bool,
    since: Instant,
}

impl Run<'_> {
    fn may_publish(&self) -> bool {
        self.failed.is_none() && self.returned.is_empty()
    }

    /// Notes the end of one event's journey. What it means is seen in `tell`, when all that has ended is known.
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
                    self.session.note_end(&why);
                    let outcome =
                        if is_too_large(&error) { Outcome::too_large(why) } else { Outcome::retry(why) };
                    let since = self.failed.as_ref().map_or_else(Instant::now, |failed| failed.since);
                    self.failed = Some(Failed { outcome, said, since });
                }
            }
        }
    }

    /// Tells the outcomes that are sure. `all` says that nothing is under way.
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

    /// How long it may go on as things are.
    fn patience(&self) -> Duration {
        let mut end = self.task.deadline;
        if let Some(timeout) = self.settings.confirm_timeout {
            end = end.min(self.last_confirm + timeout);
        }
        if let Some(failed) = &self.failed {
            end = end.min(failed.since + AFTERMATH);
        }
        end.saturating_duration_since(Instant::now())
    }

    /// Why it is time to stop waiting, if it is.
    fn time_is_up(&self) -> Option<String> {
        if self.task.call.is_cancelled() {
            return Some("the call was cancelled before the broker confirmed it".to_owned());
        }
        if !self.patience().is_zero() {
            return None;
        }
        Some(match self.session.blocked() {
            Some(reason) => format!("blocked by the broker: {reason}"),
            None => format!("{} did not confirm it in time", self.session.address()),
        })
    }

    /// Tells the rest: events under way, those kept back, and those from `next` that were never published.
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
