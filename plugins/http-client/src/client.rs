//! The client: one request at a time for each call, within a deadline.

use std::{
    future::Future,
    io::Write as _,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use jackfield_plugin_api::{Error, Outcome};
use jackfield_plugin_tokio::Call;
use reqwest::{
    Response,
    header::{self, HeaderValue},
};
use serde_json::{Map, Value};

use crate::{
    connection::{Connection, Way},
    deadline::Deadline,
    endpoint::Endpoint,
    failure::{NEEDS_TLS, condense, describe, is_closed, is_not_http},
    request::Request,
    status::retry_after,
};

/// Redirects that one request follows.
const MOST_REDIRECTS: usize = 3;
/// How long to wait for the body of an answer when the status alone decides. A connection can be used again only when
/// the body was read to its end.
const GRACE: Duration = Duration::from_millis(500);
/// The status for a body whose type or compression the server does not know.
const UNSUPPORTED_FORM: u16 = 415;
/// Bytes of an answer's body that are read at most; the connection of a longer body is closed.
const RESPONSE_BYTES: usize = 1 << 20;

/// An HTTP/1.1 client that uses its connections again. Each runtime has a connection of its own, which the calls on that
/// runtime drive: calls that shared one would wait for each other.
pub(crate) struct Client {
    tls: jackfield_tls::rustls::ClientConfig,
    way: Way,
    pub(crate) timeout: Option<Duration>,
    user_agent: &'static str,
    not_http: &'static str,
    /// Whether the server has refused a compressed body and taken the same one without compression.
    refuses_gzip: AtomicBool,
}

/// An answer, with the part of the body that came with the head.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    body: Body,
    /// The source of the rest of the body; `None` when there is no rest.
    rest: Option<Response>,
}

/// An answer of success, as a [platform](crate::Platform) gets it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The request.
    pub request: &'a Request,
    /// How many entries the request has; 0 in a probe.
    pub entries: usize,
    /// Status, which is one of success.
    pub status: u16,
    /// Body, up to 1 MiB.
    pub body: &'a [u8],
    /// Whether `body` is complete. It is not when it is larger than the limit, was cut off, or did not come in time.
    pub complete: bool,
}

impl Answer<'_> {
    /// The outcome of events whose answer is not the one of `platform`, as when a login page or a proxy has answered
    /// in its place. The events wait.
    #[must_use]
    pub fn is_not_of(&self, platform: &str) -> Outcome {
        let said = String::from_utf8_lossy(self.body);
        let is_page = said.trim_start().starts_with('<');
        let said = if is_page { "a web page".to_owned() } else { format!("`{}`", self.request.clean(&said)) };
        let host = self.request.endpoint.host();
        Outcome::refused(format!(
            "{host} answers {} with {said}, which is no answer of {platform}; is the address right?",
            self.status
        ))
    }
}

/// The body of an answer, which is a JSON object or blank; `None` when it is neither.
#[must_use]
pub fn json_object(body: &[u8]) -> Option<Map<String, Value>> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Some(Map::new());
    }
    serde_json::from_slice(body).ok()
}

/// The received part of a body.
#[derive(Default)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) complete: bool,
}

impl Body {
    /// Reads on to the end of the body, or to the limit.
    async fn read(&mut self, response: &mut Response) {
        while let Ok(chunk) = response.chunk().await {
            let Some(chunk) = chunk else {
                self.complete = true;
                return;
            };
            let room = RESPONSE_BYTES - self.bytes.len();
            self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                return;
            }
        }
    }
}

impl Client {
    /// Makes a client without connections. `not_http` is a hint for the error of an answer that is not HTTP.
    ///
    /// # Errors
    /// [`Error::config`] under `tls.` for certificates that can't be used, and for a `proxy` or a `unix_socket` that makes
    /// no sense.
    pub(crate) fn open(
        connection: &Connection,
        endpoint: &Endpoint,
        user_agent: &'static str,
        not_http: &'static str,
    ) -> Result<Self, Error> {
        Ok(Self {
            tls: connection.tls.client_config()?,
            way: Way::open(connection, endpoint)?,
            timeout: connection.timeout,
            user_agent,
            not_http,
            refuses_gzip: AtomicBool::new(false),
        })
    }

    /// The request, of which no message repeats the credentials of the proxy either.
    pub(crate) fn conceal(&self, mut request: Request) -> Request {
        for credential in self.way.credentials(&request.endpoint) {
            request.secrets.add(&credential);
        }
        request
    }

    /// The client of the call's runtime, made at the first use.
    pub(crate) fn of_runtime(&self, call: &Call<'_>) -> Result<reqwest::Client, String> {
        call.of_runtime(|| self.make())
    }

    fn make(&self) -> Result<reqwest::Client, String> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .user_agent(self.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .pool_max_idle_per_host(1);
        let client = self.way.set(client).build();
        client.map_err(|error| format!("no HTTP client: {}", describe(&error, condense)))
    }

