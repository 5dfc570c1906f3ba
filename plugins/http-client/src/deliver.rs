//! Entries into bodies, bodies into answers, answers into outcomes.

use std::{borrow::Cow, ops::Range, time::Duration};

use jackfield_plugin_api::{Call, Outcome, Outcomes};

use crate::{
    Answer, Client, Entry, Limits, Request, StatusTable, Verdict,
    bodies::Bodies,
    client::{Answered, NoAnswer},
    deadline::Deadline,
};

/// What tells one platform from another.
///
/// What is left at its default makes a platform that takes a JSON array and says everything by the status.
pub trait Platform: Sync {
    /// What each status means.
    fn statuses(&self) -> &StatusTable;

    /// What goes into one request.
    fn limits(&self) -> Limits;

    /// Bytes that a body of so many entries has beside them, at most.
    fn overhead(&self, entries: usize) -> usize {
        2 + entries.saturating_sub(1)
    }

    /// Appends the body that carries `part` to `body`, which is empty.
    fn frame(&self, part: &[Entry<'_>], body: &mut Vec<u8>) {
        json_array(part, body);
    }

    /// Whether [`accepted`](Self::accepted) reads the body of an answer. If not, events count as delivered as soon as the
    /// head of the answer says so, whatever becomes of its body.
    fn needs_body(&self) -> bool {
        false
    }

    /// Whether `status`, in answer to a [probe](Client::probe), only says that there are no events in the body: the platform
    /// has read the request, and would have refused credentials that it does not know by another status.
    fn dislikes_empty(&self, status: u16) -> bool {
        let _ = status;
        false
    }

    /// What became of `part` after a status that means [`Verdict::Accepted`]: the same for all, or one outcome for each
    /// entry (an entry past the end of the list counts as delivered). Reasons are scrubbed of the request's secrets.
    ///
    /// Called with an incomplete body, too, when that is all that came before the deadline. The status has said yes by then,
    /// so that a platform without deduplication rather takes it for delivered. `part` is empty in a probe.
    fn accepted(&self, part: &[Entry<'_>], answer: &Answer<'_>) -> Outcomes {
        let _ = (part, answer);
        Outcome::Delivered.into()
    }
}

/// Appends `[a,b,c]` to `body`: the entries, each of which is JSON, as an array.
pub fn json_array(part: &[Entry<'_>], body: &mut Vec<u8>) {
    body.push(b'[');
    for (at, entry) in part.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(entry.bytes);
    }
    body.push(b']');
}

impl Client {
    /// Sends `entries` in as many requests as the platform's limits make of them, one after the other, and reports what
    /// becomes of each as soon as it is known. Events of the batch without an entry are left to the caller.
    ///
    /// A request that is to be tried again ends the batch: what is left of it has the same outcome, unsent, so that a
    /// platform that is busy or away is not knocked at again and again.
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

    /// Sends one request with this body, and says what its answer's status means: for what is no batch of events.
    /// [`Verdict::Split`] counts as rejected.
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
    // A page for people says less in its first line than the status does.
    if said.is_empty() || said.starts_with('<') {
        return format!("{host} answers {status}{name}");
    }
    format!("{host} answers {status}{name}: {said}")
}

/// One batch on its way.
struct Delivery<'a, P> {
    client: &'a Client,
    request: &'a Request,
    platform: &'a P,
    bodies: Bodies<'a, P>,
    call: &'a Call<'a>,
    deadline: Deadline<'a>,
}

/// What came of one part.
enum Sent {
    /// It is reported.
    Done,
    /// It is to be halved.
    TooLarge(String),
    /// It and all that is left is to be tried again.
    Stop { after: Option<Duration>, reason: Cow<'static, str> },
}

impl<P: Platform> Delivery<'_, P> {
    fn run(&self) {
        let mut next = 0;
        // Halves of what was too large, the first one last.
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
                    // Halves and the rest are neighbours, and end where the entries end.
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
                // For the connection's sake alone.
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

    /// Reports what the platform read in the answer.
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

    /// Reports on entries, neighbours in the batch together.
    fn report(&self, entries: Range<usize>, outcome: &Outcome) {
        for run in self.bodies.entries[entries].chunk_by(|a, b| a.event + 1 == b.event) {
            self.call.report(run[0].event..run[0].event + run.len(), outcome);
        }
    }
}
