//! Delivers a batch: one request for each body, and outcomes from the answers.

use std::{borrow::Cow, ops::Range, time::Duration};

use jackfield_plugin_api::{Call, Outcome, Outcomes};

use crate::{
    bodies::Bodies,
    client::{Answer, Answered, Client, NoAnswer},
    deadline::Deadline,
    entries::Entry,
    platform::Platform,
    request::Request,
    status::{StatusTable, Verdict},
};

impl Client {
    /// Sends `entries` in as many requests as the platform's limits require, one after the other, and reports the
    /// outcome of each as soon as it is known. The caller reports the events of the batch that have no entry.
    ///
    /// A retry outcome ends the batch: the rest of the batch gets the same outcome and is not sent, so a platform that
    /// is busy or away gets no further requests.
    pub fn deliver<'e>(
        &self,
        request: &Request,
        platform: &impl Platform,
        entries: impl IntoIterator<Item = Entry<'e>>,
        call: &Call<'_>,
    ) -> Outcomes {
        let entries: Vec<Entry<'e>> = entries.into_iter().collect();
        let delivery = Delivery {
            client: self,
            request,
            platform,
            bodies: Bodies::new(platform, &entries),
            call,
            deadline: Deadline::new(call),
        };
        delivery.run();
        Outcomes::Reported
    }

    /// Sends one request with this body, and returns the outcome by the status of its answer. It is for requests that
    /// are not a batch of events. [`Verdict::Split`] counts as rejected.
    pub fn request(
        &self,
        request: &Request,
        body: Vec<u8>,
        statuses: &StatusTable,
        call: &Call<'_>,
    ) -> Outcome {
        let deadline = Deadline::new(call);
        match self.send(request, body, &deadline) {
            Err(no_answer) => no_answer.outcome(),
            Ok(answered) => {
                let verdict = statuses.verdict(answered.status);
                self.refusal(request, verdict, answered, &deadline).unwrap_or(Outcome::Delivered)
            }
        }
    }

    /// The outcome by a verdict that is not [`Verdict::Accepted`], with the status and the beginning of the body as the
    /// reason.
    pub(crate) fn refusal(
        &self,
        request: &Request,
        verdict: Verdict,
        answered: Answered<'_>,
        deadline: &Deadline<'_>,
    ) -> Option<Outcome> {
        let (status, after) = (answered.status, answered.retry_after);
        let body = self.read(answered, false, deadline);
        let reason = || Cow::Owned(status_line(request, status, &body.bytes));
        match verdict {
            Verdict::Accepted => None,
            Verdict::Retry => Some(Outcome::Retry { after, reason: reason() }),
            Verdict::Rejected | Verdict::Split => Some(Outcome::Rejected { reason: reason() }),
        }
    }
}

/// `HOST answers 503 Service Unavailable: what the body says`, in one line.
pub(crate) fn status_line(request: &Request, status: u16, body: &[u8]) -> String {
    let host = request.endpoint.host();
    let name = reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let name = name.map(|name| format!(" {name}")).unwrap_or_default();
    let said = request.clean(&String::from_utf8_lossy(body));
    // The first line of an HTML page says less than the status.
    if said.is_empty() || said.starts_with('<') {
        return format!("{host} answers {status}{name}");
    }
    format!("{host} answers {status}{name}: {said}")
}

/// The delivery of one batch.
struct Delivery<'a, P> {
    client: &'a Client,
    request: &'a Request,
    platform: &'a P,
    bodies: Bodies<'a, P>,
    call: &'a Call<'a>,
    deadline: Deadline<'a>,
}

