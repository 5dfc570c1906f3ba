//! The backend of a [`Platform`].

use std::{cell::RefCell, ops::Range, time::Duration};

use jackfield_plugin_api::{Batch, Deletion, DeletionRequest, Error, Host, Outcome, Outcomes, Probe};
use jackfield_plugin_tokio::{AsyncBackend, AsyncDeletesData, AsyncDiagnoses, Call, Runtimes, Tokio};
use reqwest::header;
use tokio::runtime::Builder;

use crate::{
    client::{Answer, Client},
    deadline::Deadline,
    delivery::{Bodies, Delivery, status_line, understand},
    platform::{DeletionBy, Platform},
    request::Request,
    status::StatusMeaning,
};

/// A backend that sends events to a platform over HTTP. A plugin exports it with the capabilities `deletion` and
/// `diagnostics`.
pub type HttpBackend<P> = Tokio<Http<P>>;

/// [`HttpBackend`] as async functions.
pub struct Http<P> {
    client: Client,
    request: Request,
    platform: P,
}

impl<P: Platform> Http<P> {
    async fn deliver(&self, batch: &Batch<'_>, call: &Call<'_>, report: &dyn Fn(Range<usize>, &Outcome)) {
        let Self { client, request, platform } = self;
        let deadline = Deadline::new(call, client.timeout);
        Delivery { client, request, platform, report, deadline }.run(&platform.encode(batch)).await;
    }

    /// `POST https://host/path (application/json; shown before gzip)`, without query and credentials.
    fn label(&self) -> String {
        let Request { method, endpoint, headers, gzip, secrets, .. } = &self.request;
        let form = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let packed = if *gzip { "; shown before gzip" } else { "" };
        // The path may have a credential in it.
        let endpoint = secrets.clean(&endpoint.to_string());
        format!("{method} {endpoint} ({}{packed})", form.unwrap_or("no content type"))
    }
}

impl<P: Platform> AsyncBackend for Http<P> {
    type Config = P::Config;
    const RUNTIMES: Runtimes = Runtimes::PerCall;

    /// Only names are resolved on a thread, which ends soon after.
    fn configure(runtime: &mut Builder) {
        runtime
            .thread_name("jackfield-dns")
            .thread_keep_alive(Duration::from_secs(1))
            .max_blocking_threads(1);
    }

    async fn open(config: P::Config, _host: Host, call: &Call<'_>) -> Result<Self, Error> {
        let (platform, request, connection) = P::open(config)?;
        let client = Client::open(&connection, &request.endpoint, P::USER_AGENT, P::NOT_HTTP)?;
        client.of_runtime(call).map_err(Error::unavailable)?;
        request.warn_if_exposed();
        Ok(Self { request: client.conceal(request), client, platform })
    }

    async fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        self.deliver(batch, call, &|events, outcome| call.report(events, outcome)).await;
        Outcomes::Reported
    }
}

impl<P: Platform> AsyncDeletesData for Http<P> {
    async fn request_deletion(&self, request: &DeletionRequest<'_>, call: &Call<'_>) -> Deletion {
        match self.platform.deletion(request.machine_id()) {
            DeletionBy::Nothing(why) => Deletion::Unsupported(why.to_owned()),
            DeletionBy::Request(request, body) => {
                let request = &self.client.conceal(request.clone());
                let outcome = self.client.request(request, body, call).await;
                let host = request.endpoint.host();
                Deletion::from_outcome(outcome, || format!("{host} has taken the request"))
            }
            DeletionBy::Event(who_acts) => {
                let told = RefCell::new(Outcome::retry("the host gave no event to ask with"));
                let report = |_, outcome: &Outcome| *told.borrow_mut() = outcome.clone();
                self.deliver(request.event(), call, &report).await;
                let host = self.request.endpoint.host();
                Deletion::from_outcome(told.into_inner(), || {
                    format!("{host} has taken the event data.deletion_request; it is a request: {who_acts}")
                })
            }
        }
    }
}

impl<P: Platform> AsyncDiagnoses for Http<P> {
    /// Shows the bodies that `send` would send, each before compression. The halves of a body that the server finds
    /// too large are not shown.
    async fn preview(
        &self,
        batch: &Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        call: &Call<'_>,
    ) -> Result<(), Error> {
        let entries = self.platform.encode(batch);
        let reject =
            |event, reason: &str| call.report(event..event + 1, &Outcome::rejected(reason.to_owned()));
        for (event, reason) in &entries.failed {
            reject(*event, reason);
        }
        let (bodies, label) = (Bodies::new(&self.platform, &entries), self.label());
        let mut next = 0;
        while next < bodies.entries.len() && !call.is_cancelled() {
            match bodies.next(next) {
                Ok(part) => {
                    next = part.end;
                    sink(&label, &bodies.body(part));
                }
                Err(too_large) => {
                    reject(bodies.entries[next].event, &too_large);
                    next += 1;
                }
            }
        }
        Ok(())
    }

    /// Sends a body without entries, which delivers nothing, and finds out from the answer whether the platform would
    /// accept events:
    ///
    /// | what happens | found |
    /// | --- | --- |
    /// | a status of success, with a body that [the platform accepts](Platform::accepted), too | reachable |
    /// | a status of success, with a body that says otherwise | refused or unreachable, as it says rejected or retry |
    /// | a status for wrong content, of a platform that [refuses empty bodies](Platform::refuses_empty) | reachable |
    /// | a status by which the platform refuses the credentials, the content or the request | refused |
    /// | a status by which the platform is busy, or nothing takes events at this address | unreachable |
    /// | no answer | unreachable |
    ///
    /// `status.rs` has the statuses.
    async fn probe(&self, call: &Call<'_>) -> Probe {
        let Self { client, request, platform } = self;
        let deadline = Deadline::new(call, client.timeout);
        let nothing = platform.encode(&Batch::empty());
        let body = Bodies::new(platform, &nothing).body(0..0);
        let answered = match client.send(request, body, &deadline).await {
            Ok(answered) => answered,
            Err(outcome) => return Probe::Unreachable(outcome.reason().to_owned()),
        };
        let status = answered.status;
        let accepted = StatusMeaning::of(status) == StatusMeaning::Accepted;
        let body = client.read(answered, accepted && P::READS_BODY, &deadline).await;
        let (meaning, said) = understand(request, status, &body.bytes);
        match meaning {
            StatusMeaning::Accepted => {
                let answer =
                    Answer { request, entries: 0, status, body: &body.bytes, complete: body.complete };
                match platform.accepted(&answer) {
                    Outcome::Delivered => Probe::Reachable(status_line(request, status, &[])),
                    Outcome::Retry { reason, .. } => Probe::Unreachable(reason.into_owned()),
                    Outcome::Rejected { reason } | Outcome::TooLarge { reason } => {
                        Probe::Refused(reason.into_owned())
                    }
                }
            }
            StatusMeaning::WrongContent if platform.refuses_empty() => {
                Probe::Reachable(format!("{said}; that is for a request without events"))
            }
            StatusMeaning::RefusesCredentials => {
                Probe::Refused(format!("{said}; the credentials are wrong or may not send events"))
            }
            StatusMeaning::WrongContent | StatusMeaning::TooLarge | StatusMeaning::Refused => {
                Probe::Refused(said)
            }
            StatusMeaning::Busy | StatusMeaning::TakesNothing | StatusMeaning::NeedsTls => {
                Probe::Unreachable(said)
            }
        }
    }
}
