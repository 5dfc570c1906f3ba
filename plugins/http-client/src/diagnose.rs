//! `preview` and `probe`: what would be sent, and whether the server would accept it.

use jackfield_plugin_api::{Call, Outcome, Outcomes, Probe};
use reqwest::header;

use crate::{
    bodies::Bodies,
    client::{Answer, Client},
    deadline::Deadline,
    deliver::status_line,
    entries::Entry,
    platform::Platform,
    request::Request,
    secret::scrub,
    status::Verdict,
};

impl Request {
    /// Gives `sink` the bodies that [`Client::deliver`] would send for `entries`, each before compression. An entry
    /// over the platform's limits is reported as rejected, as there. The halves of a body that the server finds too
    /// large are not shown.
    pub fn preview<'e>(
        &self,
        platform: &impl Platform,
        entries: impl IntoIterator<Item = Entry<'e>>,
        sink: &mut dyn FnMut(&str, &[u8]),
        call: &Call<'_>,
    ) {
        let entries: Vec<Entry<'e>> = entries.into_iter().collect();
        let (bodies, label) = (Bodies::new(platform, &entries), self.label());
        let mut next = 0;
        while next < entries.len() && !call.is_cancelled() {
            match bodies.next(next) {
                Ok(part) => {
                    next = part.end;
                    sink(&label, &bodies.body(part));
                }
                Err(too_large) => {
                    let event = entries[next].event;
                    call.report(event..event + 1, &Outcome::rejected(too_large));
                    next += 1;
                }
            }
        }
    }

    /// `POST https://host/path (application/json; shown before gzip)`, without query and credentials.
    fn label(&self) -> String {
        let form = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let packed = if self.gzip { "; shown before gzip" } else { "" };
        let label =
            format!("{} {} ({}{packed})", self.method, self.endpoint, form.unwrap_or("no content type"));
        scrub(&label, &self.secrets)
    }
}

impl Client {
    /// Sends a body without entries, which delivers nothing, and finds out from the answer whether the platform would
    /// accept events:
    ///
    /// | what happens | found |
    /// | --- | --- |
    /// | a status that the platform accepts, with a body that [it accepts](Platform::accepted), too | reachable |
    /// | a status that only says that [there are no events](Platform::dislikes_empty) in the body | reachable |
    /// | a status that the platform accepts, with a body that says otherwise | refused or unreachable, as it says rejected or retry |
    /// | 401, 403 | refused: the credentials |
    /// | 404, 405, 407, 408, 410, 425, 429 | unreachable: there is nothing that takes events, or not now |
    /// | any other 4xx | refused |
    /// | any other status, such as 500, and redirects that are not followed | unreachable |
    /// | no answer | unreachable |
    pub fn probe(&self, request: &Request, platform: &impl Platform, call: &Call<'_>) -> Probe {
        let deadline = Deadline::new(call);
        let mut body = Vec::new();
        platform.frame(&[], &mut body);
        let answered = match self.send(request, body, &deadline) {
            Ok(answered) => answered,
            Err(no_answer) => return Probe::Unreachable(no_answer.reason),
        };
        let status = answered.status;
        let accepted = platform.statuses().verdict(status) == Verdict::Accepted;
        let body = self.read(answered, accepted && platform.needs_body(), &deadline);
        let said = status_line(request, status, &body.bytes);
        if accepted {
            let answer = Answer { status, body: &body.bytes, complete: body.complete };
            let outcome = match platform.needs_body().then(|| platform.accepted(&[], &answer)) {
                Some(Outcomes::All(outcome)) => outcome,
                _ => Outcome::Delivered,
            };
            return match outcome {
                Outcome::Delivered => Probe::Reachable(status_line(request, status, &[])),
                Outcome::Retry { reason, .. } => Probe::Unreachable(request.clean(&reason)),
                Outcome::Rejected { reason } | Outcome::TooLarge { reason } => {
                    Probe::Refused(request.clean(&reason))
                }
            };
        }
        match status {
            401 | 403 => Probe::Refused(format!("{said}; the credentials are wrong or may not send events")),
            400..=499 if platform.dislikes_empty(status) => {
                Probe::Reachable(format!("{said}; that is for a request without events"))
            }
            404 | 405 | 407 | 408 | 410 | 425 | 429 => Probe::Unreachable(said),
            400..=499 => Probe::Refused(said),
            _ => Probe::Unreachable(said),
        }
    }
}