/// The result of one part.
enum Sent {
    /// The outcome was reported.
    Done,
    /// The part has to be halved.
    TooLarge(String),
    /// The part and the rest of the batch have to be tried again.
    Stop { after: Option<Duration>, reason: Cow<'static, str> },
}

impl<P: Platform> Delivery<'_, P> {
    fn run(&self) {
        let mut next = 0;
        // The halves of a part that was too large, the first half at the end of the list.
        let mut halves: Vec<Range<usize>> = Vec::new();
        loop {
            let part = match halves.pop() {
                Some(half) => half,
                None if next == self.bodies.entries.len() => return,
                None => match self.bodies.next(next) {
                    Ok(part) => {
                        next = part.end;
                        part
                    }
                    Err(too_large) => {
                        self.report(next..next + 1, &Outcome::rejected(too_large));
                        next += 1;
                        continue;
                    }
                },
            };
            match self.send(part.clone()) {
                Sent::Done => {}
                Sent::TooLarge(reason) if part.len() == 1 => {
                    self.report(part, &Outcome::rejected(reason));
                }
                Sent::TooLarge(_) => {
                    let middle = part.start + part.len() / 2;
                    halves.extend([middle..part.end, part.start..middle]);
                }
                Sent::Stop { after, reason } => {
                    // The halves and the rest follow one another and end where the entries end.
                    self.report(part.start..self.bodies.entries.len(), &Outcome::Retry { after, reason });
                    return;
                }
            }
        }
    }

    fn send(&self, part: Range<usize>) -> Sent {
        if self.deadline.has_passed() {
            let reason = "there was no time left to send it".into();
            return Sent::Stop { after: None, reason };
        }
        let entries = &self.bodies.entries[part.clone()];
        let body = self.bodies.body(part.clone());
        let answered = match self.client.send(self.request, body, &self.deadline) {
            Ok(answered) => answered,
            Err(NoAnswer { reason, for_good: false }) => {
                return Sent::Stop { after: None, reason: reason.into() };
            }
            Err(NoAnswer { reason, for_good: true }) => {
                self.report(part, &Outcome::rejected(reason));
                return Sent::Done;
            }
        };
        let status = answered.status;
        let verdict = self.platform.statuses().verdict(status);
        match verdict {
            Verdict::Accepted if self.platform.needs_body() => {
                let body = self.client.read(answered, true, &self.deadline);
                let answer = Answer { status, body: &body.bytes, complete: body.complete };
                self.judge(part, self.platform.accepted(entries, &answer))
            }
            Verdict::Accepted => {
                self.report(part, &Outcome::Delivered);
                // Only so that the connection can be used again.
                self.client.read(answered, false, &self.deadline);
                Sent::Done
            }
            refused => match self.client.refusal(self.request, refused, answered, &self.deadline) {
                Some(Outcome::Retry { after, reason }) => Sent::Stop { after, reason },
                Some(Outcome::Rejected { reason }) if refused == Verdict::Split => {
                    Sent::TooLarge(reason.into_owned())
                }
                Some(outcome) => {
                    self.report(part, &outcome);
                    Sent::Done
                }
                None => Sent::Done,
            },
        }
    }

    /// Reports the outcomes that the platform read in the answer.
    fn judge(&self, part: Range<usize>, outcomes: Outcomes) -> Sent {
        match outcomes {
            Outcomes::All(Outcome::Retry { after, reason }) => {
                return Sent::Stop { after, reason: self.request.clean(&reason).into() };
            }
            Outcomes::All(outcome) => self.report(part, &self.clean(outcome)),
            Outcomes::Each(outcomes) => {
                let outcomes = outcomes.into_iter().chain(std::iter::repeat(Outcome::Delivered));
                for (at, outcome) in part.zip(outcomes) {
                    self.report(at..at + 1, &self.clean(outcome));
                }
            }
            Outcomes::Reported => self.report(part, &Outcome::Delivered),
        }
        Sent::Done
    }

    fn clean(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Delivered => Outcome::Delivered,
            Outcome::Retry { after, reason } => {
                Outcome::Retry { after, reason: self.request.clean(&reason).into() }
            }
            Outcome::Rejected { reason } => Outcome::rejected(self.request.clean(&reason)),
            Outcome::TooLarge { reason } => Outcome::too_large(self.request.clean(&reason)),
        }
    }

    /// Reports the outcome of entries; neighbours in the batch become one report.
    fn report(&self, entries: Range<usize>, outcome: &Outcome) {
        for run in self.bodies.entries[entries].chunk_by(|a, b| a.event + 1 == b.event) {
            self.call.report(run[0].event..run[0].event + run.len(), outcome);
        }
    }
}
