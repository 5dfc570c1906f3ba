//! The answer to a request.

use std::sync::Arc;

use super::{
    address::is_loopback_host,
    board::Board,
    health::{healthy, ready},
    metrics, page,
};

/// What is served.
pub(super) struct Site {
    pub(super) board: Arc<Board>,
    /// Whether the address is a loopback one. Then a request has to name it by a name of the loopback.
    pub(super) is_loopback: bool,
}

/// The parts of a request that matter.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) is_head: bool,
    path: String,
    /// After the question mark.
    query: String,
    host: String,
}

impl Request {
    /// The request, or the answer to a wrong one.
    pub(super) fn of(request: &httparse::Request<'_, '_>) -> Result<Self, Answer> {
        let method = request.method.unwrap_or_default();
        if !matches!(method, "GET" | "HEAD") {
            return Err(Answer { allow: true, ..Answer::text(405, "expected GET or HEAD") });
        }
        let mut hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Answer::text(400, "expected one Host header"));
        };
        let target = request.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Ok(Self {
            is_head: method == "HEAD",
            path: path.to_owned(),
            query: query.to_owned(),
            host: String::from_utf8_lossy(host.value).into_owned(),
        })
    }
}

/// An answer. The connection ends with it.
pub(super) struct Answer {
    status: u16,
    content_type: &'static str,
    /// Whether it lists the methods that are allowed.
    allow: bool,
    body: String,
}

impl Answer {
    /// A line of text.
    pub(super) fn text(status: u16, line: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", allow: false, body: format!("{line}\n") }
    }

    /// The bytes of the answer; without the body for HEAD.
    pub(super) fn bytes(&self, is_head: bool) -> Vec<u8> {
        let Self { status, content_type, allow, body } = self;
        let reason = match status {
            200 => "OK",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            431 => "Request Header Fields Too Large",
            _ => "Service Unavailable",
        };
        let allow = if *allow { "Allow: GET, HEAD\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nContent-Security-Policy: {}\r\n{allow}\r\n",
            body.len(),
            page::POLICY,
        );
        let mut bytes = head.into_bytes();
        if !is_head {
            bytes.extend_from_slice(body.as_bytes());
        }
        bytes
    }
}

impl Site {
    pub(super) fn answer(&self, request: &Request) -> Answer {
        if self.is_loopback && !is_loopback_host(&request.host) {
            return Answer::text(
                403,
                "the Host header names another host: use localhost or the address of --listen",
            );
        }
        let view = self.board.view();
        let state = |state: Result<(), String>| match state {
            Ok(()) => Answer::text(200, "ok"),
            Err(reason) => Answer::text(503, &reason),
        };
        let (content_type, body) = match (&*request.path, &view) {
            ("/healthz", _) => return state(healthy(view.as_ref())),
            ("/readyz", _) => return state(ready(view.as_ref())),
            ("/" | "/metrics", None) => return state(ready(None)),
            ("/", Some(view)) => (
                "text/html; charset=utf-8",
                page::page(view, &self.board.history(), request.query != page::STILL),
            ),
            ("/metrics", Some(view)) => (metrics::CONTENT_TYPE, metrics::metrics(view)),
            _ => return Answer::text(404, "expected /, /metrics, /healthz or /readyz"),
        };
        Answer { content_type, body, ..Answer::text(200, "") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Result<Request, u16> {
        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut request = httparse::Request::new(&mut headers);
        assert!(request.parse(text.as_bytes()).expect("a request").is_complete());
        Request::of(&request).map_err(|refusal| refusal.status)
    }

    #[test]
    fn only_get_and_head_with_one_host_are_requests() {
        let get = request("GET /metrics?a=b HTTP/1.1\r\nhOST: localhost\r\n\r\n").expect("right");
        assert_eq!(
            (&*get.path, &*get.query, &*get.host, get.is_head),
            ("/metrics", "a=b", "localhost", false)
        );
        assert!(request("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").expect("right").is_head);
        assert_eq!(request("POST / HTTP/1.1\r\nHost: a\r\n\r\n").err(), Some(405));
        assert_eq!(request("GET / HTTP/1.1\r\n\r\n").err(), Some(400));
        assert_eq!(request("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").err(), Some(400));
    }

    #[test]
    fn another_host_gets_nothing_from_a_loopback_address() {
        let answer = |is_loopback, host: &str| {
            let site = Site { board: Arc::default(), is_loopback };
            site.answer(&request(&format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n")).expect("right"))
                .status
        };
        assert_eq!(answer(true, "localhost:1"), 200);
        assert_eq!(answer(true, "evil.example"), 403);
        assert_eq!(answer(false, "evil.example"), 200, "the network decides who reaches another address");
    }
}
