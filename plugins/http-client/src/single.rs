//! One request that is judged as a whole.

use jackfield_plugin_api::{Call, Outcome, Outcomes};

use crate::{
    Answer, Client, Entry, Platform, Request, Verdict,
    client::{Deadline, Head},
    deliver::failed,
};

impl Client {
    /// Sends all of `entries` in one request, whatever the platform's limits are, and says what became of it: for what has
    /// to go to the platform as events and is none of a batch, such as a request for deletion. Nothing is reported.
    /// [`Verdict::Split`] counts as rejected. Of different outcomes the first that is not [`Outcome::Delivered`] counts.
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
            Head::Failed { reason, for_good } => return failed(reason, for_good),
            Head::Answered(answered) => answered,
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
