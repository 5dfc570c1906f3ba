//! The client: one request at a time for each calling thread, within a deadline.

use std::{
    future::Future,
    io::Write as _,
    pin::pin,
    sync::{PoisonError, RwLock},
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use jackfield_plugin_api::{Call, Error};
use reqwest::{Response, StatusCode, header};
use tokio::runtime::Runtime;

use crate::{
    Endpoint, Request, TlsConfig,
    failure::{describe, one_line},
    secret::scrub,
    status::retry_after,
};

/// Redirects that one request follows.
const MOST_REDIRECTS: usize = 3;
/// How long the body of an answer is waited for when the status has said all that matters. A body that is read to its end
/// leaves the connection for the next request.
const GRACE: Duration = Duration::from_millis(500);
/// How often a waiting request asks whether anybody still waits for it.
const CANCELLATION_TICK: Duration = Duration::from_millis(50);
/// Connections that are kept open, idle: one for each thread of a host's lane.
const IDLE_CONNECTIONS: usize = 4;
/// Bytes of an answer that are kept by default.
pub const DEFAULT_RESPONSE_BYTES: usize = 1 << 20;

/// How a [`Client`] is made.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// `NAME/VERSION`: `concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"))` in the plugin.
    pub user_agent: &'static str,
    /// Certificates.
    pub tls: TlsConfig,
    /// Bytes of an answer's body that are read; what is beyond is left in the connection, which is then closed.
    pub response_bytes: usize,
}

impl ClientOptions {
    /// Options with the system's certificates, and answers of up to [`DEFAULT_RESPONSE_BYTES`].
    #[must_use]
    pub fn new(user_agent: &'static str) -> Self {
        Self { user_agent, tls: TlsConfig::default(), response_bytes: DEFAULT_RESPONSE_BYTES }
    }
}

/// An HTTP/1.1 client with connections that are kept and used again.
///
/// It has a runtime of its own and no thread: whoever sends drives it. Names alone are resolved on a thread, which ends
/// soon after. Proxies come from the environment (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`), on Windows and
/// macOS from the system's settings, too.
pub struct Client {
    /// `None` once it is closed.
    open: RwLock<Option<Open>>,
    response_bytes: usize,
}

struct Open {
    // Before the runtime: its connections live there.
    client: reqwest::Client,
    runtime: Runtime,
}

/// What came of a request, as far as its head.
pub(crate) enum Head {
    Answered(Answered),
    /// There is no answer, or none that counts.
    Failed {
        reason: String,
        /// Whether another try is in vain until somebody changes the configuration.
        for_good: bool,
    },
}

/// An answer whose body is not read.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    response: Response,
}

/// An answer, as a [platform](crate::Platform) gets it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Status.
    pub status: u16,
    /// Body, up to the client's limit.
    pub body: &'a [u8],
    /// Whether `body` is all of it. Not so when it is larger than the limit, was cut off, or did not come in time.
    pub complete: bool,
}

/// A body as far as it came.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) complete: bool,
}

/// When a call has to have its answer, a little before its caller stops waiting for it.
pub(crate) struct Deadline<'a> {
    call: &'a Call<'a>,
    at: Instant,
    total: Duration,
}

impl<'a> Deadline<'a> {
    pub(crate) fn new(call: &'a Call<'a>) -> Self {
        let left = call.remaining();
        let margin = (left / 20).clamp(Duration::from_millis(5), Duration::from_millis(250));
        let total = left.saturating_sub(margin);
        let now = Instant::now();
        // A call without end has one a day later.
        let at = now.checked_add(total).unwrap_or_else(|| now + Duration::from_secs(24 * 60 * 60));
        Self { call, at, total }
    }

    pub(crate) fn has_passed(&self) -> bool {
        self.at <= Instant::now() || self.call.is_cancelled()
    }

    /// Why nothing came of a request to `host`.
    fn missed(&self, what: &str) -> String {
        if self.call.is_cancelled() {
            return "nobody waits for it any more".to_owned();
        }
        format!("{what} within {:.1} s", self.total.as_secs_f64())
    }

    /// `work`, unless it is not done by `until` or the deadline, or nobody waits for it any more.
    async fn limit<T>(&self, until: Instant, work: impl Future<Output = T>) -> Option<T> {
        let until = until.min(self.at);
        let mut work = pin!(work);
        let mut tick = pin!(tokio::time::sleep_until(Instant::now().into()));
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            while tick.as_mut().poll(context).is_ready() {
                let now = Instant::now();
                if now >= until || self.call.is_cancelled() {
                    return Poll::Ready(None);
                }
                tick.as_mut().reset(until.min(now + CANCELLATION_TICK).into());
            }
            Poll::Pending
        })
        .await
    }
}

