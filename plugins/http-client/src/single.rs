//! A request with one outcome for all of its entries.

use jackfield_plugin_api::{Call, Outcome, Outcomes};

use crate::{
    client::{Answer, Client},
    deadline::Deadline,
    entries::Entry,
    platform::Platform,
    request::Request,
    status::Verdict,
};

impl Client {
    /// Sends all of `entries` in one request, whatever the platform's limits are, and returns its outcome. It is for
    /// events that are not from a batch, such as a request for deletion. It reports nothing to the call.
    /// [`Verdict::Split`] counts as rejected. If the outcomes differ, the first that is not [`Outcome::Delivered`]
    /// counts.
    pub fn deliver_once(
        &self,
        request: &Request,
        platform: &impl Platform,
        entries: &[Entry<'_>],
        call: &Call<'_>,
    ) -> Outcome {
        let deadline = Deadline::new(call);
        let mut body = Vec::new();
        platform.frame(entries, &mut body);
        let answered = match self.send(request, body, &deadline) {
            Ok(answered) => answered,
            Err(no_answer) => return no_answer.outcome(),
        };
        let status = answered.status;
        let verdict = platform.statuses().verdict(status);
        if verdict != Verdict::Accepted || !platform.needs_body() {
            return self.refusal(request, verdict, answered, &deadline).unwrap_or(Outcome::Delivered);
        }
        let body = self.read(answered, true, &deadline);
        let answer = Answer { status, body: &body.bytes, complete: body.complete };
        let outcome = match platform.accepted(entries, &answer) {
            Outcomes::All(outcome) => outcome,
            Outcomes::Each(each) => {
                each.into_iter().find(|outcome| *outcome != Outcome::Delivered).unwrap_or(Outcome::Delivered)
            }
            Outcomes::Reported => Outcome::Delivered,
        };
        match outcome {
            Outcome::Delivered => Outcome::Delivered,
            Outcome::Retry { after, reason } => {
                Outcome::Retry { after, reason: request.clean(&reason).into() }
            }
            Outcome::Rejected { reason } => Outcome::rejected(request.clean(&reason)),
            Outcome::TooLarge { reason } => Outcome::too_large(request.clean(&reason)),
        }
    }
}
