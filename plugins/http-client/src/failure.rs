//! Describes in one line why there is no answer.

use std::{
    error::Error as StdError,
    io::{self, ErrorKind},
};

/// The cause of the failure in the words of people who run servers, without the request's URL and headers. `clean` makes
/// text of the server or a library fit for a message.
pub(crate) fn describe(error: &reqwest::Error, clean: impl Fn(&str) -> String) -> String {
    let causes = causes(error);
    if let Some(tls) = causes.iter().find_map(|cause| cause.downcast_ref::<jackfield_tls::rustls::Error>()) {
        return clean(&jackfield_tls::describe(tls));
    }
    let io = causes.iter().rev().find_map(|cause| cause.downcast_ref::<io::Error>());
    if error.is_dns() {
        let why = io.map_or_else(String::new, |io| format!(": {}", condense(&io.to_string())));
        return format!("the host name can't be resolved{why}");
    }
    if let Some(io) = io {
        return describe_io(io);
    }
    if let Some(hyper) = causes.iter().find_map(|cause| cause.downcast_ref::<hyper::Error>()) {
        if is_nonsense(hyper) {
            return format!("the answer is not valid HTTP: {}", clean(&hyper.to_string()));
        }
        if hyper.is_incomplete_message() || hyper.is_closed() || hyper.is_canceled() {
            return CLOSED.to_owned();
        }
    }
    clean(&causes.last().map_or_else(|| "it failed".to_owned(), ToString::to_string))
}

/// Whether the server does not speak HTTP.
pub(crate) fn is_not_http(error: &reqwest::Error) -> bool {
    causes(error).iter().any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(is_nonsense))
}

/// Whether the server has closed the connection before its answer was complete.
pub(crate) fn is_closed(error: &reqwest::Error) -> bool {
    describe(error, condense) == CLOSED
}

/// Whether the received bytes are not HTTP, or came before a request was sent.
fn is_nonsense(error: &hyper::Error) -> bool {
    let ended =
        error.is_incomplete_message() || error.is_closed() || error.is_canceled() || error.is_timeout();
    let ours = error.is_user() || error.is_body_write_aborted();
    error.is_parse() || !(ended || ours || error.source().is_some())
}

/// The hint for a request without TLS that a port for TLS may have got.
pub(crate) const NEEDS_TLS: &str = "; a port for TLS needs https://";

const CLOSED: &str = "the connection was closed before the answer was complete";

fn describe_io(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => CLOSED.to_owned(),
        ErrorKind::TimedOut => "the connection timed out".to_owned(),
        _ => condense(&error.to_string()),
    }
}

/// The error and its chain of sources. The `source` of an `io::Error` leaves out the error that it wraps.
fn causes(error: &reqwest::Error) -> Vec<&(dyn StdError + 'static)> {
    let mut causes: Vec<&(dyn StdError + 'static)> = Vec::new();
    let mut next = error.source();
    // A chain of this length is a loop.
    while let Some(cause) = next.filter(|_| causes.len() < 32) {
        causes.push(cause);
        next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => cause.source(),
        };
    }
    causes
}

/// The text without line feeds and other control characters, and not too long.
pub(crate) fn condense(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut line = String::with_capacity(text.len().min(LONGEST));
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_control_characters_and_an_end() {
        assert_eq!(condense(" a\r\n\tb\u{1b}[31m c "), "a b [31m c");
        let long = condense(&"ü".repeat(500));
        assert!(long.len() <= 204 && long.ends_with('…'), "{}", long.len());
    }
}