impl Client {
    /// A client that is connected to nothing yet.
    ///
    /// # Errors
    /// [`Error::config`] under `tls.` for certificates that can't be used; when the system has no means for a runtime.
    pub fn open(options: &ClientOptions) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("jackfield-dns")
            .thread_keep_alive(Duration::from_secs(1))
            .max_blocking_threads(IDLE_CONNECTIONS)
            .build()
            .map_err(|error| Error::unavailable(format!("no runtime: {error}")))?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(options.tls.client_config()?)
            .user_agent(options.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build()
            .map_err(|error| Error::failed(format!("no HTTP client: {}", describe(&error))))?;
        Ok(Self { open: RwLock::new(Some(Open { client, runtime })), response_bytes: options.response_bytes })
    }

    /// Closes the connections. A second time, and when nothing was sent, there is nothing to do.
    pub fn close(&self, call: &Call<'_>) {
        let open = self.open.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Open { client, runtime }) = open {
            drop(client);
            // A name that is still being resolved is left to end by itself.
            runtime.shutdown_timeout(call.remaining().min(GRACE));
        }
    }

    /// Sends one request, and gives the head of its answer.
    pub(crate) fn send(&self, request: &Request, body: Vec<u8>, deadline: &Deadline<'_>) -> Head {
        let host = request.endpoint.host();
        let failed = |why: String| Head::Failed { reason: format!("{host}: {why}"), for_good: false };
        let body = match request.gzip.then(|| gzip(&body)) {
            None => Bytes::from(body),
            Some(Ok(compressed)) => Bytes::from(compressed),
            Some(Err(error)) => return failed(format!("gzip: {error}")),
        };
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let Some(Open { client, runtime }) = &*open else {
            return failed("the backend is closed".to_owned());
        };
        runtime.block_on(async {
            notice_closed_connections().await;
            match deadline.limit(deadline.at, exchange(client, request, &body)).await {
                Some(head) => head,
                None => failed(deadline.missed("no answer")),
            }
        })
    }

    /// Reads the body of an answer: for as long as the deadline allows when it `matters`, for a moment when it does not.
    pub(crate) fn read(&self, answered: Answered, matters: bool, deadline: &Deadline<'_>) -> Body {
        let mut body = Body { bytes: Vec::new(), complete: false };
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let Some(Open { runtime, .. }) = &*open else { return body };
        let until = if matters { deadline.at } else { Instant::now() + GRACE };
        let mut response = answered.response;
        runtime.block_on(async {
            let reading = async {
                while let Ok(chunk) = response.chunk().await {
                    let Some(chunk) = chunk else {
                        body.complete = true;
                        return;
                    };
                    let room = self.response_bytes - body.bytes.len();
                    body.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        return;
                    }
                }
            };
            deadline.limit(until, reading).await;
            drop(response);
        });
        body
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Open { client, runtime }) = open {
            drop(client);
            // To drop it would wait for a name that is being resolved, without end.
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// Lets the tasks of idle connections see what has happened to them since the last request: nobody has driven the runtime
/// in between, and a connection that the server has closed must not be used again.
async fn notice_closed_connections() {
    // The first one waits for the system's word, the second one for the tasks that it has woken.
    for _ in 0..2 {
        tokio::task::yield_now().await;
    }
}

/// The request, and those that redirects lead to, up to the head of the answer.
async fn exchange(client: &reqwest::Client, request: &Request, body: &Bytes) -> Head {
    let mut endpoint: Endpoint = request.endpoint.clone();
    for _ in 0..=MOST_REDIRECTS {
        let host = endpoint.host();
        let sent =
            client.request(request.method.clone(), endpoint.url().clone()).headers(request.headers.clone());
        let sent = if request.gzip { sent.header(header::CONTENT_ENCODING, "gzip") } else { sent };
        let response = match sent.body(body.clone()).send().await {
            Ok(response) => response,
            Err(error) => {
                return Head::Failed { reason: format!("{host}: {}", describe(&error)), for_good: false };
            }
        };
        let status = response.status();
        let permanent = matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::PERMANENT_REDIRECT);
        let temporary = matches!(status, StatusCode::FOUND | StatusCode::TEMPORARY_REDIRECT);
        let location = header_text(&response, header::LOCATION);
        match location.filter(|_| permanent || temporary) {
            None => {
                let retry_after = header_text(&response, header::RETRY_AFTER)
                    .and_then(|value| retry_after(value, SystemTime::now()));
                return Head::Answered(Answered { status: status.as_u16(), retry_after, response });
            }
            Some(location) => match endpoint.redirected(location) {
                Ok(next) => endpoint = next,
                Err(other) => {
                    let other = one_line(&scrub(&other, &request.secrets));
                    let reason = format!(
                        "{host} redirects ({}) to {other}, which is not followed; if it is right, configure its URL",
                        status.as_u16()
                    );
                    return Head::Failed { reason, for_good: permanent };
                }
            },
        }
    }
    let host = request.endpoint.host();
    Head::Failed { reason: format!("{host} redirects more than {MOST_REDIRECTS} times"), for_good: false }
}

fn header_text(response: &Response, name: header::HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4 + 64), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
