//! Delivers a batch: one request for each body, and outcomes from the answers.

use std::{
    borrow::Cow,
    ops::Range,
    time::{Duration, Instant},
};

use jackfield_plugin_api::Outcome;
use jackfield_plugin_tokio::Call;

use crate::{
    client::{Answer, Answered, Client},
    deadline::Deadline,
    entries::{Entries, Entry, Limits, next_part},
    failure::NEEDS_TLS,
    platform::Platform,
    request::Request,
    status::StatusMeaning,
};

/// The bodies of one batch.
pub(crate) struct Bodies<'a, P: Platform> {
    platform: &'a P,
    limits: Limits,
    shared: &'a P::Shared,
    pub(crate) entries: Vec<Entry<'a>>,
}

impl<'a, P: Platform> Bodies<'a, P> {
    pub(crate) fn new(platform: &'a P, entries: &'a Entries<P::Shared>) -> Self {
        let (limits, shared) = (platform.limits(), &entries.shared);
        Self { platform, limits, shared, entries: entries.iter().collect() }
    }

    /// The entries from `start` (which is not the end) that make the next body, or the reason why the entry at `start`
    /// is too large for any body.
    pub(crate) fn next(&self, start: usize) -> Result<Range<usize>, String> {
        let overhead = |count| self.platform.overhead(self.shared, count);
        let sizes = self.entries[start..].iter().map(|entry| entry.bytes.len());
        let count = next_part(sizes, &self.limits, overhead);
        if count > 0 {
            return Ok(start..start + count);
        }
        let most = self.limits.entry_bytes.min(self.limits.body_bytes.saturating_sub(overhead(1)));
        let size = self.entries[start].bytes.len();
        Err(format!("the event is {size} bytes as sent; the limit is {most}"))
    }

    /// The body of these entries.
    pub(crate) fn body(&self, part: Range<usize>) -> Vec<u8> {
        let entries = &self.entries[part];
        let bytes: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
        let mut body = Vec::with_capacity(bytes + self.platform.overhead(self.shared, entries.len()));
        self.platform.frame(self.shared, entries, &mut body);
        body
    }
}

impl Client {
    /// Sends one request with this body, and returns the outcome by the status of its answer. It is for requests that
    /// are not a batch of events.
    pub(crate) async fn request(&self, request: &Request, body: Vec<u8>, call: &Call<'_>) -> Outcome {
        let deadline = Deadline::new(call, self.timeout);
        match self.send(request, body, &deadline).await {
            Err(outcome) => outcome,
            Ok(answered) => self.outcome_by_status(request, answered, &deadline).await,
        }
    }

    /// The outcome by the status alone, with the status and the beginning of the body as the reason.
    /// [`Outcome::TooLarge`] stands for all content that has to be halved.
    async fn outcome_by_status(
        &self,
        request: &Request,
        answered: Answered,
        deadline: &Deadline<'_>,
    ) -> Outcome {
        let (status, after) = (answered.status, answered.retry_after);
        let body = self.read(answered, false, deadline).await;
        let (meaning, said) = understand(request, status, &body.bytes);
        let reason = Cow::Owned(said);
        match meaning {
            StatusMeaning::Accepted => Outcome::Delivered,
            StatusMeaning::WrongContent | StatusMeaning::TooLarge => Outcome::TooLarge { reason },
            StatusMeaning::Busy => Outcome::Retry { after, reason },
            StatusMeaning::RefusesCredentials
            | StatusMeaning::TakesNothing
            | StatusMeaning::NeedsTls
            | StatusMeaning::Refused => {
                Outcome::Retry { after: after.max(Some(Outcome::REFUSED_PAUSE)), reason }
            }
        }
    }
}

/// The meaning of an answer, and the answer in one line.
pub(crate) fn understand(request: &Request, status: u16, body: &[u8]) -> (StatusMeaning, String) {
    let meaning = StatusMeaning::of_answer(status, body, request.endpoint.is_https());
    let mut said = status_line(request, status, body);
    if meaning == StatusMeaning::NeedsTls {
        said.push_str(NEEDS_TLS);
    }
    (meaning, said)
}

/// `HOST answers 503 Service Unavailable: what the body says`, in one line.
pub(crate) fn status_line(request: &Request, status: u16, body: &[u8]) -> String {
    let host = request.endpoint.host();
    let name = reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let name = name.map(|name| format!(" {name}")).unwrap_or_default();
    let said = String::from_utf8_lossy(body);
    // The first line of an HTML page says less than the status.
    if said.trim_start().starts_with('<') {
        return format!("{host} answers {status}{name}");
    }
    let said = request.clean(&said);
    let colon = if said.is_empty() { "" } else { ": " };
    format!("{host} answers {status}{name}{colon}{said}")
}