    /// Sends one request, and returns the head of its answer, or the outcome of a request without a usable answer.
    ///
    /// A compressed body that the server refuses for its form (415) is sent once more without compression. If the
    /// server takes it then, no further body is compressed.
    pub(crate) async fn send(
        &self,
        request: &Request,
        body: Vec<u8>,
        deadline: &Deadline<'_>,
    ) -> Result<Answered, Outcome> {
        let body = Bytes::from(body);
        if !request.gzip || self.refuses_gzip.load(Ordering::Relaxed) {
            return self.send_as(request, &body, false, deadline).await;
        }
        let packed = gzip(&body)
            .map_err(|error| Outcome::retry(format!("{}: gzip: {error}", request.endpoint.host())))?;
        let answered = self.send_as(request, &Bytes::from(packed), true, deadline).await?;
        if answered.status != UNSUPPORTED_FORM {
            return Ok(answered);
        }
        self.read(answered, false, deadline).await;
        let answered = self.send_as(request, &body, false, deadline).await?;
        if answered.status != UNSUPPORTED_FORM {
            tracing::info!(
                "{} refuses compressed bodies; they are sent without compression from now on",
                request.endpoint.host()
            );
            self.refuses_gzip.store(true, Ordering::Relaxed);
        }
        Ok(answered)
    }

    /// Sends one request with a body that is compressed, or not.
    async fn send_as(
        &self,
        request: &Request,
        body: &Bytes,
        is_gzip: bool,
        deadline: &Deadline<'_>,
    ) -> Result<Answered, Outcome> {
        let host = request.endpoint.host();
        let failed = |why: String| Outcome::retry(format!("{host}: {why}"));
        let client = self.of_runtime(deadline.call).map_err(failed)?;
        notice_closed_connections().await;
        let exchange = self.exchange(&client, request, body, is_gzip);
        let Some(exchanged) = deadline.limit(deadline.at, exchange).await else {
            return Err(failed(deadline.missed()));
        };
        let (mut response, mut body) = (exchanged?, Body::default());
        let retry_after = header_text(&response, header::RETRY_AFTER)
            .and_then(|value| retry_after(value, SystemTime::now()));
        let status = response.status().as_u16();
        // For most platforms the whole body has come with the head.
        let all = {
            let mut reading = pin!(body.read(&mut response));
            std::future::poll_fn(|context| Poll::Ready(reading.as_mut().poll(context).is_ready())).await
        };
        Ok(Answered { status, retry_after, body, rest: (!all).then_some(response) })
    }

    /// Sends the request and follows redirects, up to the head of the answer.
    async fn exchange(
        &self,
        client: &reqwest::Client,
        request: &Request,
        body: &Bytes,
        is_gzip: bool,
    ) -> Result<Response, Outcome> {
        let mut endpoint: Endpoint = request.endpoint.clone();
        for _ in 0..=MOST_REDIRECTS {
            let host = endpoint.host();
            if let Some(reason) = self.way.refusal(&endpoint) {
                return Err(Outcome::refused(format!("{host}: nothing is sent, because {reason}")));
            }
            let mut sent = reqwest::Request::new(request.method.clone(), endpoint.url().clone());
            sent.headers_mut().clone_from(&request.headers);
            if is_gzip {
                sent.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            *sent.body_mut() = Some(body.clone().into());
            let response = match client.execute(sent).await {
                Ok(response) => response,
                Err(error) => {
                    let by = if error.is_connect() { self.way.shown(&endpoint) } else { String::new() };
                    let nonsense = is_not_http(&error);
                    let hint = if nonsense { self.not_http } else { "" };
                    let plain = !endpoint.is_https() && (nonsense || is_closed(&error));
                    let tls = if plain { NEEDS_TLS } else { "" };
                    let why = describe(&error, |text| request.clean(text));
                    return Err(Outcome::retry(format!("{host}{by}: {why}{tls}{hint}")));
                }
            };
            let status = response.status().as_u16();
            let redirects = matches!(status, 301 | 302 | 307 | 308);
            let Some(location) = header_text(&response, header::LOCATION).filter(|_| redirects) else {
                return Ok(response);
            };
            endpoint = endpoint.redirected(location).map_err(|other| {
                Outcome::refused(format!(
                    "{host} redirects ({status}) to {}, which is not followed; if it is right, configure its URL",
                    request.clean(&other)
                ))
            })?;
        }
        let host = request.endpoint.host();
        Err(Outcome::refused(format!("{host} redirects more than {MOST_REDIRECTS} times")))
    }

    /// Reads the body of an answer until the deadline when it `matters`, otherwise for a moment.
    pub(crate) async fn read(&self, answered: Answered, matters: bool, deadline: &Deadline<'_>) -> Body {
        let Answered { mut body, rest, .. } = answered;
        let Some(mut response) = rest else { return body };
        let until = if matters { deadline.at } else { Instant::now() + GRACE };
        deadline.limit(until, body.read(&mut response)).await;
        body
    }
}

/// Lets the tasks of idle connections notice what has happened since the last request. The runtime has not run in
/// between, and a connection that the server has closed must not be used again.
async fn notice_closed_connections() {
    // The first yield polls the system, the second one runs the tasks that the poll has woken.
    for _ in 0..2 {
        tokio::task::yield_now().await;
    }
}

fn header_text(response: &Response, name: header::HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4 + 64), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
