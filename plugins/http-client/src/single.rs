//! A request with one outcome for all of its entries.

use jackfield_plugin_api::{
    Call, Event, Outcome, Outcomes,
    deletion::{Deletion, DeletionRequest},
};

use crate::{
    client::{Answer, Client},
    deadline::Deadline,
    entries::Entry,
    platform::Platform,
    request::Request,
    status::Verdict,
};

impl Client {
    /// Sends a deletion request to a platform that has no API for it: sends the event of the request, which `encode` appends
    /// to a buffer. `owner` completes the sentence "it is a request: the owner of that …".
    pub fn send_deletion_event(
        &self,
        (request, platform): (&Request, &impl Platform),
        deletion: &DeletionRequest<'_>,
        encode: impl FnOnce(Event<'_>, &mut Vec<u8>) -> Result<(), String>,
        owner: &str,
        call: &Call<'_>,
    ) -> Deletion {
        let Some(event) = deletion.event().get(0) else {
            return Deletion::Failed("the host gave no event to ask with".to_owned());
        };
        let mut bytes = Vec::new();
        if let Err(reason) = encode(event, &mut bytes) {
            return Deletion::Failed(reason);
        }
        let outcome = self.deliver_once(request, platform, &[Entry { event: 0, bytes: &bytes }], call);
        Deletion::from_outcome(outcome, || {
            let (host, kind) = (request.endpoint().host(), event.kind());
            format!("{host} has taken the event {kind}; it is a request: the owner of that {owner}")
        })
    }

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