/// The delivery of one batch.
pub(crate) struct Delivery<'a, P: Platform> {
    pub(crate) client: &'a Client,
    pub(crate) request: &'a Request,
    pub(crate) platform: &'a P,
    /// The receiver of outcomes, for events by their place in the batch.
    pub(crate) report: &'a dyn Fn(Range<usize>, &Outcome),
    pub(crate) deadline: Deadline<'a>,
}

impl<P: Platform> Delivery<'_, P> {
    /// Sends the entries in as many requests as the platform's limits require, one after the other, and reports the
    /// outcome of each event as soon as it is known.
    ///
    /// A retry outcome ends the batch: the rest of the batch gets the same outcome and is not sent, so a platform that
    /// is busy or away gets no further requests.
    ///
    /// When the call's time does not suffice for further halves of wrong content, the rest of the batch is too large
    /// for one call, and the host sends its halves by calls with deadlines of their own.
    pub(crate) async fn run(&self, entries: &Entries<P::Shared>) {
        for (event, reason) in &entries.failed {
            (self.report)(*event..*event + 1, &Outcome::rejected(reason.clone()));
        }
        let bodies = Bodies::new(self.platform, entries);
        let mut next = 0;
        // The halves of parts with wrong content, the first half at the end of the list, and what was said of a part.
        let mut halves: Vec<Range<usize>> = Vec::new();
        let mut wrong = Outcome::Delivered;
        let mut slowest = Duration::ZERO;
        loop {
            let part = match halves.pop() {
                // An answer may take a little longer than those before. What is not sent can't arrive twice.
                Some(half) if self.deadline.left() < slowest * 2 => {
                    return self.report(&bodies.entries[half.start..], &wrong);
                }
                Some(half) => half,
                None if next == bodies.entries.len() => return,
                None => match bodies.next(next) {
                    Ok(part) => {
                        next = part.end;
                        part
                    }
                    Err(too_large) => {
                        self.report(&bodies.entries[next..=next], &Outcome::rejected(too_large));
                        next += 1;
                        continue;
                    }
                },
            };
            let entries = &bodies.entries[part.clone()];
            let started = Instant::now();
            let (outcome, unread) = self.send(entries.len(), bodies.body(part.clone())).await;
            slowest = slowest.max(started.elapsed());
            match outcome {
                Outcome::TooLarge { .. } if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    halves.extend([middle..part.end, part.start..middle]);
                    wrong = outcome;
                }
                Outcome::TooLarge { reason } => self.report(entries, &Outcome::Rejected { reason }),
                Outcome::Retry { .. } => {
                    // The halves and the rest follow one another and end where the entries end.
                    return self.report(&bodies.entries[part.start..], &outcome);
                }
                outcome => self.report(entries, &outcome),
            }
            if let Some(answered) = unread {
                // The connection can be used again only after its body was read.
                self.client.read(answered, false, &self.deadline).await;
            }
        }
    }

    /// Sends a body, and returns its outcome, and the answer if its body says nothing about the outcome.
    async fn send(&self, entries: usize, body: Vec<u8>) -> (Outcome, Option<Answered>) {
        if self.deadline.has_passed() {
            return (Outcome::retry("there was no time left to send it"), None);
        }
        let answered = match self.client.send(self.request, body, &self.deadline).await {
            Ok(answered) => answered,
            Err(outcome) => return (outcome, None),
        };
        let status = answered.status;
        match StatusMeaning::of(status) {
            StatusMeaning::Accepted if !P::READS_BODY => (Outcome::Delivered, Some(answered)),
            StatusMeaning::Accepted => {
                let body = self.client.read(answered, true, &self.deadline).await;
                let answer = Answer {
                    request: self.request,
                    entries,
                    status,
                    body: &body.bytes,
                    complete: body.complete,
                };
                (self.platform.accepted(&answer), None)
            }
            _ => (self.client.outcome_by_status(self.request, answered, &self.deadline).await, None),
        }
    }

    /// Reports the outcome of entries; neighbours in the batch become one report.
    fn report(&self, entries: &[Entry<'_>], outcome: &Outcome) {
        for run in entries.chunk_by(|a, b| a.event + 1 == b.event) {
            (self.report)(run[0].event..run[0].event + run.len(), outcome);
        }
    }
}
